"""The service over PostgreSQL: Starlette, psycopg 3 and its pool.

    python -m bench.peers.postgres_service DSN [--processes N] [--connections N] [--grouped]

Every statement is prepared, its parameters binary, and commits by itself.  --grouped: claims that come while a
transaction runs go together into the next one, over one connection.
"""

import argparse
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from operator import attrgetter
from typing import Any, Final

import psycopg
from psycopg.types.numeric import Int2, Int4, Int8
from psycopg_pool import AsyncConnectionPool

from bench.peers.answers import Found
from bench.peers.facts import Fact
from bench.peers.grouping import BATCH_MAX, Groups
from bench.peers.service import Kept, Store, serve

CONNECTIONS: Final = 8  # of each process; neither 16 nor 32 was quicker by more than the noise, 4 was slower
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS assertion (
    hash bytea PRIMARY KEY,
    seq bigserial,
    subject text NOT NULL,
    predicate text NOT NULL,
    object_type text NOT NULL,
    object_value text NOT NULL,
    value_key text NOT NULL,
    confidence_micros integer NOT NULL,
    tier smallint NOT NULL,
    is_hidden boolean NOT NULL,
    timestamp bigint NOT NULL,
    agent bytea NOT NULL,
    signature bytea NOT NULL,
    envelope bytea NOT NULL
);
CREATE INDEX IF NOT EXISTS assertion_pair ON assertion (subject, predicate);
"""
COLUMNS: Final = ", ".join(Fact.__struct_fields__)
INSERT: Final = f"""
INSERT INTO assertion ({COLUMNS}) VALUES ({", ".join(["%b"] * len(Fact.__struct_fields__))})
ON CONFLICT (hash) DO NOTHING RETURNING seq
"""
INSERT_MANY: Final = f"""
INSERT INTO assertion ({COLUMNS})
SELECT * FROM unnest(
    %b::bytea[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::int4[], %b::int2[], %b::bool[],
    %b::int8[], %b::bytea[], %b::bytea[], %b::bytea[]
) ON CONFLICT (hash) DO NOTHING RETURNING hash, seq
"""
SEQS: Final = "SELECT hash, seq FROM assertion WHERE hash = ANY(%b)"
# As docs/lenses.md says of consensus: an agent stands for the value of its latest claim; a value is represented by its
# best claim, of those whose agents stand for it if there are any.
GROUPS: Final = """
SELECT (array_agg(object_type) FILTER (WHERE place = 1))[1],
       (array_agg(object_value) FILTER (WHERE place = 1))[1],
       (array_agg(hash) FILTER (WHERE place = 1))[1] AS best,
       (array_agg(envelope) FILTER (WHERE place = 1))[1],
       count(*) FILTER (WHERE age = 1) AS support,
       min(tier),
       (array_agg(hash ORDER BY seq))[:100],
       count(*),
       max(seq)
FROM (
    SELECT *,
           row_number() OVER (PARTITION BY value_key ORDER BY stands <> value_key, tier, timestamp DESC, hash) AS place
    FROM (
        SELECT hash, seq, object_type, object_value, value_key, tier, timestamp, envelope,
               row_number() OVER by_agent AS age, first_value(value_key) OVER by_agent AS stands
        FROM assertion WHERE subject = %b AND predicate = %b AND NOT is_hidden
        WINDOW by_agent AS (PARTITION BY agent ORDER BY timestamp DESC, seq DESC)
    ) AS candidate
) AS placed
GROUP BY value_key
ORDER BY support DESC, min(tier) FILTER (WHERE place = 1), max(timestamp) FILTER (WHERE place = 1) DESC, best
"""
WRAPPED: Final = {"confidence_micros": Int4, "tier": Int2, "timestamp": Int8}  # else the size of a value is its type
_COLUMN_READERS: Final = [(attrgetter(name), WRAPPED.get(name)) for name in Fact.__struct_fields__]

Rows = list[tuple[Any, ...]]


class Postgres:
    """The table, over a pool of connections that are in autocommit."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool

    async def insert(self, fact: Fact) -> Kept:
        """One statement, which is its own transaction."""
        found = await self._rows(INSERT, _parameters(fact))
        return Kept(found[0][0], True) if found else (await self._known([fact.hash]))[fact.hash]

    async def insert_many(self, facts: Sequence[Fact]) -> Mapping[bytes, Kept]:
        """The same for all of them, passed as an array a column."""
        columns = [_column(facts, read, wrap) for read, wrap in _COLUMN_READERS]
        kept = {digest: Kept(seq, True) for digest, seq in await self._rows(INSERT_MANY, columns)}
        known = [fact.hash for fact in facts if fact.hash not in kept]
        return kept | await self._known(known) if known else kept

    async def groups(self, subject: str, predicate: str) -> list[Found]:
        """As Store.groups."""
        return [Found(*row) for row in await self._rows(GROUPS, (subject, predicate))]

    async def _known(self, hashes: list[bytes]) -> dict[bytes, Kept]:
        return {digest: Kept(seq, False) for digest, seq in await self._rows(SEQS, (hashes,))}

    async def _rows(self, statement: str, parameters: Sequence[object]) -> Rows:
        async with self._pool.connection() as connection:
            cursor = connection.cursor(binary=True)
            await cursor.execute(statement, parameters, prepare=True)
            return await cursor.fetchall()


class GroupedPostgres(Postgres):
    """The same with a group commit of its own, above that of PostgreSQL."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        super().__init__(pool)
        self._groups = Groups(self.insert_many, BATCH_MAX)

    async def insert(self, fact: Fact) -> Kept:
        """With all that wait."""
        return await self._groups.insert(fact)


def _parameters(fact: Fact) -> list[object]:
    return [wrap(read(fact)) if wrap else read(fact) for read, wrap in _COLUMN_READERS]


def _column(facts: Sequence[Fact], read: Any, wrap: Any) -> list[object]:
    return [wrap(read(fact)) for fact in facts] if wrap else [read(fact) for fact in facts]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dsn")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--connections", type=int, default=CONNECTIONS, help="of each process")
    parser.add_argument("--grouped", action="store_true")
    options = parser.parse_args()

    @asynccontextmanager
    async def open_store() -> AsyncIterator[Store]:
        count, settings = options.connections, {"autocommit": True}
        async with AsyncConnectionPool(
            options.dsn, min_size=count, max_size=count, kwargs=settings, open=False
        ) as pool:
            await pool.wait()
            yield GroupedPostgres(pool) if options.grouped else Postgres(pool)

    with psycopg.connect(options.dsn, autocommit=True) as connection:
        connection.execute(SCHEMA)
    serve(open_store, options.processes)


if __name__ == "__main__":
    main()
