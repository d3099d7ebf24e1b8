"""The service over SQLite: Starlette, the sqlite3 module, one connection that writes and one that reads.

    python -m bench.peers.sqlite_service FILE [--grouped]

WAL and synchronous=FULL: a commit returns after the fsync of the write-ahead log.  Each claim is a transaction of its
own; with --grouped those that come while one runs go together into the next.
"""

import argparse
import asyncio
import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

import msgspec

from bench.peers.answers import Found
from bench.peers.facts import Fact
from bench.peers.grouping import BATCH_MAX, Groups
from bench.peers.service import Kept, Store, serve

SETTINGS: Final = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS assertion (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    hash BLOB NOT NULL UNIQUE,
    subject TEXT NOT NULL,
    predicate TEXT NOT NULL,
    object_type TEXT NOT NULL,
    object_value TEXT NOT NULL,
    value_key TEXT NOT NULL,
    confidence_micros INTEGER NOT NULL,
    tier INTEGER NOT NULL,
    is_hidden INTEGER NOT NULL,
    timestamp INTEGER NOT NULL,
    agent BLOB NOT NULL,
    signature BLOB NOT NULL,
    envelope BLOB NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS assertion_pair ON assertion (subject, predicate);
"""
COLUMNS: Final = ", ".join(Fact.__struct_fields__)
INSERT: Final = f"""
INSERT INTO assertion ({COLUMNS}) VALUES ({", ".join(["?"] * len(Fact.__struct_fields__))})
ON CONFLICT (hash) DO NOTHING RETURNING seq
"""
SEQ_OF: Final = "SELECT seq FROM assertion WHERE hash = ?"
# As the service over PostgreSQL has it.
GROUPS: Final = """
SELECT max(object_type) FILTER (WHERE place = 1), max(object_value) FILTER (WHERE place = 1),
       max(hash) FILTER (WHERE place = 1) AS best, max(envelope) FILTER (WHERE place = 1),
       count(*) FILTER (WHERE age = 1) AS support, min(tier),
       json_group_array(json_array(seq, hex(hash))), count(*), max(seq)
FROM (
    SELECT *,
           row_number() OVER (PARTITION BY value_key ORDER BY stands <> value_key, tier, timestamp DESC, hash) AS place
    FROM (
        SELECT hash, seq, object_type, object_value, value_key, tier, timestamp, envelope,
               row_number() OVER by_agent AS age, first_value(value_key) OVER by_agent AS stands
        FROM assertion WHERE subject = ? AND predicate = ? AND NOT is_hidden
        WINDOW by_agent AS (PARTITION BY agent ORDER BY timestamp DESC, seq DESC)
    )
)
GROUP BY value_key
ORDER BY support DESC, min(tier) FILTER (WHERE place = 1), max(timestamp) FILTER (WHERE place = 1) DESC, best
"""
HASHES_MAX: Final = 100  # that an answer lists

values_of: Final = attrgetter(*Fact.__struct_fields__)


class SQLite:
    """The table in a file: a thread writes to it, the loop reads."""

    def __init__(self, path: Path, batch_max: int) -> None:
        self._writer = _connection(path)
        self._writer.executescript(SCHEMA)
        self._reader = _connection(path)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="write")
        self._groups = Groups(self.insert_many, batch_max)

    async def insert(self, fact: Fact) -> Kept:
        """With up to batch_max that wait; with one, by itself."""
        return await self._groups.insert(fact)

    async def insert_many(self, facts: Sequence[Fact]) -> Mapping[bytes, Kept]:
        """One transaction."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._insert, facts)

    async def groups(self, subject: str, predicate: str) -> list[Found]:
        """As Store.groups.  It takes less than handing it to a thread would."""
        return [found_of(*row) for row in self._reader.execute(GROUPS, (subject, predicate))]

    def close(self) -> None:
        """After all that was asked is done."""
        self._thread.shutdown()
        self._reader.close()
        self._writer.close()

    def _insert(self, facts: Sequence[Fact]) -> dict[bytes, Kept]:
        writer, kept = self._writer, {}
        writer.execute("BEGIN IMMEDIATE")
        try:
            for fact in facts:
                if row := writer.execute(INSERT, values_of(fact)).fetchone():
                    kept[fact.hash] = Kept(row[0], True)
                elif fact.hash not in kept:
                    kept[fact.hash] = Kept(writer.execute(SEQ_OF, (fact.hash,)).fetchone()[0], False)
        except BaseException:
            writer.execute("ROLLBACK")
            raise
        writer.execute("COMMIT")
        return kept


def _connection(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.executescript(SETTINGS)
    return connection


def found_of(*row: Any) -> Found:
    """From a row of GROUPS, which has positions and hashes as JSON, in no order."""
    found = Found(*row)
    pairs = msgspec.json.decode(row[Found._fields.index("hashes")], type=list[tuple[int, str]])
    return found._replace(hashes=[bytes.fromhex(digest) for _, digest in sorted(pairs)[:HASHES_MAX]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--grouped", action="store_true")
    options = parser.parse_args()

    @asynccontextmanager
    async def open_store() -> AsyncIterator[Store]:
        store = SQLite(options.file, BATCH_MAX if options.grouped else 1)
        yield store
        store.close()

    serve(open_store)


if __name__ == "__main__":
    main()
