"""How many may wait for news at a time, on streams and on long polls together."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from episteme.errors import Overloaded

_RETRY_AFTER_S: Final = 5


class Places:
    """Of one event loop."""

    def __init__(self, count_max: int) -> None:
        self._count_max = count_max
        self.count = 0

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Have one.

        Raises: Overloaded if there is none left.
        """
        if self.count >= self._count_max:
            detail = f"{self._count_max} tails and long polls are open, and no more are taken"
            raise Overloaded(detail, retry_after_s=_RETRY_AFTER_S)
        self.count += 1
        try:
            yield
        finally:
            self.count -= 1
