"""The Database API as requests to a server, written once for Client and AsyncClient.

Source: docs/http.md.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, Unpack

from episteme import catalog
from episteme.acts import Steps, act
from episteme.api import Answer, Comparison, History, QueryOptions, StoredAssertion
from episteme.audit import Replayed
from episteme.catalog import Listing, path_part, spelled
from episteme.client.ingesting import Batch, ingest_call
from episteme.client.trusted import TrustedBundles
from episteme.client.wire import Call, Request, reads
from episteme.errors import FieldProblem, NotApplied, NotFound, UnsupportedMedia, VerificationFailed
from episteme.gate import envelope_line
from episteme.govern import GoverningActs
from episteme.lookups import split
from episteme.parameters import asked_over_http, parse_hash
from episteme.receipts import IngestResult, Receipt
from episteme.shapes import Page
from episteme.status import StatusReport
from episteme.stored import StoredBundle, StoredEvent
from episteme.verifying import (
    bundles_in,
    check_answer,
    check_asked,
    check_bundle,
    check_comparison,
    check_event,
    check_stored,
)
from model import FindVoucher, SignedEvent, Voucher, kind_of

Shape = TypeVar("Shape")

_PATHS: Mapping[str, str] = {"assertion": "/v1/assertions", "vote": "/v1/votes"}


class Calls(GoverningActs):
    """What both clients do; a mixin.  They differ in how they send a call."""

    _compress: bool
    _trusted: TrustedBundles

    def send(self, call: Call[Any]) -> Any:
        """A step: send a call; what its answer is read into.  Raises: EpistemeError."""
        raise NotImplementedError

    @act
    def submit(self, signed: SignedEvent, *, wait_s: float | None = None) -> Steps[Receipt]:
        """As Database.submit."""
        return self._sent(submit_call(signed, wait_s))

    @act
    def query(self, subject: str, predicate: str | None = None, **options: Unpack[QueryOptions]) -> Steps[Answer]:
        """As Database.query."""
        params = asked_over_http(subject, predicate, options)

        def check(answer: Answer, find: FindVoucher) -> None:
            check_answer(answer, subject, predicate, find)

        return self._sent(_get("/v1/query", params, Answer, options.get("wait_s"), check))

    @act
    def compare(
        self, subject: str, predicate: str, lenses: Sequence[str] = (), **options: Unpack[QueryOptions]
    ) -> Steps[Comparison]:
        """As Database.compare."""
        params = asked_over_http(subject, predicate, options) | _present(lenses=",".join(lenses) or None)

        def check(comparison: Comparison, find: FindVoucher) -> None:
            check_comparison(comparison, subject, predicate, find)

        return self._sent(_get("/v1/compare", params, Comparison, options.get("wait_s"), check))

    @act
    def history(
        self, subject: str, predicate: str, *, after: int = -1, turns: int = 100, **options: Unpack[QueryOptions]
    ) -> Steps[History]:
        """As Database.history."""
        params = asked_over_http(subject, predicate, options)
        del params["subject"]
        params |= _present(after=None if after < 0 else after, limit=turns)
        path = f"/v1/subjects/{path_part(subject)}/history"
        return self._sent(_get(path, params, History, options.get("wait_s")))

    @act
    def get(self, hash_hex: str, *, min_seq: int | None = None, wait_s: float | None = None) -> Steps[StoredAssertion]:
        """As Database.get."""
        params = _present(min_seq=min_seq, wait=_duration(wait_s))
        path = f"/v1/assertions/{parse_hash(hash_hex).hex()}"

        def check(stored: StoredAssertion, find: FindVoucher) -> None:
            check_asked(stored.hash, hash_hex)
            check_stored(stored, find)

        return self._sent(_get(path, params, StoredAssertion, wait_s, check))

    @act
    def status(self) -> Steps[StatusReport]:
        """As Database.status."""
        return self._sent(_get("/v1/status", {}, StatusReport))

    @act
    def wait_applied(self, seq: int, timeout_s: float) -> Steps[bool]:
        """Wait until event seq is readable; False if the time, at most what the server takes, ran out."""
        try:
            yield self.send(listing_call(catalog.LENSES, {"limit": 1, "min_seq": seq, "wait_s": timeout_s}))
        except NotApplied:
            return False
        return True

    @act
    def check(self, found: Shape, check: Callable[[Shape, FindVoucher], None]) -> Steps[None]:
        """Check what came, once the bundles that it names are here and were checked themselves.

        Raises: VerificationFailed; what asking for a bundle raises.
        """
        vouchers: dict[bytes, Voucher] = {}
        for bundle in set(bundles_in(found)):
            voucher = self._trusted.find(bundle)
            if voucher is None:
                voucher = yield from self._trust(bundle.hex())
                self._trusted.put(bundle, voucher)
            vouchers[bundle] = voucher
        check(found, vouchers.get)

    def _trust(self, bundle: str) -> Steps[Voucher]:
        try:
            stored: StoredBundle = yield self.send(listing_call(catalog.BUNDLE, {"hash": bundle}))
        except NotFound as error:
            problem = FieldProblem("/signatures", "are by a bundle that is not there")
            detail = f"the server has no bundle {bundle}, by which it shows something as signed"
            raise VerificationFailed(detail, errors=(problem,)) from error
        return check_bundle(stored, bundle)

    @act
    def send_batch(self, batch: Batch) -> Steps[list[IngestResult]]:
        """Send a batch of an ingest, compressed if that is worth it and the server reads it."""
        if not batch.body:
            return batch.refusals
        if self._compress:
            try:
                return (yield from self._sent(ingest_call(batch, compressed=True)))
            except UnsupportedMedia:
                self._compress = False
        return (yield from self._sent(ingest_call(batch, compressed=False)))

    def _sent(self, call: Call[Shape]) -> Steps[Shape]:
        found: Shape = yield self.send(call)
        return found


def submit_call(signed: SignedEvent, wait_s: float | None) -> Call[Receipt]:
    """The call that writes one event."""
    request = Request(
        "POST", _PATHS.get(kind_of(signed.event), "/v1/events"), _present(wait=_duration(wait_s)), envelope_line(signed)
    )
    return Call(request=request, read=reads(Receipt), wait_s=wait_s or 0.0)


def listing_call(listing: Listing[Shape], asked: Mapping[str, object]) -> Call[Shape]:
    """The call that reads a listing.  Raises: InvalidParameter."""
    given, min_seq, wait_s = split(asked)
    path, params = listing.request(spelled(given))
    waits = _present(min_seq=min_seq, wait=_duration(wait_s))

    def check(found: Shape, find: FindVoucher) -> None:
        _check_listing(found, asked, find)

    return _get(path, params | waits, listing.shape, wait_s, check)


def _check_listing(found: object, asked: Mapping[str, object], find: FindVoucher) -> None:
    """The assertions of a list, where it is one of assertions; an event; a bundle; the answer of a replay."""
    if isinstance(found, StoredBundle):
        check_bundle(found, str(asked.get("hash")))
    if isinstance(found, StoredEvent):
        check_asked(found.hash, asked.get("hash"))
        check_event(found.event, found.hash, found.signatures, find)
    if isinstance(found, Replayed) and found.answer is not None:
        check_answer(found.answer, found.answer.subject, found.answer.predicate, find)
    for item in found.items if isinstance(found, Page) else ():
        if isinstance(item, StoredAssertion):
            check_stored(item, find)


def _get(
    path: str,
    params: Mapping[str, str],
    shape: type[Shape],
    wait_s: float | None = None,
    check: Callable[[Shape, FindVoucher], None] | None = None,
) -> Call[Shape]:
    return Call(request=Request("GET", path, params), read=reads(shape), check=check, wait_s=wait_s or 0.0)


def _present(**params: Any) -> dict[str, str]:
    return {name: str(value) for name, value in params.items() if value is not None}


def _duration(wait_s: float | None) -> str | None:
    return None if wait_s is None else f"{round(wait_s * 1000)}ms"
