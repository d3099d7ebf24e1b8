"""What commands on folders share: errors that end them with the right exit code."""

from collections.abc import Iterator
from contextlib import contextmanager
from errno import EDQUOT, ENOSPC

from episteme.cli.output import fail
from episteme.errors import CannotOpen, DiskFull, Internal, NotReady, translate
from wal import LogError


@contextmanager
def failing(what: object) -> Iterator[None]:
    """Whatever goes wrong within ends the command; what: the folder or file that it works on."""
    try:
        yield
    except TimeoutError as error:
        fail(NotReady(str(error)))
    except BrokenPipeError:
        raise  # `| head` has read what it wanted: nothing went wrong
    except OSError as error:
        full = error.errno in (ENOSPC, EDQUOT)
        fail((DiskFull if full else CannotOpen)(f"{what}: {error}"))
    except LogError as error:
        told = translate(error)
        fail(CannotOpen(f"{what}: {error}") if isinstance(told, Internal) else told)
    except Exception as error:
        if getattr(error, "code", None) is None:
            raise
        fail(translate(error))
