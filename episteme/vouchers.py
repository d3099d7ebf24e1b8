"""What bundles vouch for, the ones used last in memory: by the hash of the bundle, which must have been verified."""

from collections import OrderedDict
from tempfile import TemporaryFile
from typing import IO, Final, NamedTuple, Self

import msgspec

from model import (
    FRAME_KIND_EVENT,
    Bundle,
    SignedEvent,
    UnknownBundle,
    UnsupportedRecord,
    Voucher,
    check_vouched,
    decode_raw_record,
    is_any_by_bundle,
    no_bundles,
    voucher_of,
)
from model.record import HASH_BYTES
from stores import EventStore, Reader
from wal import LogReader

# Hashes of events in all bundles that are held: some 20 MB, and twenty of the largest bundles.
LISTED_COUNT_MAX: Final = 200_000

_KIND: Final = Bundle.__struct_config__.tag


class _Listed(msgspec.Struct, gc=False):
    """A bundle that is in the log: each of its hashes was looked at before, which takes five times as long."""

    agent: str
    events: list[str]


_decode_listed: Final = msgspec.msgpack.Decoder(_Listed).decode


class Vouchers:
    """The vouchers used last.  For one thread at a time."""

    def __init__(self, listed_count_max: int = LISTED_COUNT_MAX) -> None:
        """listed_count_max: of the hashes in all of them; the one put last stays, however large."""
        self._listed_count_max = listed_count_max
        self._listed_count = 0
        self._vouchers: OrderedDict[bytes, Voucher] = OrderedDict()

    def __len__(self) -> int:
        return len(self._vouchers)

    def __contains__(self, bundle: bytes) -> bool:
        return bundle in self._vouchers

    def find(self, bundle: bytes) -> Voucher | None:
        """The voucher of a bundle, if it is here."""
        voucher = self._vouchers.get(bundle)
        if voucher is not None:
            self._vouchers.move_to_end(bundle)
        return voucher

    def put(self, bundle: bytes, voucher: Voucher) -> list[tuple[bytes, Voucher]]:
        """Keep a voucher; give those that have to go for it, with their bundles."""
        if bundle in self._vouchers:
            return []
        self._vouchers[bundle] = voucher
        self._listed_count += len(voucher.digests)
        gone = []
        while self._listed_count > self._listed_count_max and len(self._vouchers) > 1:
            gone.append(self._vouchers.popitem(last=False))
            self._listed_count -= len(gone[-1][1].digests)
        return gone

    def clear(self) -> None:
        """Forget all."""
        self._vouchers.clear()
        self._listed_count = 0


def read_voucher(bundle: bytes, reader: Reader, log: LogReader) -> Voucher | None:
    """The voucher of a bundle that is folded, read from its place in the log; None: there is none.

    Raises: LogError; UnsupportedRecord.
    """
    row = EventStore(reader).get(bundle)
    return None if row is None or row.kind != _KIND else voucher_at(row.seq, log)


def voucher_at(seq: int, log: LogReader) -> Voucher | None:
    """The voucher of the bundle at a position of the log; None: there is none.  Raises: as read_voucher."""
    frame = log.get(seq)
    if frame.kind != FRAME_KIND_EVENT or frame.lost:
        return None
    record, head = decode_raw_record(frame.payload)
    if head.kind != _KIND:
        return None
    try:
        listed = _decode_listed(record.event)
        return Voucher(bytes.fromhex(listed.agent), frozenset(map(bytes.fromhex, listed.events)))
    except (msgspec.DecodeError, ValueError) as error:
        raise UnsupportedRecord(f"event record is damaged: {error}") from error


class AllVouchers:
    """The vouchers of all bundles of a log that is read from its start, so that each event finds its own.

    What does not fit in memory goes into a file that has no name; in memory a bundle takes some 250 bytes then.
    Not thread-safe.
    """

    def __init__(self, listed_count_max: int = LISTED_COUNT_MAX) -> None:
        self._held = Vouchers(listed_count_max)
        self._file: IO[bytes] | None = None
        self._size_bytes = 0
        self._has_lost = False
        self._written: dict[bytes, _Written] = {}

    def check(self, signed: SignedEvent) -> bool:
        """Judge what is signed by bundle by the bundles that came before; take in the event, if it is one.

        Own signatures, and whether the hash is the event's, are for others to look at.
        False: its bundle is not there, and may be what an earlier repair of the log could not save.
        Raises: InvalidSignature; UnknownBundle.
        """
        is_bundle = isinstance(signed.event, Bundle)
        if is_any_by_bundle(signed.signatures):
            try:
                check_vouched(signed.digest, signed.signatures, no_bundles if is_bundle else self._find)
            except UnknownBundle:
                if is_bundle or not self._has_lost:
                    raise
                return False
        if isinstance(signed.event, Bundle) and signed.digest not in self._written:
            self._put(signed.digest, voucher_of(signed.event))
        return True

    def lose(self) -> None:
        """Something was lost here, which may have been a bundle."""
        self._has_lost = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def _find(self, bundle: bytes) -> Voucher | None:
        voucher, written = self._held.find(bundle), self._written.get(bundle)
        if voucher is None and written is not None:
            voucher = self._read(written)
            self._put(bundle, voucher)
        return voucher

    def _put(self, bundle: bytes, voucher: Voucher) -> None:
        for gone, left in self._held.put(bundle, voucher):
            if gone not in self._written:
                self._write(gone, left)

    def _write(self, bundle: bytes, voucher: Voucher) -> None:
        if self._file is None:
            self._file = TemporaryFile()  # noqa: SIM115  (closed by __exit__)
        self._file.seek(self._size_bytes)
        self._file.write(b"".join(voucher.digests))
        self._written[bundle] = _Written(voucher.agent, self._size_bytes, len(voucher.digests))
        self._size_bytes += len(voucher.digests) * HASH_BYTES

    def _read(self, written: "_Written") -> Voucher:
        assert self._file is not None, "something was written"
        self._file.seek(written.offset)
        data = self._file.read(written.listed_count * HASH_BYTES)
        digests = frozenset(data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES))
        return Voucher(written.agent, digests)


class _Written(NamedTuple):
    """Where in the file the hashes of a bundle of this agent are, and how many."""

    agent: bytes
    offset: int
    listed_count: int
