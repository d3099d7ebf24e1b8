"""Content by hash, and hash to subject: families H and HASH_SUBJECT.

A row is written at version 2 and read at 1 and 2.  Who needs only position,
time and signers reads a head: the same row with the event left as the bytes
that it is stored as; who has those bytes already writes a head, and the event
is neither decoded nor encoded.
"""

from collections.abc import Iterable, Sequence
from typing import Final, Self

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from keycodec import AssertionKeys, assertion_key, assertion_keys, hash_subject_key, hash_subject_keys
from model import BUNDLE_BYTES, Assertion, Lifecycle, Signature, SignedEvent, SourceClass
from stores.kv import Reader
from stores.records import RecordCodec
from stores.staging import Staging


class RowSignature(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """Who signed, and the position of the event that brought it.

    bundle: the hash of the bundle event that vouches in place of an own signature, which is then empty.
    """

    agent: bytes
    signature: bytes
    seq: int
    bundle: bytes | None = None

    @classmethod
    def of(cls, signature: Signature, seq: int) -> Self:
        """As the event of this position brings it."""
        if len(signature.signature) == BUNDLE_BYTES:
            return cls(signature.agent, b"", seq, signature.signature)
        return cls(signature.agent, signature.signature, seq)


class AssertionRow(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """An assertion as the store keeps it; seq and time are those of its first event."""

    event: Assertion
    signatures: tuple[RowSignature, ...]
    seq: int
    time: int

    def signed(self, digest: bytes) -> SignedEvent:
        """The envelope's content, with every signature that has joined."""
        signatures = tuple([Signature(s.agent, s.signature if s.bundle is None else s.bundle) for s in self.signatures])
        return SignedEvent(self.event, digest, signatures)


class AssertionHead(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """The same row with its event unread: msgpack, as the log's record holds it."""

    event: Raw
    signatures: tuple[RowSignature, ...]
    seq: int
    time: int


class ClaimObject(Struct, frozen=True, gc=False):
    """What an assertion says: the type's name and the value as it was spelled."""

    type: str
    value: str | bool


class Claim(Struct, frozen=True, gc=False):
    """What a resolution needs of an assertion; its rules were checked before it was logged, and are not again."""

    subject: str
    predicate: str
    object: ClaimObject
    confidence: str
    source_class: SourceClass
    lifecycle: Lifecycle
    timestamp: int
    source_hash: str | UnsetType = UNSET
    parent_hash: str | UnsetType = UNSET
    valid_from: int | UnsetType = UNSET
    valid_to: int | UnsetType = UNSET
    epoch: str | UnsetType = UNSET


class ClaimRow(Struct, frozen=True, array_like=True, gc=False):
    """An assertion's row with no more of its event than a resolution needs: read at a third of the cost."""

    claim: Claim
    signatures: tuple[RowSignature, ...]
    seq: int
    time: int


class _SignatureV1(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    agent: bytes
    signature: bytes
    seq: int


class _RowV1(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    event: Assertion
    signatures: tuple[_SignatureV1, ...]
    seq: int
    time: int


class _HeadV1(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    event: Raw
    signatures: tuple[_SignatureV1, ...]
    seq: int
    time: int


class _ClaimV1(Struct, frozen=True, array_like=True):
    claim: Claim
    signatures: tuple[_SignatureV1, ...]
    seq: int
    time: int


_decode_claim_v1 = msgspec.msgpack.Decoder(_ClaimV1).decode
_decode_row_v1 = msgspec.msgpack.Decoder(_RowV1).decode
_decode_head_v1 = msgspec.msgpack.Decoder(_HeadV1).decode


def decode_assertion_compat(fields: bytes) -> AssertionRow:
    """Read the fields of a row of version 1, whose signatures knew no bundles.

    fields: the value without its version byte.
    Raises: msgspec.DecodeError for a wrong shape or trailing bytes, which the codec translates.
    """
    row = _decode_row_v1(fields)
    return AssertionRow(row.event, _without_bundles(row.signatures), row.seq, row.time)


def _decode_head_compat(fields: bytes) -> AssertionHead:
    head = _decode_head_v1(fields)
    return AssertionHead(head.event, _without_bundles(head.signatures), head.seq, head.time)


def _without_bundles(signatures: Iterable[_SignatureV1]) -> tuple[RowSignature, ...]:
    return tuple(RowSignature(s.agent, s.signature, s.seq) for s in signatures)


def _decode_claim_compat(fields: bytes) -> ClaimRow:
    row = _decode_claim_v1(fields)
    return ClaimRow(row.claim, _without_bundles(row.signatures), row.seq, row.time)


_CLAIM: Final = RecordCodec(ClaimRow, version=2, older={1: _decode_claim_compat})
_CODEC: Final = RecordCodec(AssertionRow, version=2, older={1: decode_assertion_compat})
_HEAD: Final = RecordCodec(AssertionHead, version=2, older={1: _decode_head_compat})

_SIGNATURE_BYTES_MIN: Final = 64  # an agent's key of 32, and a signature or the hash of a bundle


def decode_assertion(data: bytes) -> AssertionRow:
    """A row as AssertionStore.stored gives it.  Raises: UnsupportedValue."""
    return _CODEC.decode(data)


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

    def claims(self, subject: str, digests: Iterable[bytes]) -> list[ClaimRow | None]:
        """What a resolution needs of several assertions of a subject, in the order asked."""
        found = self._reader.get_many(assertion_keys(subject, digests))
        decode = _CLAIM.decode
        return [None if data is None else decode(data) for data in found]

    def head(self, keys: AssertionKeys) -> AssertionHead | None:
        """Position, time and signers of an assertion whose keys are at hand, with the event unread."""
        data = self._reader.get(keys.assertion)
        return None if data is None else _HEAD.decode(data)

    def heads(self, subject: str, digests: Iterable[bytes]) -> list[AssertionHead | None]:
        """The heads of several assertions of a subject, in the order asked."""
        found = self._reader.get_many(assertion_keys(subject, digests))
        return [None if data is None else _HEAD.decode(data) for data in found]

    def stored(self, subject: str, digest: bytes, *, signatures_max: int) -> bytes | None:
        """One assertion as it is stored, with no more than so many of its signatures, the first ones."""
        (key,) = assertion_keys(subject, (digest,))
        data = self._reader.get(key)
        if data is None or len(data) < signatures_max * _SIGNATURE_BYTES_MIN:
            return data
        head = _HEAD.decode(data)
        if len(head.signatures) <= signatures_max:
            return data
        return _HEAD.encode(AssertionHead(head.event, head.signatures[:signatures_max], head.seq, head.time))

    def subject_of(self, digest: bytes) -> str | None:
        """The subject of the assertion with this hash."""
        data = self._reader.get(hash_subject_key(digest.hex()))
        return None if data is None else data.decode("utf-8")

    def subjects_of(self, digests: Sequence[bytes]) -> list[str | None]:
        """The subjects of the assertions with these hashes, in the order asked."""
        found = self._reader.get_many(hash_subject_keys(digests))
        return [None if data is None else data.decode("utf-8") for data in found]

    def find(self, digest: bytes) -> AssertionRow | None:
        """An assertion by its hash alone."""
        subject = self.subject_of(digest)
        return None if subject is None else self.get(subject, digest)

    def find_many(self, digests: Sequence[bytes]) -> list[AssertionRow | None]:
        """Several assertions of whatever subjects by their hashes alone, in the order asked."""
        keys = [
            None if subject is None else assertion_key(subject, digest.hex())
            for subject, digest in zip(self.subjects_of(digests), digests, strict=True)
        ]
        found = iter(self._reader.get_many([key for key in keys if key is not None]))
        rows = [None if key is None else next(found) for key in keys]
        return [None if data is None else _CODEC.decode(data) for data in rows]


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

    def put_raw(self, keys: AssertionKeys, head: AssertionHead) -> None:
        """As put, for an event that is at hand as msgpack.

        keys: those of the event's own subject and hash.  head.event: as msgspec encodes the struct; the same
        bytes are stored as put would store.
        """
        self._staging.put(keys.assertion, _HEAD.encode(head))
        self._staging.put(keys.hash_subject, keys.subject)
