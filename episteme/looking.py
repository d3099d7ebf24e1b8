"""How a Node reads its listings: parse as the server does, wait for the position, read one snapshot."""

import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from cortex import CortexError
from episteme.api import Answer
from episteme.asking import Asking
from episteme.audit.replay import AuditDesk
from episteme.catalog import Listing, spelled
from episteme.errors import translate
from episteme.listings import AuditedAnswers, Context, bad_cursor
from episteme.lookups import Lookups, split
from episteme.parameters import question_of
from keycodec import InvalidKeyPart, KeyCodecError
from stores import Reader, StoreError
from wal import LogError

Shape = TypeVar("Shape")


class Looking(Asking, Lookups):
    """Lists and records of a state; a mixin of Node."""

    def look(self, listing: Listing[Shape], asked: Mapping[str, object]) -> Shape:
        """As Lookups.look."""
        given, min_seq, wait_s = split(asked)
        told = spelled(given)
        read = self.listing_reader(listing, told)
        self.await_seq(min_seq, wait_s)
        if wait_s and listing.waits(told):
            return self._wait_for_items(listing, read, wait_s)
        with self.reading() as reader:
            return read(reader)

    def listing_reader(self, listing: Listing[Shape], told: Mapping[str, str]) -> Callable[[Reader], Shape]:
        """What reads a listing from a snapshot; told: parameters as a path and a query string have them.

        Raises: UnknownParameter; InvalidParameter.
        """
        read = listing.ask(told)

        def from_reader(reader: Reader) -> Shape:
            try:
                return read(self._context(reader))
            except InvalidKeyPart as error:
                if "cursor" in told:  # all else was checked
                    raise bad_cursor() from error
                raise
            except LogError as error:
                raise translate(error) from error

        return from_reader

    def _wait_for_items(self, listing: Listing[Shape], read: Callable[[Reader], Shape], wait_s: float) -> Shape:
        """What the listing has as soon as it has something, or after wait_s."""
        give_up_s = time.monotonic() + wait_s
        try:
            with self.state.watch(read, prefixes=(listing.watched,)) as watch:
                change = watch.read(0)
                assert change is not None, "the first read always gives something"
                found = change.value
                while listing.is_empty(found) and change is not None:
                    change = watch.read(max(0, give_up_s - time.monotonic()))
                    found = found if change is None else change.value
                return found
        except (CortexError, StoreError, KeyCodecError) as error:
            raise translate(error) from error

    def _context(self, reader: Reader) -> Context:
        return Context(
            reader=reader,
            log=self.log,
            past=self._past,
            now_ms=self.clock_ms(),
            tokens_per_hour=self.config.quota.tokens_per_hour,
            audit=AuditDesk(self.auditor.reader, self._ask_again),
            answers=AuditedAnswers(self.auditor.reader),
            is_outdated=self.state.outdated,
            failure=self.fold_failure,
        )

    def _ask_again(self, parameters: Mapping[str, str], position: int, now_ms: int) -> Answer:
        return self.ask_then(question_of(parameters), position, now_ms)
