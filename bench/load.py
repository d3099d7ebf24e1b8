"""A load generator that is not the bottleneck: requests made beforehand, one epoll, plain sockets.

    python -m bench.load PORT CONNECTIONS FILE [--warm N] [--expect TEXT] [--until-readable PATH]
    python -m bench.load PORT CONNECTIONS FILE --rate N [--first N] [--probes FILE --every N]

FILE is one of bench.wire.write_requests; with --first, no more of it than that.  Every answer is read whole, its
status counted, its latency kept; with --expect its text must be in it.  Prints
one JSON object, with the generator's own processor time for a request: what it
took of its core shows whether it was the limit.

Closed loop, without --rate: a connection sends its next request when the answer
to its last one is whole, and a latency goes from sending to that.  The first
--warm requests count for nothing.  With --until-readable, until_readable_s is the time
until GET PATH&min_seq=.. has answered too, for the last position that an answer named.

Open loop, with --rate: requests are due at random times (exponential gaps, one
seed) whether others are answered or not.  One that finds no connection free waits
for one; its latency counts from when it was due.  With --probes, whose file has
a GET that ends in &min_seq= for every Nth request, that question is asked on a
connection of its own as soon as the request's answer is there, and waits in the
server until the claim is folded.  A probe counts from the answer to the
write to the answer to the question, which must name the claim: the whole round
trip of the question is in it.
"""

import argparse
import json
import random
import select
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from bench.wire import SECONDS_MAX, Broken, Connection, get, hash_in, last_seq, read_requests, watch

PROBES_IN_FLIGHT = 32
NO_ANSWER = f"no answer in {SECONDS_MAX:.0f} s"
clock = time.perf_counter


class Tally:
    """What came back."""

    def __init__(self, expect: bytes = b"") -> None:
        self.expect = expect
        self.statuses: Counter[bytes] = Counter()
        self.latencies: list[float] = []
        self.late_by: list[float] = []  # of the open loop: what sending was behind
        self.readable: list[float] = []  # probes
        self.seq_max = -1

    def check(self, answer: bytes) -> None:
        """Raises: Broken if it lacks what it must have."""
        self.statuses[answer[9:12]] += 1
        if self.expect not in answer:
            raise Broken(f"an answer without {self.expect.decode()}: {answer.decode(errors='replace')[:500]}")


def closed_loop(connections: Sequence[Connection], requests: Iterator[bytes], tally: Tally, *, seqs: bool) -> None:
    """Send all requests, each as soon as its connection is free; seqs: note the last position answered."""
    poller, by_number = watch(connections)
    in_flight = 0
    for connection, request in zip(connections, requests, strict=False):
        connection.since_s = clock()
        connection.send(request)
        in_flight += 1
    while in_flight:
        ready = poller.poll(SECONDS_MAX)
        if not ready:
            raise Broken(NO_ANSWER)
        for number, _ in ready:
            connection = by_number[number]
            answer = connection.answer()
            if answer is None:
                continue
            now = clock()
            tally.latencies.append(now - connection.since_s)
            following = next(requests, None)
            if following is None:
                in_flight -= 1
            else:
                connection.since_s = now
                connection.send(following)
            tally.check(answer)
            if seqs:
                tally.seq_max = max(tally.seq_max, last_seq(answer))
    poller.close()


