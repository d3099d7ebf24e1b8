"""CortEX: from a log to state, exactly once.  Knows nothing of what events mean."""

from cortex.errors import CortexError, FoldClosed, FoldStopped, FoldVersionChanged, WrongLog
from cortex.fold import Fold
from cortex.runner import Runner, RunnerOptions, apply_batch, bind
from cortex.watermark import Watermark

__all__ = [
    "CortexError",
    "Fold",
    "FoldClosed",
    "FoldStopped",
    "FoldVersionChanged",
    "Runner",
    "RunnerOptions",
    "Watermark",
    "WrongLog",
    "apply_batch",
    "bind",
]
