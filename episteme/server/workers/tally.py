"""What a worker counts, told to the owner in increments: its metrics are the sum over all processes.

A worker that is killed takes with it what it has counted since it told last.
"""

from collections import Counter

from episteme.server.connections import Connections
from episteme.server.metrics import Metrics
from episteme.server.timing import Timing
from episteme.server.workers.messages import Counts, Exchanges


class Tally:
    """Of one worker; an Observer of its edge.  Of one event loop."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.sse_clients = 0  # there are none: streams are passed on
        self._requests: dict[tuple[str, str, int], Timing] = {}
        self._refused: Counter[str] = Counter()
        self._told_opened = 0
        self._told_bad = 0

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """As edge.Observer."""
        timing = self._requests.get((route, method, status))
        if timing is None:
            timing = self._requests[route, method, status] = Timing()
        timing.add(seconds)

    def refused(self, code: str) -> None:
        """As edge.Observer."""
        self._refused[code] += 1

    def take(self, guards: Connections, signatures_bad: int) -> Counts:
        """What was counted since this was called last."""
        requests, self._requests = self._requests, {}
        refused, self._refused = self._refused, Counter()
        early, guards.refused = guards.refused, Counter()
        closed, guards.closed = guards.closed, Counter()
        opened, self._told_opened = guards.opened_count - self._told_opened, guards.opened_count
        bad, self._told_bad = signatures_bad - self._told_bad, signatures_bad
        return Counts(
            exchanges=[Exchanges(*key, timing.counts, timing.sum) for key, timing in requests.items()],
            refused=refused,
            refused_early=early,
            closed=closed,
            opened_count=opened,
            signatures_bad=bad,
            open_count=len(guards.open),
            in_flight=self.in_flight,
        )


class Tallies:
    """Of all workers; what the owner's metrics know of connections.  Of one event loop, but for reading."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self.opened_count = 0
        self.refused: Counter[str] = Counter()
        self.closed: Counter[str] = Counter()
        self._now: dict[int, Counts] = {}  # what each worker told last

    @property
    def open(self) -> range:
        """As many as there are connections."""
        return range(sum(counts.open_count for counts in list(self._now.values())))

    def add(self, worker: int, counts: Counts) -> None:
        """What a worker has counted."""
        metrics = self._metrics
        for one in counts.exchanges:
            metrics.answered_elsewhere(one.route, one.method, one.status, one.counts, one.seconds)
        for code, times in counts.refused.items():
            metrics.refused(code, times)
        self.refused.update(counts.refused_early)
        self.closed.update(counts.closed)
        self.opened_count += counts.opened_count
        metrics.signatures_bad_elsewhere += counts.signatures_bad
        self._now[worker] = counts
        self._add_up()

    def remove(self, worker: int) -> None:
        """It has ended."""
        self._now.pop(worker, None)
        self._add_up()

    def _add_up(self) -> None:
        self._metrics.in_flight_elsewhere = sum(counts.in_flight for counts in self._now.values())
