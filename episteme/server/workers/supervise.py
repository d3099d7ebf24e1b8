"""The owner's side of its workers: starts them, serves their channels, starts others in place of those that ended.

Invariant: a listening socket stays open here as long as the server takes
connections, so that those which come while a worker is missing wait for the next.
"""

import asyncio
import logging
import os
import socket
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final

import msgspec

import episteme
from episteme.config import ServerConfig
from episteme.errors import CannotOpen, EpistemeError
from episteme.node import Node
from episteme.server.mailbox import post
from episteme.server.metrics import Metrics
from episteme.server.workers.audits import Collecting
from episteme.server.workers.desk import Desk
from episteme.server.workers.messages import Collect, Collected, Counts, Drain, Leaving, Ready, Start, ToOwner
from episteme.server.workers.page import Page
from episteme.server.workers.shares import settings_of_one
from episteme.server.workers.tally import Tallies

START_S_MAX: Final = 60.0  # until all workers take connections: each is up in a second, on a machine that is not busy
SILENCE_S_MAX: Final = 30.0  # a worker tells what it counted every half second; one that does not is stuck
_LOOK_S: Final = 0.05  # how often it is looked whether writes are taken
_BREAK_S: Final = SILENCE_S_MAX / 3  # between two looks: the owner stood still itself, and could hear nobody
_PAUSE_S_MIN: Final = 0.1  # before a worker is started in place of one that ended soon
_PAUSE_S_MAX: Final = 10.0
_SOON_S: Final = 10.0
_LEAVE_S: Final = 1.0  # for a worker to take no more; it looks every tenth of a second whether it is to stop
_END_S: Final = 5.0  # for a process whose channel has ended
_ADOPTED_AT_ONCE: Final = 64
_LOGGER: Final = logging.getLogger("episteme.server.workers")

Adopt = Callable[[socket.socket], None]


class Worker:
    """One process."""

    def __init__(
        self, number: int, name: str, process: "subprocess.Popen[bytes]", desk: Desk, door: socket.socket
    ) -> None:
        """number: its place, from 0.  door: where it hands over connections."""
        self.number = number
        self.name = name
        self.process = process
        self.desk = desk
        self.door = door
        self.started_s = time.monotonic()
        self.is_ready = False
        self.is_leaving = False


