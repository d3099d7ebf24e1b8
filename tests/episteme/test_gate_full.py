"""Writes that a full disk refuses: nothing of them is known afterwards, and they can be sent again."""

import errno
import random
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from episteme.config import NodeConfig
from episteme.errors import DiskFull, NotFound, Overloaded
from episteme.gate import QuotaOptions
from episteme.gate.known import RecentEvents
from episteme.gate.revoked import RevokedKeys
from episteme.node import Node
from episteme.receipts import Receipt
from episteme.space import LOOK_S, RETRY_S, Space
from model import KeyRevocation, SignedEvent
from stores import OperatorStore
from tests.support.events import FULL_EVENTS, KEY_A, KEY_B, make_assertion, signed
from tests.support.faulty_files import WAIT_S, FaultyFiles
from tests.support.nodes import node_on

EVENT = signed(make_assertion(subject="refused"))
BY_B = signed(make_assertion(subject="refused"), KEY_B)
OTHER = signed(make_assertion(subject="other"))
_REVOCATION = next(event for event in FULL_EVENTS if isinstance(event, KeyRevocation))
REVOCATION = signed(msgspec.structs.replace(_REVOCATION, agent=KEY_B.agent_hex), KEY_B)
QUOTA = NodeConfig(quota=QuotaOptions(enabled=True, tokens_per_hour=100_000))


class Disk:
    """A disk that is full when a test says so, and the clock of the pause after that."""

    def __init__(self) -> None:
        self.files = FaultyFiles()
        self.now_s = 0.0
        self.space = Space(lambda: None, clock_s=lambda: self.now_s)

    def fill(self, error: int = errno.ENOSPC) -> None:
        """The next write finds no room."""
        self.files.fail("write", error=error, written_bytes=50)

    def wait(self) -> None:
        """Until a write may try again."""
        self.now_s += RETRY_S + LOOK_S


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def node(tmp_path: Path, disk: Disk) -> Iterator[Node]:
    with node_on(tmp_path, files=disk.files, space=disk.space) as node:
        yield node


def check_gone(node: Node, event: SignedEvent, end_seq: int = -1) -> None:
    with pytest.raises(NotFound):
        node.get(event.hash_hex)
    assert node.end_seq == end_seq


def test_refused_write_is_accepted_when_it_is_sent_again_and_is_no_duplicate_of_itself(node: Node, disk: Disk) -> None:
    disk.fill()
    with pytest.raises(DiskFull) as caught:
        node.submit(EVENT)
    assert caught.value.retry_after_s
    check_gone(node, EVENT)
    with pytest.raises(DiskFull):
        node.submit(OTHER)
    disk.wait()
    assert node.submit(OTHER) == Receipt(OTHER.hash_hex, 0)
    assert node.submit(EVENT, wait_s=WAIT_S) == Receipt(EVENT.hash_hex, 1, "applied")
    assert node.submit(EVENT) == Receipt(EVENT.hash_hex, 1, "duplicate")


def test_duplicate_and_cosigned_copy_that_wait_with_the_refused_write_are_refused_with_it(
    node: Node, disk: Disk
) -> None:
    """The dangerous moment: each knows of the first, which is in no log yet, and never will be."""
    outcomes: list[Future[object]] = []
    with ThreadPoolExecutor(4) as threads:
        disk.fill()
        disk.files.hold("write")
        outcomes.append(threads.submit(node.submit, EVENT))
        disk.files.wait_held()
        for number, event in enumerate((EVENT, BY_B, OTHER), 2):
            outcomes.append(threads.submit(node.submit, event))
            while node.intake.signatures_good < number:  # until it has come to the log
                assert not outcomes[-1].done()
        disk.files.release("write")
        for outcome in outcomes:
            with pytest.raises(DiskFull):
                outcome.result(WAIT_S)
    check_gone(node, EVENT)
    disk.wait()
    assert node.submit(BY_B) == Receipt(EVENT.hash_hex, 0)
    assert node.submit(EVENT, wait_s=WAIT_S) == Receipt(EVENT.hash_hex, 1, "applied")
    assert [one.agent for one in node.get(EVENT.hash_hex).signatures] == [KEY_B.agent_hex, KEY_A.agent_hex]


