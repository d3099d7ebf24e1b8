"""Files that may be packed: by their names when they are written, by their first bytes when they are read."""

import gzip
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import IO, Final, NamedTuple, cast

from wal import Files

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_GZIP_LEVEL: Final = 6
_BUFFER_BYTES: Final = 1024 * 1024  # every read lets other threads in, and waits for them


@contextmanager
def written(path: Path) -> Iterator[IO[bytes]]:
    """A file to write, packed if its name ends in .gz or .zst; it has its name only once it is whole and durable.

    What path named before is replaced then, and stays if the block fails.
    """
    files = Files()
    making = path.with_name(f"{path.name}.unfinished")
    try:
        with making.open("wb") as raw:
            with _packing(raw, path) as out:
                yield out
            raw.flush()
            files.sync(raw.fileno())
        files.rename(making, path)
        files.sync_folder(path.parent)
    except BaseException:
        with suppress(FileNotFoundError):
            making.unlink()
        raise


class Packed(NamedTuple):
    """A file that is read, unpacked if it is packed, and how far that is in the file as it lies on the disk."""

    file: IO[bytes]
    done: Callable[[], int]
    size_bytes: int


@contextmanager
def opened(path: Path) -> Iterator[Packed]:
    """A file to read."""
    with path.open("rb", buffering=_BUFFER_BYTES) as raw:
        start, size_bytes = raw.read(4), path.stat().st_size
        raw.seek(0)
        if start[:2] == _GZIP:
            with BufferedReader(gzip.GzipFile(fileobj=raw, mode="rb"), _BUFFER_BYTES) as file:
                yield Packed(file, raw.tell, size_bytes)
        elif start == _ZSTD:
            with BufferedReader(cast("RawIOBase", zstd.ZstdFile(raw, "rb")), _BUFFER_BYTES) as file:
                yield Packed(file, raw.tell, size_bytes)
        else:
            yield Packed(raw, raw.tell, size_bytes)


UNREADABLE: Final = (zstd.ZstdError, gzip.BadGzipFile, EOFError, zlib.error)  # of a file that is damaged, or cut


@contextmanager
def _packing(raw: IO[bytes], path: Path) -> Iterator[IO[bytes]]:
    if path.suffix == ".gz":
        with gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=_GZIP_LEVEL, mtime=0, filename="") as file:
            yield cast("IO[bytes]", file)
    elif path.suffix == ".zst":
        with zstd.ZstdFile(raw, "wb") as packed:
            yield cast("IO[bytes]", packed)
    else:
        yield raw
