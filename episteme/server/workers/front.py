"""What the handlers of a worker need of a node: events are judged here as far as their own bytes go, then sent on.

Owns: what this worker has on its way to the owner.  Refuses, past the bound of a
verification's queue, to take more.  Invariant: whoever submits is told once, by
the owner after the fsync, or here of what is wrong with the event itself; an
owner who has ended tells nobody, and what it had on the disk is there.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import count
from typing import Final, NamedTuple

from episteme.api import Answer
from episteme.config import NodeConfig
from episteme.errors import NotReady, Overloaded
from episteme.gate import Deliver, Standing, admit, readmit, verify
from episteme.ingest import write_chunked
from episteme.reading import Question
from episteme.receipts import IngestResult
from episteme.server.mailbox import post
from episteme.server.workers.awaited import Awaited
from episteme.server.workers.channel import Channel
from episteme.server.workers.ingests import Ingests, Settle
from episteme.server.workers.messages import Await, Collected, Events, Outcomes, framed
from episteme.server.workers.page import Page
from episteme.server.workers.parts import PART_BYTES, PART_COUNT, outcome_of, parts, stops
from episteme.server.workers.reading import FrontReads, PassOn
from model import SignedEvent

# Batches of single events on their way: what comes meanwhile goes together, as appends do while the log is synced.
_SENT_MAX: Final = 2
_STANDINGS_MAX: Final = 16_384  # kept for those who ask at once, which is all but those who have gone


Gathered = tuple[SignedEvent, Deliver, int | None]


class FrontState(NamedTuple):
    """What is asked of a node's state."""

    watermark: Awaited