def test_refused_revocation_revokes_nobody(node: Node, disk: Disk) -> None:
    disk.fill()
    with pytest.raises(DiskFull):
        node.submit(REVOCATION)
    disk.wait()
    assert node.submit(BY_B, wait_s=WAIT_S).status == "applied"


def test_write_that_finds_no_file_handle_is_overloaded_and_shows_no_path(
    tmp_path: Path, node: Node, disk: Disk
) -> None:
    disk.fill(errno.EMFILE)
    with pytest.raises(Overloaded) as caught:
        node.submit(EVENT)
    assert caught.value.retry_after_s
    assert str(tmp_path) not in caught.value.detail
    assert node.submit(EVENT) == Receipt(EVENT.hash_hex, 0)


def test_refused_write_costs_nobody_anything(tmp_path: Path, disk: Disk) -> None:
    with node_on(tmp_path, files=disk.files, space=disk.space, config=QUOTA) as node:
        before = node.standing(EVENT)
        for submit in (lambda: node.submit(EVENT), lambda: node.submit_many([EVENT, OTHER], "test")):
            disk.fill()
            with pytest.raises(DiskFull):
                submit()
            assert node.standing(EVENT) == before
            disk.wait()
        node.submit(EVENT)
        after = node.standing(EVENT)
        assert before is not None
        assert after is not None
        assert after.remaining < before.remaining


def test_health_says_that_the_disk_is_full_until_there_may_be_room(node: Node, disk: Disk) -> None:
    disk.fill()
    with pytest.raises(DiskFull):
        node.submit(EVENT)
    report = node.status()
    assert (report.ready, report.disk.full, report.log.failure) == (False, True, "disk-full")
    assert any("the disk is full" in reason for reason in report.reasons)
    disk.wait()
    report = node.status()
    assert (report.ready, report.disk.full, report.log.failure) == (True, False, None)


def test_database_on_a_full_disk_opens_reads_and_declares_its_rules_with_the_first_write(
    tmp_path: Path, disk: Disk
) -> None:
    with node_on(tmp_path) as node:
        node.submit(EVENT, wait_s=WAIT_S)
    config = NodeConfig(operators=(KEY_B.agent_hex,))
    disk.files.fail("write", at=2, error=errno.ENOSPC)  # the first is the lock's
    with node_on(tmp_path, files=disk.files, space=disk.space, config=config) as node:
        assert node.get(EVENT.hash_hex).seq == node.end_seq == 0
        disk.wait()
        assert node.submit(OTHER, wait_s=WAIT_S).seq == 2
        with node.state.snapshot() as reader:
            assert OperatorStore(reader).rules().operators == (KEY_B.agent,)


def test_known_events_are_those_that_were_not_refused() -> None:
    """Against a list: events that are appended, folded from the front, and refused from the back."""
    generator = random.Random(7)
    events = [signed(make_assertion(subject=f"s{number % 4}"), (KEY_A, KEY_B)[number % 2]) for number in range(8)]
    recent, window, cursor, seq = RecentEvents(), list[tuple[int, SignedEvent]](), 0, 0
    for _ in range(5000):
        match generator.randrange(5):
            case 0:
                cursor = generator.randint(cursor, seq)
                recent.forget_before(cursor)
            case 1:
                seq = generator.randint(max(cursor, seq - 5), seq)
                recent.forget_from(seq)
            case _:
                event = generator.choice(events)
                recent.add(seq, event, recent.find(event.digest))
                window.append((seq, event))
                seq += 1
        window = [one for one in window if cursor <= one[0] < seq]
        assert len(recent) == len(window)
        for event in events:
            found = recent.find(event.digest)
            signers = {one.signatures[0].agent for _, one in window if one.digest == event.digest}
            assert (found is not None) is bool(signers)
            assert found is None or signers <= found.agents


def test_revocations_that_were_refused_are_forgotten() -> None:
    revoked = RevokedKeys()
    revoked.add(KEY_A.agent, 3)
    revoked.add(KEY_B.agent, 5)
    revoked.forget_from(5)
    assert revoked.find([KEY_B.agent]) is None
    assert revoked.find([KEY_A.agent]) == KEY_A.agent
    revoked.forget_from(0)
    assert revoked.find([KEY_A.agent]) is None
