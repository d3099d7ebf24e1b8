"""A clock that stands where it is put."""

from tests.support.events import NOW_MS


class Clock:
    """Milliseconds that pass only when a test says so."""

    def __init__(self, now_ms: int = NOW_MS) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms
