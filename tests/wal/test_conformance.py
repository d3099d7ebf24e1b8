"""Both engines keep the promises of the Log protocol."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest

for _part in ("tools", "append", "read", "tail", "retention"):
    pytest.register_assert_rewrite(f"tests.wal.conformance_{_part}")

from tests.support.logs import LOG_ID, TIME_MS, open_log  # noqa: E402  (what is imported already is not rewritten)
from tests.wal.conformance import LogConformance  # noqa: E402
from tests.wal.conformance_tools import MakeLog  # noqa: E402
from wal.memory import MemoryLog  # noqa: E402
from wal.options import LogOptions  # noqa: E402
from wal.protocol import Log  # noqa: E402


class TestMemoryLog(LogConformance):
    @pytest.fixture
    def make_log(self) -> Iterator[MakeLog]:
        with ExitStack() as logs:

            def make(
                options: LogOptions = LogOptions(),  # noqa: B008  (immutable)
                clock_ms: Callable[[], int] = lambda: TIME_MS,
            ) -> Log:
                return logs.enter_context(MemoryLog(clock_ms=clock_ms, log_id=LOG_ID, options=options))

            yield make


class TestFileLog(LogConformance):
    @pytest.fixture
    def make_log(self, tmp_path: Path) -> Iterator[MakeLog]:
        numbers = count()
        with ExitStack() as logs:

            def make(
                options: LogOptions = LogOptions(),  # noqa: B008  (immutable)
                clock_ms: Callable[[], int] = lambda: TIME_MS,
            ) -> Log:
                folder = tmp_path / f"log {next(numbers)}"
                return logs.enter_context(open_log(folder, options=options, clock_ms=clock_ms))

            yield make
