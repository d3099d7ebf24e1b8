"""How a runner folds: the bounds of a batch, its pace, and what becomes of an event that cannot be applied."""

from typing import Annotated, Literal, NamedTuple

from msgspec import Meta


class RunnerOptions(NamedTuple):
    """Bounds of a batch, and what becomes of an event that cannot be applied."""

    batch_count_max: Annotated[
        int, Meta(ge=1), "events a commit in a backlog: each has a cost of its own; above it caches are missed"
    ] = 4096
    batch_bytes_max: Annotated[int, Meta(ge=1), "payloads of a commit: bounds memory where events are large"] = (
        4 * 1024 * 1024
    )
    poll_s: Annotated[
        float,
        "how soon a stopped log is noticed and a full disk tried again; new events wake the runner at once",
    ] = 0.5
    commit_interval_s: Annotated[
        float,
        "pause behind a commit, so that more events share the next: half of it is what an event waits; after it, or "
        "when somebody waits for an event, it is applied at once",
    ] = 0.002
    batch_count_min: Annotated[
        int, Meta(ge=1), "events a commit without a backlog: one commit holds up a few tens of milliseconds"
    ] = 1024
    on_error: Annotated[Literal["halt", "dead-letter"], "what becomes of an event that cannot be folded"] = "halt"
    dead_letters_max: Annotated[int, "by then it is not the event but the fold that is at fault"] = 10_000


def check_options(options: RunnerOptions) -> RunnerOptions:
    """Give the options back.  Raises: ValueError."""
    for name in ("batch_count_min", "batch_count_max", "batch_bytes_max"):
        if getattr(options, name) < 1:
            raise ValueError(f"{name} is {getattr(options, name)}; it is 1 or more")
    if options.on_error not in ("halt", "dead-letter"):
        raise ValueError(f"on_error is {options.on_error!r}; it is 'halt' or 'dead-letter'")
    return options
