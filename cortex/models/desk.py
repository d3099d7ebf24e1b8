"""A model at work: its log, its state, its commands and its questions, opened and closed together.

Source: docs/cortex.md.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, ClassVar, Final, Generic, NamedTuple, Self, TypeVar

from cortex.models.checks import is_id
from cortex.models.commands import CommandOptions, Commands, Receipt
from cortex.models.domain import ROW, DomainFold, Event, Logged, Model, Row, Rows
from cortex.models.paging import Finder, Page, check_limit
from cortex.models.refusals import InvalidQuery
from cortex.snapshots import OpenStore
from cortex.state import State, StateOptions
from cortex.watch import Watch
from stores import KV, LmdbEngine, Reader
from wal import Log, LogOptions, Redex

Query = TypeVar("Query", contravariant=True)

LOGS_FOLDER: Final = "logs"
STATE_FOLDER: Final = "state"
LIMIT: Final = 50  # records of a page, if nothing else is asked for


MAP_BYTES: Final = 16 * 1024**3  # address space, not disk: more than any such state takes


def open_lmdb(folder: Path) -> KV:
    """Open or create an LMDB in a folder.  Raises: StoreLocked; StoreFailed."""
    return LmdbEngine(folder, map_bytes=MAP_BYTES)


class DeskOptions(NamedTuple):
    """How a model is kept and asked."""

    commands: CommandOptions = CommandOptions()
    state: StateOptions = StateOptions()
    scan_count_max: int = 100_000  # index entries that one query may look at: a few tenths of a second
    open_store: OpenStore = open_lmdb


class View(Generic[Row, Query]):
    """One moment of a model's state.  Good for as long as its reader is."""

    def __init__(self, model: Model[Any, Row], reader: Reader, log_id: bytes, scan_count_max: int) -> None:
        """log_id: of the log that the state is a fold of."""
        self._model = model
        self._rows = Rows(model, reader)
        self._finder = Finder(model, reader, log_id, scan_count_max)

    def get(self, id_: str) -> Row:
        """One record.  Raises: the model's not-found."""
        found = self.find_one(id_)
        if found is None:
            raise self._model.missing(id_)
        return found

    def find_one(self, id_: str) -> Row | None:
        """One record, or None."""
        return self._rows.find(id_) if is_id(id_) else None

    def find(self, query: Query, *, limit: int = LIMIT, cursor: str | None = None) -> Page[Row]:
        """A page of what matches.  Raises: InvalidQuery; QueryTooWide."""
        return self._finder.page(query, self._model.plan(query), limit, cursor)

    def counts(self) -> Mapping[str, int]:
        """How many records are in each group, by its name; all groups are there."""
        return {name: self._rows.count(letter) for name, letter in self._model.groups.items()}


