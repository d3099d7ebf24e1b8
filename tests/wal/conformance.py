"""The promises of the Log protocol, which every implementation keeps.

To try another one: a class that inherits LogConformance and has a fixture
`make_log` of the type MakeLog.
"""

from tests.wal.conformance_append import AppendPromises
from tests.wal.conformance_read import ReadPromises
from tests.wal.conformance_retention import RetentionPromises
from tests.wal.conformance_tail import TailPromises


class LogConformance(AppendPromises, ReadPromises, TailPromises, RetentionPromises):
    """All of them; each test has a log, or some, of its own."""
