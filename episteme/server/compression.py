"""Bodies in gzip and zstd: which coding an answer gets, and how much of a request is unpacked.

Answers are compressed only where the whole body is at hand, so never a stream.
Requests are unpacked a piece at a time, and no piece is larger than
STEP_BYTES: a bomb is known for one when its first bytes over the bound appear,
and nothing else waits for longer than one piece takes.

Source: RFC 1952; RFC 8878; RFC 9659; RFC 9110, sections 8.4 and 12.5.3.
"""

import sys
import zlib
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final, Literal

from episteme.errors import Malformed, TooLarge, UnsupportedMedia

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Coding = Literal["zstd", "gzip"]

STEP_BYTES: Final = 64 * 1024  # unpacked at a time: about 0.2 ms
WINDOW_LOG_MAX: Final = 23  # 8 MiB of memory for what a frame looks back at; RFC 9659 asks no more of anybody
FRAMES_MAX: Final = 1024  # members or frames of one body: a body of empty ones costs time, not bytes

_GZIP_WBITS: Final = 16 + zlib.MAX_WBITS
_GZIP_LEVEL: Final = 5  # on JSON nine tenths of what the highest saves, in a quarter of the time
_ZSTD_LEVEL: Final = 3
_ACCEPTS_REMEMBERED: Final = 128
_ACCEPT_BYTES_MAX: Final = 512  # a longer header is not weighed: the answer goes out plain
_COMPRESSIBLE: Final = frozenset(
    {
        "application/json",
        "application/problem+json",
        "application/x-ndjson",
        "application/javascript",
        "image/svg+xml",
        "text/css",
        "text/csv",
        "text/html",
        "text/javascript",
        "text/plain",
    }
)
_SHOWN_MAX: Final = 40


def is_compressible(content_type: bytes) -> bool:
    """Whether bodies of this type grow smaller and may: a stream of events may not."""
    return content_type.partition(b";")[0].strip().lower().decode("latin-1") in _COMPRESSIBLE


@lru_cache(_ACCEPTS_REMEMBERED)
def accepted(header: bytes) -> Coding | None:
    """The coding that an Accept-Encoding asks for most; zstd where it likes both as much; None: plain."""
    if len(header) > _ACCEPT_BYTES_MAX:
        return None
    weights = dict(_weights(header.decode("latin-1").lower()))
    rest = weights.get("*", 0.0)
    gzip = max((weights[name] for name in ("gzip", "x-gzip") if name in weights), default=rest)
    zstandard = weights.get("zstd", rest)
    best = max(gzip, zstandard)
    if best <= 0 or best < weights.get("identity", 0.0):
        return None
    return "zstd" if zstandard >= gzip else "gzip"


def _weights(header: str) -> Iterator[tuple[str, float]]:
    """Codings with their weights; what is not well formed is passed over."""
    for part in header.split(","):
        name, _, parameter = part.partition(";")
        key, _, value = parameter.partition("=")
        try:
            weight = float(value) if key.strip() == "q" else 1.0
        except ValueError:
            continue
        if 0 <= weight <= 1:
            yield name.strip(), weight


def compress(body: bytes, coding: Coding) -> bytes:
    """The body in that coding."""
    if coding == "zstd":
        return zstd.compress(body, _ZSTD_LEVEL)
    packer = zlib.compressobj(_GZIP_LEVEL, wbits=_GZIP_WBITS)
    return packer.compress(body) + packer.flush()


def sent_coding(header: bytes) -> Coding | None:
    """The coding that a Content-Encoding names; None: the body is plain.  Raises: UnsupportedMedia."""
    name = header.strip().lower()
    if name in (b"", b"identity"):
        return None
    if name in (b"gzip", b"x-gzip"):
        return "gzip"
    if name == b"zstd":
        return "zstd"
    raise UnsupportedMedia(f"content encoding {header[:_SHOWN_MAX].decode('latin-1')!r} is not read: gzip and zstd are")


class Unpacker:
    """Unpacks one body.  Not thread-safe."""

    def __init__(self, coding: Coding, bytes_max: int) -> None:
        """bytes_max: of what comes out."""
        self._coding: Coding = coding
        self._bytes_max = bytes_max
        self._bytes = 0
        self._frames = 0
        self._inner: Any = None  # of the member or frame that is being read; None between two

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What the data unpacks to, in pieces of at most STEP_BYTES; take all of them before the next call.

        Raises: Malformed; TooLarge as soon as there is a byte too many.
        """
        while data or self._inner is not None:
            if self._inner is None:
                self._inner = self._begin()
            piece, data = self._step(data)
            self._bytes += len(piece)
            if self._bytes > self._bytes_max:
                raise TooLarge(f"the body has more than {self._bytes_max} bytes when it is unpacked")
            yield piece
            if self._inner.eof:
                data, self._inner = self._inner.unused_data, None
            elif len(piece) < STEP_BYTES and not data:
                return

    def finish(self) -> None:
        """Raises: Malformed if the body ended within a member or frame, or before the first."""
        if self._inner is not None or not self._frames:
            raise Malformed(f"the body is cut off: its {self._coding} does not end")

    def _begin(self) -> Any:
        self._frames += 1
        if self._frames > FRAMES_MAX:
            raise TooLarge(f"the body has more than {FRAMES_MAX} members or frames of {self._coding}")
        if self._coding == "gzip":
            return zlib.decompressobj(wbits=_GZIP_WBITS)
        return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: WINDOW_LOG_MAX})

    def _step(self, data: bytes) -> tuple[bytes, bytes]:
        """A piece, and the data that is left; what is left in between zstd keeps itself."""
        try:
            piece: bytes = self._inner.decompress(data, STEP_BYTES)
        except zlib.error as error:
            raise Malformed("the body is not in gzip, or is followed by something else") from error
        except zstd.ZstdError as error:
            window = f"asks for a window above {1 << WINDOW_LOG_MAX} bytes"
            raise Malformed(f"the body is not in zstd, is followed by something else, or {window}") from error
        return piece, b"" if self._coding == "zstd" else self._inner.unconsumed_tail
