"""How far the fold is behind the log, and from when on a database says so of itself.

A health check that stays green while what was written an hour ago cannot be read
is worse than none.

Source: docs/operations.md, "Health".
"""

from cortex import State
from episteme.config import NodeConfig
from episteme.folds import LoggedEvent
from wal import FileLog, LogError

_SECOND_MS = 1000


def fold_lag_s(log: FileLog, state: State[LoggedEvent], now_ms: int) -> float:
    """How long the oldest durable event that is not folded has waited; 0 if there is none.

    now_ms: by the clock that the log's times are of; one that was stepped back gives less, never less than 0.
    """
    seq = state.watermark.seq
    if seq >= log.durable_end:
        return 0.0
    try:
        return max(0, now_ms - log.get(seq).time_ms) / _SECOND_MS
    except LogError:  # it shows elsewhere; what is not known is not behind
        return 0.0


def behind(lag: int, lag_s: float, config: NodeConfig) -> str | None:
    """Why readers should go elsewhere, if the fold is further behind than it may be."""
    if lag > config.ready_lag_count_max:
        return f"the fold is {lag} events behind the log; {config.ready_lag_count_max} are allowed"
    if lag_s > config.ready_lag_s_max:
        return f"the fold is {lag_s:.0f} s behind the log; {config.ready_lag_s_max:g} s are allowed"
    return None
