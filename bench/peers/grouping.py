"""Group commit in a service: claims that come while a transaction runs go together into the next one."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from bench.peers.facts import Fact
from bench.peers.service import Kept

BATCH_MAX: Final = 512  # claims a transaction: eight times what 64 connections can send


class Groups:
    """One transaction at a time; each claim is answered when that which holds it is committed."""

    def __init__(
        self, insert_many: Callable[[Sequence[Fact]], Awaitable[Mapping[bytes, Kept]]], batch_max: int
    ) -> None:
        self._insert_many = insert_many
        self._batch_max = batch_max
        self._waiting: list[tuple[Fact, asyncio.Future[Kept]]] = []
        self._running: asyncio.Task[None] | None = None

    async def insert(self, fact: Fact) -> Kept:
        """As Store.insert."""
        loop = asyncio.get_running_loop()
        told: asyncio.Future[Kept] = loop.create_future()
        self._waiting.append((fact, told))
        if self._running is None:
            self._running = loop.create_task(self._commit_all())
        return await told

    async def _commit_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[: self._batch_max], self._waiting[self._batch_max :]
            try:
                kept = await self._insert_many([fact for fact, _ in batch])
            except Exception as error:  # whatever the database's library raises, all who wait are told
                for _, told in batch:
                    told.set_exception(error)
            else:
                for fact, told in batch:
                    told.set_result(kept[fact.hash])
        self._running = None
