"""How a batch is parted between the two engines, and the copy of LMDB's part that RocksDB keeps."""

from typing import Final

import msgspec

from keycodec import Engine, engine_of
from stores.kv import Batch

_READ: Final = Engine.READ
_WRITE: Final = Engine.WRITE


class _Redo(msgspec.Struct, array_like=True, frozen=True):
    """The read engine's part of the last commit."""

    number: int
    rows: dict[bytes, bytes | None]
    postings: dict[bytes, set[bytes]]


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(_Redo)


def split(batch: Batch) -> tuple[Batch, Batch]:
    """The write engine's part and the read engine's: rows by family, META to both, all lists to the read engine."""
    own, other = Batch(), Batch()
    own_rows, other_rows = own.rows, other.rows
    for key, value in batch.rows.items():
        engine = engine_of(key)
        if engine is _WRITE:  # most are
            own_rows[key] = value
        elif engine is _READ:
            other_rows[key] = value
        else:
            own_rows[key] = other_rows[key] = value
    other.postings = batch.postings
    return own, other


def encode_redo(number: int, batch: Batch) -> bytes:
    """The read engine's part of a commit, as bytes."""
    return _ENCODER.encode(_Redo(number, batch.rows, batch.postings))


def decode_redo(data: bytes, number: int) -> Batch:
    """The read engine's part of commit number."""
    redo = _DECODER.decode(data)
    assert redo.number == number, (redo.number, number)
    batch = Batch()
    batch.rows, batch.postings = redo.rows, redo.postings
    return batch
