"""The one value codec: a version byte, then msgpack, strictly read.

Source: docs/format-keys.md, "Values".
"""

from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from stores.errors import UnsupportedValue

Record = TypeVar("Record", bound=msgspec.Struct)


class RecordCodec(Generic[Record]):
    """Encodes one record type at its current version, and decodes that and the older ones it is given."""

    def __init__(
        self, record_type: type[Record], version: int, older: dict[int, Callable[[bytes], Record]] | None = None
    ) -> None:
        """older: a reader for each earlier version, from the bytes after the version byte."""
        self._name = record_type.__name__
        self._version_byte = bytes([version])
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(record_type)
        self._older = older or {}

    def encode(self, record: Record) -> bytes:
        """The bytes of a record."""
        return self._version_byte + self._encoder.encode(record)

    def decode(self, data: bytes) -> Record:
        """Read a record back.

        Raises: UnsupportedValue for an unknown version, a wrong shape or trailing bytes.
        """
        try:
            if data[:1] == self._version_byte:
                return self._decoder.decode(memoryview(data)[1:])
            older = self._older.get(data[0]) if data else None
            if older is not None:
                return older(data[1:])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UnsupportedValue(f"{self._name}: {error}") from error
        raise UnsupportedValue(f"{self._name}: version {data[:1].hex() or 'none'} is not known here")
