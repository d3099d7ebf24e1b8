"""Content by hash, and hash to subject: families H and HASH_SUBJECT."""

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from keycodec import assertion_key, assertion_keys, hash_subject_key
from model import Assertion, Signature, SignedEvent
from stores.kv import Reader
from stores.records import RecordCodec
from stores.staging import Staging


class RowSignature(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """A signature and the position of the event that brought it."""

    agent: bytes
    signature: bytes
    seq: int


class AssertionRow(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """An assertion as the store keeps it; seq and time are those of its first event."""

    event: Assertion
    signatures: tuple[RowSignature, ...]
    seq: int
    time: int

    def signed(self, digest: bytes) -> SignedEvent:
        """The envelope's content, with every signature that has joined."""
        return SignedEvent(self.event, digest, tuple(Signature(s.agent, s.signature) for s in self.signatures))


_CODEC: Final = RecordCodec(AssertionRow, version=1)


class AssertionStore:
    """Reads assertions."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def get(self, subject: str, digest: bytes) -> AssertionRow | None:
        """One assertion of a subject."""
        data = self._reader.get(assertion_key(subject, digest.hex()))
        return None if data is None else _CODEC.decode(data)

    def get_many(self, subject: str, digests: Iterable[bytes]) -> list[AssertionRow | None]:
        """Several assertions of a subject, in the order asked."""
        found = self._reader.get_many(assertion_keys(subject, digests))
        return [None if data is None else _CODEC.decode(data) for data in found]

    def subject_of(self, digest: bytes) -> str | None:
        """The subject of the assertion with this hash."""
        data = self._reader.get(hash_subject_key(digest.hex()))
        return None if data is None else data.decode("utf-8")

    def find(self, digest: bytes) -> AssertionRow | None:
        """An assertion by its hash alone."""
        subject = self.subject_of(digest)
        return None if subject is None else self.get(subject, digest)


class AssertionWriter(AssertionStore):
    """Stages assertions."""

    def __init__(self, staging: Staging) -> None:
        super().__init__(staging)
        self._staging = staging

    def put(self, digest: bytes, row: AssertionRow) -> None:
        """Keep an assertion, and where to find it by hash."""
        hash_hex = digest.hex()
        subject = row.event.subject
        self._staging.put(assertion_key(subject, hash_hex), _CODEC.encode(row))
        self._staging.put(hash_subject_key(hash_hex), subject.encode("utf-8"))