class Supervisor:
    """All workers of a server.  Of one event loop."""

    def __init__(
        self,
        node: Node,
        config: ServerConfig,
        address: str,
        listeners: Sequence[socket.socket],
        adopt: Adopt,
        metrics: Metrics,
    ) -> None:
        """address: an IP, of the listeners.  adopt: takes connections that workers hand over, as they are."""
        self._node = node
        folder = str(node.log.folder.parent.absolute())
        self._start = Start(settings_of_one(config, node.config), node.database, folder, address, "")
        self._drain_s = config.drain_s
        self._listeners = listeners
        self._adopt = adopt
        self._page = Page.make()
        self._workers: set[Worker] = set()
        self._pauses_s = [0.0] * len(listeners)
        self._loop: asyncio.AbstractEventLoop
        self._changed: asyncio.Event
        self._looking: asyncio.Task[None] | None = None
        self._is_up = False
        self._draining = False
        self._problem: str | None = None
        self.started_count = 0
        self._metrics = metrics
        self._tallies = metrics.connections = Tallies(metrics)
        self._collecting = Collecting(self._ask_all)
        node.auditor.collect = self._collecting.collect
        metrics.workers = lambda: (self.ready_count, self.started_count)

    @property
    def ready_count(self) -> int:
        """How many take connections."""
        return sum(worker.is_ready and not worker.is_leaving for worker in list(self._workers))

    async def start(self) -> None:
        """Start all, and wait until they take connections.  Raises: CannotOpen."""
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._watch_positions()
        self._looking = asyncio.create_task(self._keep_looking())
        for number in range(len(self._listeners)):
            self._spawn(number)
        try:
            async with asyncio.timeout(START_S_MAX):
                while self.ready_count < len(self._listeners) and self._problem is None:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            self._problem = f"workers do not take connections after {START_S_MAX:g} s"
        if self._problem is not None:
            raise CannotOpen(self._problem, hint="See what the workers said, and whether the machine has memory left.")
        self._is_up = True

    async def begin_drain(self) -> None:
        """Have all workers finish what they have taken, and end; nobody listens any more on return."""
        self._draining = True
        for listener in self._listeners:
            listener.close()
        self._tell(Drain(hurry=False))
        with suppress(TimeoutError):
            async with asyncio.timeout(_LEAVE_S):
                while not all(worker.is_leaving for worker in self._workers):
                    self._changed.clear()
                    await self._changed.wait()

    async def drained(self) -> None:
        """Wait until all workers have ended, which takes them drain_s at most; one that takes longer is ended."""
        self._loop.call_later(self._drain_s + _END_S, self._end_all)
        while self._workers:
            self._changed.clear()
            await self._changed.wait()
        if self._looking is not None:
            self._looking.cancel()

    def hurry(self) -> None:
        """Have the workers wait for nobody."""
        self._tell(Drain(hurry=True))
        self._loop.call_later(_END_S, self._end_all)

    def kill(self) -> None:
        """End those that are left; from any thread, after the loop too."""
        self._draining = True
        for worker in list(self._workers):
            worker.process.kill()
            worker.process.wait()

    def _tell(self, message: Drain) -> None:
        for worker in self._workers:
            worker.desk.send(message)

    def _ask_all(self, message: Collect) -> list[int]:
        """In any thread."""
        ready = [worker for worker in list(self._workers) if worker.is_ready]
        for worker in ready:
            worker.desk.send(message)
        return [worker.process.pid for worker in ready]

    # One worker

    def _spawn(self, number: int) -> None:
        end, theirs = socket.socketpair()
        door, their_door = socket.socketpair()
        with theirs, their_door:
            files = (theirs.fileno(), self._listeners[number].fileno(), their_door.fileno(), self._page.file)
            process = subprocess.Popen(  # noqa: S603  (this program)
                [sys.executable, "-P", "-m", "episteme.server.workers.process", *map(str, files)],
                stdin=subprocess.DEVNULL,
                pass_fds=files,
                env=_environment(),
                start_new_session=True,  # Ctrl-C in a terminal is the owner's to hear
            )
        told: list[Worker] = []
        desk = Desk(
            self._node, self._page, end, lambda message: post(self._loop, partial(self._told, told[0], message))
        )
        worker = Worker(number, name_for(number, {other.name for other in self._workers}), process, desk, door)
        told.append(worker)
        self._workers.add(worker)
        self.started_count += 1
        desk.send(msgspec.structs.replace(self._start, name=worker.name))
        door.setblocking(False)
        self._loop.add_reader(door.fileno(), self._take_connections, worker)
        threading.Thread(target=self._serve, args=(worker,), name=f"worker-{number}", daemon=True).start()

    def _serve(self, worker: Worker) -> None:
        """In a thread of its own, until the worker has ended."""
        try:
            worker.desk.run()
        except Exception:
            _LOGGER.exception("worker %d said what cannot be read; it is ended", worker.number)
            worker.process.kill()
        try:
            worker.process.wait(_END_S)
        except subprocess.TimeoutExpired:
            worker.process.kill()
            worker.process.wait()
        post(self._loop, partial(self._ended, worker))

    def _told(self, worker: Worker, message: ToOwner) -> None:
        match message:
            case Collected(number):
                self._collecting.collected(worker.process.pid, number)
            case Ready():
                worker.is_ready = True
            case Counts():
                self._tallies.add(worker.process.pid, message)
            case Leaving():
                worker.is_leaving = True
                self._replace(worker)
        self._changed.set()

    def _take_connections(self, worker: Worker) -> None:
        """Connections that the worker hands over: it sends requests on them, and the server here answers."""
        for _ in range(_ADOPTED_AT_ONCE):
            try:
                data, files, _, _ = socket.recv_fds(worker.door, 1, 1)
            except BlockingIOError:
                return
            except OSError:
                data, files = b"", []
            if not data:  # it has ended
                self._loop.remove_reader(worker.door.fileno())
                return
            for file in files:
                self._adopt(socket.socket(fileno=file))

    def _ended(self, worker: Worker) -> None:
        self._workers.discard(worker)
        self._tallies.remove(worker.process.pid)
        self._collecting.ended(worker.process.pid)
        self._loop.remove_reader(worker.door.fileno())
        worker.door.close()
        code = worker.process.returncode
        what = f"by signal {-code}" if code < 0 else f"with code {code}"
        if not self._draining and not worker.is_leaving:
            _LOGGER.warning("worker %d (process %d) ended %s", worker.number, worker.process.pid, what)
            if self.started_count == len(self._listeners) and not worker.is_ready:
                self._problem = f"a worker ended {what} before it took connections"
            else:
                self._replace(worker)
        self._changed.set()

    def _replace(self, worker: Worker) -> None:
        """Start another one, later if this one has ended soon."""
        if self._draining:
            return
        number = worker.number
        was_soon = time.monotonic() - worker.started_s < _SOON_S
        pause_s = self._pauses_s[number] if was_soon else 0.0
        self._pauses_s[number] = min(max(2 * pause_s, _PAUSE_S_MIN), _PAUSE_S_MAX)
        self._loop.call_later(pause_s, self._spawn_again, number)

    def _spawn_again(self, number: int) -> None:
        if self._draining:
            return
        try:
            self._spawn(number)
        except OSError as error:
            _LOGGER.error("a worker could not be started: %s", error)
            self._loop.call_later(_PAUSE_S_MAX, self._spawn_again, number)

    # Positions

    def _watch_positions(self) -> None:
        node, page = self._node, self._page

        def grown() -> None:
            page.show_durable(node.log.durable_end)

        node.log.watch(grown)
        node.state.observe(self._folded)
        grown()
        page.show_applied(node.state.watermark.seq)

    def _folded(self, event_count: int) -> None:
        """After each commit of the fold, in its thread."""
        self._page.show_applied(self._node.state.watermark.seq)
        self._metrics.folded(event_count)

    async def _keep_looking(self) -> None:
        """Whether writes are taken, and whether all workers are well."""
        looked_s = listens_since_s = time.monotonic()
        while True:
            self._page.show_outdated(self._node.state.outdated)
            self._page.show_writable(_takes_writes(self._node))
            now_s = time.monotonic()
            if now_s - looked_s > _BREAK_S:
                listens_since_s = now_s
            looked_s = now_s
            if self._is_up:  # until then start() waits, and longer
                self._end_silent(now_s - SILENCE_S_MAX, listens_since_s)
            await asyncio.sleep(_LOOK_S)

    def _end_silent(self, silent_s: float, listens_since_s: float) -> None:
        """Those who have said nothing since then, if anybody listened."""
        for worker in self._workers:
            if max(worker.desk.waits_since_s, listens_since_s) < silent_s:
                _end_stuck(worker)

    def _end_all(self) -> None:
        """Those that are left of a stop."""
        for worker in self._workers:
            _end_stuck(worker)


def name_for(number: int, taken: Collection[str]) -> str:
    """The first name of a place that nobody has who is still there: those who leave go on reading under theirs."""
    return next(name for turn in count() if (name := f"{number}-{turn}") not in taken)


def _end_stuck(worker: Worker) -> None:
    _LOGGER.error("worker %d (process %d) is stuck; it is ended", worker.number, worker.process.pid)
    worker.process.kill()


def _takes_writes(node: Node) -> bool:
    try:
        node.check_writable()
    except EpistemeError:
        return False
    return True


def _environment() -> dict[str, str]:
    """That of a worker: the same program is found, and no service manager, which is the owner's to speak to."""
    kept = {name: value for name, value in os.environ.items() if name not in ("NOTIFY_SOCKET", "WATCHDOG_USEC")}
    root = str(Path(episteme.__file__).parents[1])
    if root not in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):
        kept["PYTHONPATH"] = os.pathsep.join(filter(None, (kept.get("PYTHONPATH"), root)))
    return kept
