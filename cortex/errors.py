"""What a fold's runtime can refuse or report."""


class CortexError(Exception):
    """The parent of all that this package raises."""

    code = "fold-error"


class FoldStopped(CortexError):
    """A fold failed and applies nothing more; the cause is chained."""

    code = "fold-stopped"


class FoldClosed(CortexError):
    """The runner was closed while somebody waited on it."""

    code = "fold-closed"


class WrongLog(CortexError):
    """A state that is the fold of another log."""

    code = "wrong-log"


class FoldVersionChanged(CortexError):
    """A state made by another version of a fold; it must be rebuilt."""

    code = "fold-version"
