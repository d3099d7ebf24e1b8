"""Metrics for Prometheus: what is counted as it happens, and what is looked up when somebody asks.

Counting costs plain integers (episteme.server.timing); Prometheus' own types
are made at each scrape.  Agents, subjects and paths as they were sent are never
labels: who asks decides neither how many series there are nor what they say.

Source: docs/operations.md, "Metrics".
"""

import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sized
from contextlib import suppress
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Final, Protocol

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from cortex import CortexError
from episteme.node import Node
from episteme.server.timing import COUNTS, Timing
from stores import StoreError

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "DELETE", "OPTIONS"})
_NO_ANSWER: Final = "none"  # the status of an exchange that nothing was sent in
_FAILS_WITH: Final = (StoreError, CortexError, OSError)  # what looking something up may, while the rest is fine


class Connected(Protocol):
    """Who knows the connections of the server."""

    opened_count: int
    refused: Counter[str]  # by code, before there was a request
    closed: Counter[str]  # by reason

    @property
    def open(self) -> Sized:
        """Those there are."""


class Metrics(Collector):
    """Of one node and its server.  Counted in the threads where things happen, collected in any."""

    def __init__(self, node: Node, folder: Path) -> None:
        """Have log and state tell what they do, from now on.  folder: the data folder."""
        self._node = node
        self._folder = folder
        self.in_flight = 0
        self.sse_clients = 0
        self.connections: Connected | None = None
        self.workers: Callable[[], tuple[int, int]] = lambda: (0, 0)  # how many take connections, and were started
        self.in_flight_elsewhere = 0  # in workers
        self.signatures_bad_elsewhere = 0
        self._requests: dict[tuple[str, str, int], Timing] = {}
        self._refusals: Counter[str] = Counter()
        self._writes = Timing()
        self._syncs = Timing()
        self._groups = Timing(COUNTS)
        self._appended_bytes = 0
        self._batches = Timing(COUNTS)
        self._scraping = threading.Lock()  # more than one at a time would only wait for the same rows
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._registry)
        node.log.observe(self)
        node.state.observe(self.folded)

    # Told as it happens

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """As edge.Observer; routes are the templates of endpoints."""
        self._timing(route, method, status).add(seconds)

    def answered_elsewhere(self, route: str, method: str, status: int, counts: list[int], seconds: float) -> None:
        """Exchanges that a worker has answered, as the counts of a Timing and the sum of their times."""
        self._timing(route, method, status).merge(counts, seconds)

    def refused(self, code: str, times: int = 1) -> None:
        """As edge.Observer."""
        self._refusals[code] += times

    def wrote(self, frame_count: int, size_bytes: int, seconds: float) -> None:
        """As wal's observer."""
        self._writes.add(seconds)
        self._groups.add(frame_count)
        self._appended_bytes += size_bytes

    def synced(self, seconds: float) -> None:
        """As wal's observer."""
        self._syncs.add(seconds)

    def folded(self, event_count: int) -> None:
        """A commit of the fold."""
        self._batches.add(event_count)

    def _timing(self, route: str, method: str, status: int) -> Timing:
        key = (route, method if method in _METHODS else "other", status)
        timing = self._requests.get(key)
        if timing is None:
            timing = self._requests[key] = Timing()
        return timing

    # Asked

    def exposition(self) -> bytes:
        """All of it, as Prometheus reads it; not in the event loop: files are looked at."""
        with self._scraping:
            return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """As prometheus_client asks for it."""
        yield from self._collect_http()
        yield from self._collect_log()
        yield from self._collect_fold()
        yield from self._collect_gate()
        yield from self._collect_rest()

    def _collect_http(self) -> Iterator[Metric]:
        seconds = HistogramMetricFamily(
            "episteme_http_request_seconds",
            "Time from a request's head to its answer's end; of a stream to its beginning.",
            labels=("route", "method", "code"),
        )
        for (route, method, status), timing in list(self._requests.items()):
            labels = (route, method, str(status) if status else _NO_ANSWER)
            seconds.add_metric(labels, timing.buckets(), timing.sum)
        yield seconds
        in_flight = self.in_flight + self.in_flight_elsewhere
        yield _gauge("http_in_flight", "Requests that are being answered, streams included.", in_flight)
        yield _gauge("sse_clients", "Readers of the tail.", self.sse_clients)
        early = self._refusals if self.connections is None else self._refusals + self.connections.refused
        yield _by_label("http_refusals", "Refusals by their code.", "code", early)
        if self.connections is not None:
            yield _gauge("http_connections", "Open connections.", len(self.connections.open))
            yield _counter("http_connections_opened", "Connections so far.", self.connections.opened_count)
            yield _by_label(
                "http_connections_cut", "Connections that the server ended.", "reason", self.connections.closed
            )

    def _collect_log(self) -> Iterator[Metric]:
        yield _histogram("wal_append_seconds", "Time to write a group of events into the log's file.", self._writes)
        yield _histogram("wal_fsync_seconds", "Time of an fsync of the log.", self._syncs)
        yield _histogram("wal_batch_entries", "Events that became durable together.", self._groups)
        yield _counter("wal_appended_bytes", "Bytes written to the log.", self._appended_bytes)
        yield _gauge("log_end_seq", "Position of the last durable event, -1 if there is none.", self._node.end_seq)
        yield _gauge("log_bytes", "What the log takes on disk.", self._node.log.size_bytes)
        yield _gauge("log_failed", "1 if the log takes no more until a restart.", self._node.log.ended)

    def _collect_fold(self) -> Iterator[Metric]:
        node = self._node
        yield _gauge("fold_applied_seq", "Position of the last event that is folded.", node.applied_seq)
        yield _gauge("fold_lag_entries", "Durable events that are not folded.", node.state.lag)
        yield _gauge("fold_lag_seconds", "How long the oldest of them has waited.", node.fold_lag_s)
        yield _gauge("fold_failed", "1 if the fold has stopped.", node.state.failure is not None)
        yield _histogram("fold_batch_entries", "Events that one commit of the fold took.", self._batches)
        yield from _looked_up("dead_letters", "Events that could not be folded.", node.state.dead_letter_count)
        yield from _looked_up("store_bytes", "What the state takes on disk.", node.state.size_bytes)

    def _collect_gate(self) -> Iterator[Metric]:
        intake = self._node.intake
        yield _gauge("verify_queue_entries", "Events that wait for their signatures to be verified.", intake.waiting)
        bad = intake.signatures_bad + self.signatures_bad_elsewhere
        verified = {"good": intake.signatures_good, "bad": bad}
        yield _by_label(
            "signatures_verified", "Signatures of events, by whether all of the event verified.", "result", verified
        )

    def _collect_rest(self) -> Iterator[Metric]:
        node, audit = self._node, self._node.auditor.status()
        told = {"written": audit.written, "dropped": audit.dropped, "lost": audit.lost}
        yield _by_label("audits", "Audits of answers by what became of them.", "result", told)
        yield _gauge("audits_waiting", "Audits that are not written yet.", audit.waiting)
        taking, started = self.workers()
        yield _gauge("workers", "Workers that take connections.", taking)
        yield _counter("workers_started", "Workers started so far.", started)
        yield _gauge("ready", "1 if /readyz says so.", not node.reasons_not_ready())
        yield from _looked_up("disk_free_bytes", "Room on the disk of the data folder.", partial(_free, self._folder))
        yield InfoMetricFamily("episteme_build", "What is running.", {"version": version("episteme-db")})


def _gauge(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(f"episteme_{name}", what, value)


def _counter(name: str, what: str, value: float) -> Metric:
    return CounterMetricFamily(f"episteme_{name}", what, value)


def _histogram(name: str, what: str, timing: Timing) -> Metric:
    return HistogramMetricFamily(f"episteme_{name}", what, timing.buckets(), timing.sum)


def _by_label(name: str, what: str, label: str, values: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(f"episteme_{name}", what, labels=(label,))
    for value in sorted(values):
        family.add_metric((value,), values[value])
    return family


def _looked_up(name: str, what: str, look: Callable[[], float]) -> Iterator[Metric]:
    """A gauge, or nothing where it cannot be told now: the other metrics must not go with it."""
    with suppress(*_FAILS_WITH):
        yield _gauge(name, what, look())


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free