class OpenLoop:
    """Requests at their times, and questions about some of them."""

    def __init__(self, writers: Sequence[Connection], readers: Sequence[Connection], tally: Tally) -> None:
        self._poller, self._by_number = watch([*writers, *readers])
        self._writers = deque(writers)  # those that are free
        self._readers = deque(readers)
        self._asked: dict[Connection, bytes] = {}  # readers that are not, and the hash that is to be answered
        self._due: deque[tuple[float, int]] = deque()  # requests that wait for a connection
        self._to_ask: deque[tuple[float, int, bytes]] = deque()  # when its write was answered, its number, the answer
        self._tally = tally

    def run(self, requests: Sequence[bytes], rate: float, probes: Sequence[bytes], every: int) -> None:
        """Send all requests, and after the answer to every Nth its probe; return when all are answered."""
        gaps = random.Random(1)
        answered, planned, next_s = 0, 0, clock()
        while answered < len(requests) or self._to_ask or self._asked:
            while planned < len(requests) and next_s <= clock():
                self._due.append((next_s, planned))
                planned += 1
                next_s += gaps.expovariate(rate)
            self._send(requests, probes)
            for connection, answer in self._answers(next_s - clock() if planned < len(requests) else SECONDS_MAX):
                if connection in self._asked:
                    self._probe_answered(connection, answer)
                else:
                    answered += 1
                    self._write_answered(connection, answer, every if probes else 0)

    def _send(self, requests: Sequence[bytes], probes: Sequence[bytes]) -> None:
        while self._due and self._writers:
            due_s, number = self._due.popleft()
            connection = self._writers.popleft()
            connection.since_s, connection.number = due_s, number
            connection.send(requests[number])
            self._tally.late_by.append(clock() - due_s)
        while self._to_ask and self._readers:
            since_s, number, answer = self._to_ask.popleft()
            connection = self._readers.popleft()
            connection.since_s = since_s
            connection.send(with_seq(probes[number], last_seq(answer)))
            self._asked[connection] = hash_in(answer)

    def _answers(self, timeout_s: float) -> Iterator[tuple[Connection, bytes]]:
        """What is there, waiting for it if need be; none if nothing came in that time."""
        # epoll waits in whole milliseconds; select, of which it is one file, in microseconds.
        ready, _, _ = select.select([self._poller], [], [], max(0.0, timeout_s))
        if not ready and timeout_s >= SECONDS_MAX:
            raise Broken(NO_ANSWER)
        for number, _ in self._poller.poll(0):
            connection = self._by_number[number]
            if (answer := connection.answer()) is not None:
                yield connection, answer

    def _write_answered(self, connection: Connection, answer: bytes, every: int) -> None:
        now = clock()
        self._tally.latencies.append(now - connection.since_s)
        self._tally.check(answer)
        self._writers.append(connection)
        if every and connection.number % every == 0:
            self._to_ask.append((now, connection.number // every, answer))

    def _probe_answered(self, connection: Connection, answer: bytes) -> None:
        self._tally.readable.append(clock() - connection.since_s)
        if self._asked.pop(connection) not in answer:
            raise Broken(f"the question does not see the claim: {answer.decode(errors='replace')[:500]}")
        self._readers.append(connection)


def with_seq(request: bytes, seq: int) -> bytes:
    """A GET that ends in &min_seq= in its request line, with a position."""
    return request.replace(b"&min_seq=", b"&wait=30s&min_seq=%d" % seq, 1)


def run(options: argparse.Namespace) -> dict[str, object]:
    """Do as the options say; what is printed."""
    requests = read_requests(options.file)[: options.first]
    connections = [Connection(options.port) for _ in range(options.connections)]
    if options.warm:
        closed_loop(connections, islice(iter(requests), options.warm), Tally(options.expect.encode()), seqs=False)
        requests = requests[options.warm :]
    tally = Tally(options.expect.encode())
    started_cpu, started = time.process_time(), clock()
    if options.rate:
        probes = read_requests(options.probes) if options.probes else []
        readers = [Connection(options.port) for _ in range(PROBES_IN_FLIGHT if probes else 0)]
        OpenLoop(connections, readers, tally).run(requests, options.rate, probes, options.every)
    else:
        closed_loop(connections, iter(requests), tally, seqs=bool(options.until_readable))
    answered, cpu_s = clock(), time.process_time() - started_cpu
    if options.until_readable:
        answer = connections[0].ask(with_seq(get(options.until_readable + "&min_seq="), tally.seq_max))
        if answer[9:12] != b"200":
            raise Broken(f"the last one is not readable: {answer.decode(errors='replace')[:500]}")
    return {**found(tally, answered - started, cpu_s), "until_readable_s": clock() - started}


def found(tally: Tally, seconds: float, cpu_s: float) -> dict[str, object]:
    """The object that is printed."""
    count = len(tally.latencies)
    return {
        "count": count,
        "seconds": seconds,
        "per_second": count / seconds,
        "statuses": {status.decode(): number for status, number in sorted(tally.statuses.items())},
        "load_us": cpu_s / count * 1e6,
        "load_share": cpu_s / seconds,
        **_spread("", tally.latencies),
        **_spread("late_", tally.late_by),
        **_spread("readable_", tally.readable),
        "readable_count": len(tally.readable),
    }


def _spread(prefix: str, seconds: Sequence[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    shares = {"p50": 50, "p99": 99} if ordered else {}
    return {f"{prefix}{name}_us": ordered[len(ordered) * part // 100] * 1e6 for name, part in shares.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int)
    parser.add_argument("connections", type=int)
    parser.add_argument("file", type=Path)
    parser.add_argument("--first", type=int)
    parser.add_argument("--warm", type=int, default=0)
    parser.add_argument("--expect", default="")
    parser.add_argument("--until-readable", default="")
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--probes", type=Path)
    parser.add_argument("--every", type=int, default=20)
    print(json.dumps(run(parser.parse_args())))


if __name__ == "__main__":
    main()
