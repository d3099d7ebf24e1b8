"""A worker: takes connections on its listening socket and answers them; ends when the owner does.

Started by episteme.server.workers.supervise, never by hand.  Of the data folder it
reads the owner's state, by a follower, and the file of API tokens; the log is the
owner's alone.
"""

import asyncio
import logging
import os
import signal
import socket
import sys
from itertools import count
from pathlib import Path
from typing import Final, cast

from cortex import CortexError
from episteme.config import ServerConfig
from episteme.node import Node, system_clock_ms
from episteme.server import journal
from episteme.server.access import check_scope, token_store
from episteme.server.connections import Connections
from episteme.server.direct import Direct
from episteme.server.draining import DrainingServer, uvicorn_config
from episteme.server.edge import Edge
from episteme.server.interpreter import settle_garbage, share_lock
from episteme.server.reads import Reads
from episteme.server.router import Router
from episteme.server.shortcut import shortcut
from episteme.server.wire import positions
from episteme.server.workers.application import READS, FrontApplication
from episteme.server.workers.audits import AuditsOut
from episteme.server.workers.channel import Channel
from episteme.server.workers.front import FrontNode
from episteme.server.workers.messages import (
    Collect,
    Drain,
    Leaving,
    Outcomes,
    Reached,
    Ready,
    Start,
    ToWorker,
    read_message,
)
from episteme.server.workers.page import Page
from episteme.server.workers.proxy import Proxy
from episteme.server.workers.reading import FrontReads
from episteme.server.workers.tally import Tally
from episteme.server.workers.upstream import Pool
from episteme.server.writes import Writes
from episteme.settings import settings_of
from stores import StoreError

_TELL_S: Final = 0.5  # between two tellings of what was counted
_TEND_TURNS: Final = 10  # of those, between two times that what is read of the state is looked after
_LOGGER: Final = logging.getLogger("episteme.server.workers")
_EXIT_ORPHAN: Final = 3


class Worker(DrainingServer):
    """The server of a worker."""

    def __init__(self, start: Start, config: ServerConfig, page: Page, door: socket.socket, end: socket.socket) -> None:
        """door, end: of the worker, as supervise makes them."""
        self._guards = Connections(config)
        self._end = end
        self._page = page
        self._tally = Tally()
        self._front = FrontNode(settings_of(start.settings).node(), start.database, page)
        self.is_orphan = False
        self._is_done = False
        self._start = start
        self._audits = AuditsOut()
        node = cast("Node", self._front)  # as far as those handlers go that are used here
        self._writes = Writes(node, config)
        self._reads = Reads(node, config)
        endpoints = [*self._writes.endpoints(), *(one for one in self._reads.endpoints() if one.path in READS)]
        router = Router(endpoints, check_scope, lambda is_read: positions(node, read=is_read))
        self._edge = Edge(
            router,
            config,
            start.address,
            tokens=token_store(Path(start.folder)),
            observer=self._tally,
            positions=lambda is_read: positions(node, read=is_read),
        )
        access_log = journal.AccessLog(self._edge) if config.access_log else None
        application = FrontApplication(
            self._front, access_log or self._edge, Proxy(Pool(door), self._edge.refusal_headers)
        )
        direct = Direct(self._edge, [*self._writes.hot(), *self._reads.hot()], config.header_bytes_max, access_log)
        protocol = shortcut(self._guards, self._edge.refusal_headers, direct)
        super().__init__(uvicorn_config(application, protocol, config), self._guards)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Take connections, and say so."""
        channel = await Channel.open(self._end, self._take, self._lost)
        self._front.open(channel)
        self._audits.open(channel)
        self._front.reads = self._open_reads()
        await super().startup(sockets)
        channel.send(Ready())
        self._telling = asyncio.create_task(self._keep_telling(channel))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As DrainingServer, and tell the owner."""
        channel = self._front.channel
        for connection in list(self.server_state.connections):
            connection.shutdown()
        if channel is not None:
            channel.send(Leaving())
        await super().shutdown(sockets)
        self._telling.cancel()
        self._is_done = True
        if channel is not None:
            self._audits.send()
            self._tell(channel)
            await channel.close()

    def close(self) -> None:
        """Wait for what is on threads still."""
        self._edge.close()
        self._writes.close()
        self._reads.close()
        if self._front.reads is not None:
            self._front.reads.close()
        self._front.close()

    def _take(self, message: ToWorker) -> None:
        match message:
            case Outcomes():
                self._front.told(message)
            case Reached():
                self._front.state.watermark.told(message)
            case Collect(number):
                self._audits.send()
                self._front.collected(number)
            case Drain(hurry):
                self.should_exit = True
                if hurry:
                    self.hurry()
            case Start():
                raise AssertionError("that comes first, and once")

    def _lost(self) -> None:
        """The owner has ended, or this worker has closed the channel at its end."""
        self._front.lost()
        if not self._is_done:
            self.is_orphan = self.should_exit = True
            self.hurry()

    def _open_reads(self) -> FrontReads | None:
        try:
            reads = FrontReads.open(
                *(Path(self._start.folder), self._start.name, self._front.config),
                applied_end=lambda: self._front.state.watermark.seq,
                outdated=lambda: self._page.outdated,
                send_audit=self._audits.put,
                clock_ms=system_clock_ms,
                random_bytes=os.urandom,
            )
        except (CortexError, StoreError, OSError) as error:
            _LOGGER.warning("this worker passes on all questions, as it cannot read the state: %s", error)
            return None
        self._audits.sending = reads.sending
        return reads

    async def _keep_telling(self, channel: Channel) -> None:
        for turn in count(1):
            await asyncio.sleep(_TELL_S)
            self._audits.send()
            self._tell(channel)
            if turn % _TEND_TURNS == 0:
                await asyncio.get_running_loop().run_in_executor(None, self._tend)

    def _tend(self) -> None:
        if self._front.reads is None:
            self._front.reads = self._open_reads()
            return
        try:
            self._front.reads.tend()
        except (CortexError, StoreError, OSError) as error:
            _LOGGER.warning("the state could not be looked after: %s", error)

    def _tell(self, channel: Channel) -> None:
        channel.send(self._tally.take(self._guards, self._front.signatures_bad))


def main() -> None:
    """Serve until told to stop; the arguments are the descriptors of channel, listening socket, door and page."""
    end, listener, door = (socket.socket(fileno=int(number)) for number in sys.argv[1:4])
    page = Page(int(sys.argv[4]))
    try:
        start = read_message(end, Start)
    except (EOFError, ConnectionError):  # the owner has ended already
        sys.exit(_EXIT_ORPHAN)
    config = settings_of(start.settings).server()
    journal.set_up(config)
    share_lock()
    door.setblocking(False)
    worker = Worker(start, config, page, door, end)
    worker.heed_signals()
    settle_garbage()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        worker.run(sockets=[listener])
    finally:
        worker.close()
    sys.exit(_EXIT_ORPHAN if worker.is_orphan else 0)


if __name__ == "__main__":
    main()