class FrontNode:
    """The node of a worker.  Of one event loop, but for ingest_lines."""

    def __init__(self, config: NodeConfig, database: str, page: Page) -> None:
        """database: its id."""
        self.config = config
        self.database = database
        self.channel: Channel | None = None
        self.reads: FrontReads | None = None  # as long as there are none, the owner answers
        self.state = FrontState(Awaited(page, self._await))
        self._bad = 0
        self._page = page
        self._loop: asyncio.AbstractEventLoop
        self._numbers = count()  # of batches
        self._waiting: dict[int, Settle] = {}  # None: the owner has ended
        self._gathered: list[Gathered] = []  # not sent yet
        self._sent_count = 0  # batches of single events that nothing was told of yet
        self._on_their_way = 0  # signatures, of single events
        self._standings: OrderedDict[int, tuple[SignedEvent, Standing]] = OrderedDict()
        self._ingests = Ingests(config.intake.threads, self._send_part)

    @property
    def end_seq(self) -> int:
        """The last durable event; -1 if there is none."""
        return self._page.durable_end - 1

    @property
    def applied_seq(self) -> int:
        """The last event that is readable; -1 if there is none."""
        return self.state.watermark.seq - 1

    @property
    def is_writable(self) -> bool:
        """Whether the owner takes writes; if not, it is the one to say why."""
        return self._page.writable

    @property
    def signatures_bad(self) -> int:
        """Of events not all of whose signatures verified."""
        return self._bad + self._ingests.signatures_bad

    def open(self, channel: Channel) -> None:
        """From now on events can be sent; in the loop."""
        self.channel = channel
        self._loop = asyncio.get_running_loop()

    def admit(self, data: bytes, *, any_kind: bool = True) -> SignedEvent:
        """As Node.admit."""
        bytes_max = self.config.event_bytes_max if any_kind else self.config.envelope_bytes_max
        return admit(data, self.database, bytes_max=bytes_max)

    def check_writable(self) -> None:
        """Refuse what there is no room for now; why the owner takes no writes it says itself.

        Raises: Overloaded; NotReady.
        """
        if self.channel is None:
            raise stops()
        if not self._page.writable:
            raise NotReady("the database takes no writes now", retry_after_s=1)
        if self._on_their_way >= self.config.intake.queue_count_max:
            raise Overloaded(f"{self._on_their_way} signatures wait for verification", retry_after_s=1)

    def submit_later(self, signed: SignedEvent, via: str, deliver: Deliver, *, body_bytes: int | None = None) -> None:
        """As Node.submit_later; deliver is called in the loop."""
        assert via == "http", "single events come over HTTP"
        self.check_writable()
        refusal = verify(signed)
        if refusal is not None:
            self._bad += len(signed.signatures)
            deliver(refusal)
            return
        self._on_their_way += len(signed.signatures)
        self._gathered.append((signed, deliver, body_bytes))
        if len(self._gathered) == 1 and self._sent_count < _SENT_MAX:
            self._loop.call_soon(self._send_gathered)

    def ingest_lines(self, lines: Iterable[tuple[int, SignedEvent | bytes | str]], via: str) -> list[IngestResult]:
        """As Node.ingest_lines; not in the loop, which must be running."""
        self.check_writable()
        return write_chunked(lines, self._admit_any, via, self.config.intake.chunk_count, self._ingests.ingest)

    def standing(self, signed: SignedEvent) -> Standing | None:
        """What the owner said of the signer who has least left, with the outcome of that very event."""
        kept = self._standings.pop(id(signed), None)
        return None if kept is None else kept[1]

    def charge_query(self, _agent: bytes, _lens_count: int) -> None:
        """As Node.charge_query, where questions are free.  Raises: PassOn where they are not."""
        if self.config.quota.enabled:
            raise PassOn("the owner has the meter")

    def ask_soon(self, question: Question, *, agent: bytes | None = None) -> Answer | None:
        """As Node.ask_soon.  Raises: PassOn where the owner is to answer."""
        return self._reads_now.ask_soon(question, agent=agent)

    def ask(self, question: Question, *, agent: bytes | None = None) -> Answer:
        """As Node.ask.  Raises: PassOn where the owner is to answer."""
        return self._reads_now.ask(question, agent=agent)

    def told(self, message: Outcomes) -> None:
        """What the owner says became of what was sent."""
        self._waiting.pop(message.batch)(message)

    def collected(self, number: int) -> None:
        """All audits are sent that were made so far."""
        if self.channel is not None:
            self.channel.send(Collected(number))

    def lost(self) -> None:
        """The owner has ended: nobody knows what became of what was on its way."""
        self.channel = None
        gathered, self._gathered = self._gathered, []
        for _, deliver, _ in gathered:
            deliver(stops())
        for batch in list(self._waiting):
            self._lose(batch)

    def close(self) -> None:
        """Wait for what is verified still."""
        self._ingests.close()

    def _await(self, seq: int) -> None:
        if self.channel is not None:
            self.channel.send(Await(seq))

    @property
    def _reads_now(self) -> FrontReads:
        if self.reads is None:
            raise PassOn("the state cannot be read here")
        return self.reads

    @property
    def _channel(self) -> Channel:
        assert self.channel is not None, "the channel is open as long as requests are taken"
        return self.channel

    # Single events

    def _send_gathered(self) -> None:
        if self._sent_count >= _SENT_MAX:  # what is told of those comes back here
            return
        gathered, self._gathered = self._gathered, []
        sizes = [PART_BYTES if size is None else size for _, _, size in gathered]
        for start, end in parts(sizes, PART_COUNT):
            self._send_single(gathered[start:end])

    def _send_single(self, part: Sequence[Gathered]) -> None:
        batch = next(self._numbers)
        self._sent_count += 1
        self._waiting[batch] = partial(self._settle_single, part)
        self._channel.send(Events(batch, "http", [one[0] for one in part], [one[2] for one in part]))

    def _settle_single(self, part: Sequence[Gathered], found: Outcomes | None) -> None:
        self._sent_count -= 1
        if self._gathered and found is not None:
            self._send_gathered()
        for index, (signed, deliver, _) in enumerate(part):
            self._on_their_way -= len(signed.signatures)
            if found is not None and found.standings and (standing := found.standings[index]) is not None:
                self._keep(signed, standing)
            deliver(stops() if found is None else outcome_of(signed, found.told[index]))

    def _keep(self, signed: SignedEvent, standing: Standing) -> None:
        self._standings[id(signed)] = (signed, standing)
        if len(self._standings) > _STANDINGS_MAX:
            self._standings.popitem(last=False)

    # Many events

    def _admit_any(self, given: SignedEvent | bytes) -> SignedEvent:
        if isinstance(given, bytes):
            return self.admit(given)
        return readmit(given, self.database, bytes_max=self.config.event_bytes_max)

    def _send_part(self, events: list[SignedEvent], via: str, sizes: list[int | None], settle: Settle) -> None:
        """From any thread."""
        batch = next(self._numbers)
        data = framed(Events(batch, via, events, sizes))
        self._waiting[batch] = settle
        post(self._loop, partial(self._send_or_lose, batch, data))
        if self.channel is None:  # and the loop may have ended
            self._lose(batch)

    def _send_or_lose(self, batch: int, data: bytes) -> None:
        if self.channel is not None:
            self.channel.send_framed(data)
        else:
            self._lose(batch)

    def _lose(self, batch: int) -> None:
        settle = self._waiting.pop(batch, None)
        if settle is not None:
            settle(None)
