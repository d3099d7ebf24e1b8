"""What is asked: a pair, a lens, and what is to be seen of the claims."""

from typing import Final, Literal

from msgspec import Struct

from model import Lifecycle, SourceClass

LIMIT_DEFAULT: Final = 100
LIMIT_MAX: Final = 1000
CANDIDATES_MAX: Final = 100_000  # a full read of one pair: about 200 MB of claims of the usual size

Include = Literal["superseded", "superseded_epochs", "revoked"]
INCLUDES: Final[tuple[Include, ...]] = ("superseded", "superseded_epochs", "revoked")


class AsOf(Struct, frozen=True):
    """A moment in the past as it was asked for; exactly one is set.

    seq: a log position.  time_ms: milliseconds since 1970.  span_ms: so long before now.
    """

    seq: int | None = None
    time_ms: int | None = None
    span_ms: int | None = None


class Question(Struct, frozen=True, kw_only=True):
    """What is asked of a pair; limit bounds the groups, and the hashes in all of them together.

    predicate: None for a lens that takes a whole context.  lens: None for the pair's default.
    params: the lens's own, by name.  source_class, lifecycle: empty for the usual ones.
    epoch: only claims of this one, superseded or not.  include: what is left out unless it is asked for.
    decay: as Decay.parse takes it.  pack: id of a trust pack.  valid_at: milliseconds since 1970.
    full: read the claims even where the view would do.
    """

    subject: str
    predicate: str | None = None
    lens: str | None = None
    params: tuple[tuple[str, str], ...] = ()
    source_class: tuple[SourceClass, ...] = ()
    lifecycle: tuple[Lifecycle, ...] = ()
    epoch: str | None = None
    include: tuple[Include, ...] = ()
    decay: str | None = None
    pack: str | None = None
    as_of: AsOf | None = None
    valid_at: int | None = None
    explain: bool = False
    full: bool = False
    limit: int = LIMIT_DEFAULT

    @property
    def fits_view(self) -> bool:
        """Whether a view, which is made under a default lens without filters, may answer it exactly."""
        return not (
            self.full
            or self.source_class
            or self.lifecycle
            or self.epoch
            or self.include
            or self.decay
            or self.pack
            or self.as_of
            or self.valid_at is not None
            or self.explain
            or self.params
            or self.limit != LIMIT_DEFAULT
        )


class Moment(Struct, frozen=True):
    """The position that an answer is for, and what time it is there.

    at: None for the newest; then position is the last event that is folded, -1 if there is none.
    time_ms: the log's time at the position, which trust drifts to.  now_ms: from which the ages of claims are
    counted.  Both in milliseconds since 1970.
    """

    at: int | None
    position: int
    time_ms: int
    now_ms: int


def as_parameters(question: Question) -> dict[str, str]:
    """A question as the parameters that ask it, for those who keep questions; what is left at its default is absent."""
    always = {"subject": question.subject, "predicate": question.predicate, "lens": question.lens}
    if question.fits_view:  # which has all else at its default
        return {name: value for name, value in always.items() if value is not None}
    found = {
        **always,
        **dict(question.params),
        "source_class": ",".join(question.source_class) or None,
        "lifecycle": ",".join(question.lifecycle) or None,
        "epoch": question.epoch,
        "include": ",".join(question.include) or None,
        "decay": question.decay,
        "pack": question.pack,
        "as_of": None if question.as_of is None else as_of_text(question.as_of),
        "valid_at": None if question.valid_at is None else str(question.valid_at),
        "limit": None if question.limit == LIMIT_DEFAULT else str(question.limit),
    }
    return {name: value for name, value in found.items() if value is not None}


def as_of_text(as_of: AsOf) -> str:
    """A moment as parse_as_of reads it."""
    if as_of.seq is not None:
        return f"seq:{as_of.seq}"
    if as_of.span_ms is not None:
        return f"{as_of.span_ms}ms"
    return str(as_of.time_ms)
