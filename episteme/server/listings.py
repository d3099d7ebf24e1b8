"""GET handlers of the catalogue: parse, read one snapshot on a thread, render."""

import asyncio
import time
from contextlib import nullcontext
from functools import partial
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from episteme.catalog import LISTINGS, Listing
from episteme.config import ServerConfig
from episteme.described import WAIT
from episteme.node import Node
from episteme.server.bell import Bell
from episteme.server.endpoints import Endpoint, Reply
from episteme.server.places import Places
from episteme.server.tags import NEVER_CHANGES, REVALIDATED, etag_of, tagged
from episteme.server.threads import Threads
from episteme.server.wire import await_seq, wait_of

_CODES: Final = ("invalid-parameter", "not-applied", "fold-stopped", "not-ready", "overloaded")

_encode = msgspec.json.Encoder().encode


class Listings:
    """The endpoints of the catalogue of one node."""

    def __init__(self, node: Node, config: ServerConfig, places: Places) -> None:
        """places: for long polls, and for others too."""
        self._node = node
        self._places = places
        self._threads = Threads(config.read_threads, config.reads_waiting_max, "list")
        self._bells = {one.watched: Bell(node.state, one.watched) for one in LISTINGS if one.watched}
        self._draining = False

    def endpoints(self) -> list[Endpoint]:
        """Every endpoint."""
        return [
            Endpoint(
                path=one.path,
                handle=partial(self._read, one),
                summary=one.summary,
                replies=(Reply(one.shape, "The list, or the record."),),
                parameters=(*one.in_query, *WAIT),
                codes=("not-found", *_CODES) if one.in_path else _CODES,
                described={**one.parameters, **WAIT},
                revalidated=True,
            )
            for one in LISTINGS
        ]

    def drain(self) -> None:
        """Answer those who wait for news with what there is; nobody waits any more."""
        self._draining = True
        for bell in self._bells.values():
            bell.ring()

    def close(self) -> None:
        """Wait for reads in flight."""
        for bell in self._bells.values():
            bell.close()
        self._threads.close()

    async def _read(self, listing: Listing[Any], request: Request, found: dict[str, str]) -> Response:
        asked = {name: text for name, text in found.items() if name not in WAIT} | request.path_params
        read = self._node.listing_reader(listing, asked)
        await await_seq(self._node, found)
        wait_s = wait_of(found, self._node)

        def encoded() -> tuple[bool, bytes, str]:
            with self._node.reading() as reader:
                told = read(reader)
            return listing.is_empty(told), _encode(told), etag_of(told)

        waits = bool(wait_s) and listing.waits(asked)
        give_up_s = time.monotonic() + (wait_s or 0)
        with self._places.taken() if waits else nullcontext():
            while True:
                rung = self._bells[listing.watched].listen() if waits and not self._draining else None
                is_empty, body, etag = await self._threads.run(request.scope, encoded)
                if rung is None or not is_empty or not await _rings(rung, give_up_s - time.monotonic()):
                    cache = NEVER_CHANGES if listing.never_changes else REVALIDATED
                    return tagged(self._node, request, body, etag, cache=cache)


async def _rings(rung: asyncio.Event, wait_s: float) -> bool:
    """Wait for a ring; False if the time ran out."""
    try:
        async with asyncio.timeout(max(0, wait_s)):
            await rung.wait()
    except TimeoutError:
        return False
    return True