class Desk(Generic[Event, Row, Query]):
    """A model at work.  Thread-safe."""

    model: ClassVar[Model[Any, Any]]

    def __init__(self, log: Log, state: State[Logged[Event]], options: DeskOptions, closing: ExitStack) -> None:
        """Use open or over."""
        self.log = log
        self.state = state
        self._options = options
        self._closing = closing
        self._commands: Commands[Event, Row] = Commands(self.model, log, state, options.commands)

    @classmethod
    def open(
        cls,
        folder: Path | str,
        *,
        clock_ms: Callable[[], int],
        new_log_id: Callable[[], bytes],
        log_options: LogOptions = LogOptions(),  # noqa: B008  (immutable)
        options: DeskOptions = DeskOptions(),  # noqa: B008  (immutable)
    ) -> Self:
        """Open or create a log and its state in a folder; close() closes both.

        clock_ms, new_log_id: as Redex.open.  A log that is not durable may lose its last events in a power cut:
        a state that has them is made anew then.
        Raises: LogLocked; StateLocked; WrongLog; ValueError for bad options; what else Redex.log and State.open raise.
        """
        with ExitStack() as opened:
            redex = Redex.open(Path(folder) / LOGS_FOLDER, clock_ms=clock_ms, new_log_id=new_log_id)
            opened.callback(redex.close)
            log = redex.log(cls.model.name, log_options)
            if log_options.durability != "durable":
                options = options._replace(state=options.state._replace(on_loss="remake"))
            return cls._over(log, Path(folder) / STATE_FOLDER, options, opened)

    @classmethod
    def over(cls, log: Log, folder: Path | str, *, options: DeskOptions = DeskOptions()) -> Self:  # noqa: B008
        """Open or create the state of a log that the caller has open, and closes after this is closed.

        The log should be the model's own: what is no event of the model stops the fold, or is a dead letter.
        Raises: StateLocked; WrongLog; ValueError for bad options; what else State.open raises.
        """
        with ExitStack() as opened:
            return cls._over(log, Path(folder), options, opened)

    @classmethod
    def _over(cls, log: Log, folder: Path, options: DeskOptions, opened: ExitStack) -> Self:
        _check_options(options)
        folds = (DomainFold(cls.model),)
        state = opened.enter_context(
            State.open(folder, log, folds, cls.model.decode, open_store=options.open_store, options=options.state)
        )
        state.start()
        return cls(log, state, options, opened.pop_all())

    # Reading

    def get(self, id_: str) -> Row:
        """One record.  Raises: the model's not-found."""
        with self.view() as view:
            return view.get(id_)

    def find(self, query: Query, *, limit: int = LIMIT, cursor: str | None = None) -> Page[Row]:
        """A page of what matches, and the cursor of the next.  Raises: InvalidQuery; QueryTooWide."""
        with self.view() as view:
            return view.find(query, limit=limit, cursor=cursor)

    def counts(self) -> Mapping[str, int]:
        """How many records are in each group, by its name."""
        with self.view() as view:
            return view.counts()

    @contextmanager
    def view(self) -> Iterator[View[Row, Query]]:
        """The newest state, for several questions to one moment.  Let go of it soon."""
        with self.state.snapshot() as reader:
            yield self._view_of(reader)

    @contextmanager
    def as_of(self, position: int) -> Iterator[View[Row, Query]]:
        """The state of the first position events.  Raises: as State.as_of."""
        store = self.state.as_of(position)
        try:
            with store.snapshot() as reader:
                yield self._view_of(reader)
        finally:
            store.close()

    def watch(self, query: Query, *, limit: int = LIMIT, timeout_s: float | None = None) -> Watch[tuple[Row, ...]]:
        """The first limit records that match, now and then whenever they are others or have changed.

        Raises: InvalidQuery; TooManyWatchers.
        """
        self.model.plan(query)
        check_limit(limit)
        return self.state.watch(
            lambda reader: self._view_of(reader).find(query, limit=limit).items, prefixes=(ROW,), timeout_s=timeout_s
        )

    def watch_one(self, id_: str, *, timeout_s: float | None = None) -> Watch[Row | None]:
        """One record, now and then whenever it has changed; None while there is none of that id.

        Raises: InvalidQuery for what can be no id; TooManyWatchers.
        """
        if not is_id(id_):
            raise InvalidQuery(f"{id_!r:.80} can be no id")
        return self.state.watch(
            lambda reader: self._view_of(reader).find_one(id_), keys=(ROW + id_.encode(),), timeout_s=timeout_s
        )

    # Writing

    def wait(self, receipt: Receipt, timeout_s: float | None = None) -> None:
        """Wait until a command is applied, which is never before it is as durable as the log promises.

        timeout_s: None for the options' wait_s.
        Raises: WrongLog for another log's receipt; NotApplied if the time ran out; CortexError if the fold has
        stopped; LogError if the log has failed.
        """
        self._commands.wait(receipt, timeout_s)

    def close(self) -> None:
        """Finish what is in hand and close what was opened here.  A second call does nothing."""
        self._closing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _view_of(self, reader: Reader) -> View[Row, Query]:
        return View(self.model, reader, self.log.log_id, self._options.scan_count_max)


def _check_options(options: DeskOptions) -> None:
    """Raises: ValueError."""
    for name, value, low in (
        ("pending_count_max", options.commands.pending_count_max, 1),
        ("wait_s", options.commands.wait_s, 0),
        ("scan_count_max", options.scan_count_max, 1),
    ):
        if not value >= low:
            raise ValueError(f"{name} is {value!r}; it must be at least {low}")
