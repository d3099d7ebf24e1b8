"""Claims as aggregates of `eventsourcing`, one event each, and a projection of them that answers questions.

Every envelope is decoded, checked and verified before it is recorded, as ours is.  The recorder over SQLite offers no
subscription, so the projection reads the notification log page by page, each page in one transaction with its place.
"""

from collections.abc import Sequence
from functools import singledispatchmethod
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate
from eventsourcing.persistence import Tracking
from eventsourcing.projection import Projection
from eventsourcing.sqlite import SQLiteDatastore, SQLiteTrackingRecorder

from bench.measured import INGEST, Measured
from bench.peers.answers import Found, answer
from bench.peers.facts import Fact, fact_of, read_fact
from bench.peers.programs import APPEND_MANY, APPEND_ONE, BATCH, Task, in_batches, main, one_by_one
from bench.peers.sqlite_service import GROUPS, INSERT, SCHEMA, found_of, values_of
from model import decode_envelope

INGESTED: Final = 1000  # claims of a transaction
SYNCHRONOUS_FULL: Final = 2


class Claim(Aggregate):
    """One claim, recorded as it was signed."""

    def __init__(self, digest: str, envelope: str) -> None:
        self.digest = digest
        self.envelope = envelope

    @staticmethod
    def create_id(digest: str, envelope: str) -> UUID:  # noqa: ARG004
        """From the claim's hash, so that it is recorded once."""
        return UUID(digest[:32])


class Claims(Application[UUID]):
    """Records verified claims."""

    def record(self, bodies: Sequence[bytes]) -> int:
        """Verify, then keep all in one transaction; on the disk on return.  The last one's place."""
        facts = [read_fact(body) for body in bodies]
        recorded = self.save(*[Claim(fact.hash.hex(), fact.envelope.decode()) for fact in facts])
        return recorded[-1].notification.id


class Answers(SQLiteTrackingRecorder):
    """The claims as rows that a question reads, and how far the log has been read."""

    def construct_create_table_statements(self) -> list[str]:
        return [*super().construct_create_table_statements(), *(text for text in SCHEMA.split(";") if text.strip())]

    def keep(self, facts: Sequence[Fact], tracking: Tracking) -> None:
        """All in one transaction."""
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            for fact in facts:
                cursor.execute(INSERT, values_of(fact))

    def groups(self, subject: str, predicate: str) -> list[Found]:
        """As Store.groups."""
        with self.datastore.transaction(commit=False) as cursor:
            cursor.execute(GROUPS, (subject, predicate))
            return [found_of(*row) for row in cursor.fetchall()]


class ClaimProjection(Projection[Answers]):
    """Keeps what the log says, a page at a time."""

    @singledispatchmethod
    def process_event(self, domain_event: Any, tracking: Tracking) -> None:
        """One event: as a page of one."""
        self.process_page([domain_event], tracking)

    def process_page(self, domain_events: Sequence[Any], tracking: Tracking) -> None:
        """What was signed is not verified again."""
        facts = [fact_of(decode_envelope(event.envelope.encode())) for event in domain_events]
        self.view.keep(facts, tracking)


class Database:
    """The application and its projection, each in a file of its own."""

    def __init__(self, folder: Path) -> None:
        self.claims = Claims({"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": str(folder / "claims")})
        view = Answers(SQLiteDatastore(str(folder / "answers")))
        view.create_table()
        self.view = view
        self._projection = ClaimProjection(view)
        self._read = 0
        for recorder in (self.claims.recorder, view):
            with recorder.datastore.transaction(commit=False) as cursor:
                cursor.execute("PRAGMA synchronous")
                (found,) = cursor.fetchone()
                assert found == SYNCHRONOUS_FULL, found

    def record_and_project(self, bodies: Sequence[bytes]) -> None:
        """Record, then read the log until all is in the view."""
        last = self.claims.record(bodies)
        while self._read < last:
            page = self.claims.recorder.select_notifications(self._read, INGESTED, inclusive_of_start=False)
            events = [self.claims.mapper.to_domain_event(notification) for notification in page]
            self._read = page[-1].id
            self._projection.process_page(events, Tracking(self.claims.name, self._read))


def append_one(task: Task) -> Measured:
    """A transaction a claim."""
    claims = Database(task.folder).claims
    return one_by_one(lambda body: claims.record([body]), task)


def append_many(task: Task) -> Measured:
    """A transaction for each 64 claims."""
    return in_batches(Database(task.folder).claims.record, task, BATCH)


def ingest(task: Task) -> Measured:
    """Until the projection answers from all of them."""
    database = Database(task.folder)
    measured = in_batches(database.record_and_project, task, INGESTED)
    last = read_fact(task.bodies[-1])
    found = answer(last.subject, last.predicate, database.view.groups(last.subject, last.predicate))
    assert last.hash.hex().encode() in found, found
    return measured


if __name__ == "__main__":
    main({APPEND_ONE: append_one, APPEND_MANY: append_many, INGEST: ingest})
