"""Which web pages may use the server: a browser asks, and this is what it is told.

Answers never allow credentials: who asks proves itself by a token that the page
has, not by what the browser keeps.  A page of another origin may not make a
browser write either, even without reading the answer.

Source: Fetch (WHATWG), sections 3.3 and 4.8; docs/security.md, "Browsers".
"""

from collections.abc import Sequence
from typing import Final

from episteme.errors import WrongOrigin

Headers = tuple[tuple[bytes, bytes], ...]

EXPOSED: Final = (
    "Episteme-Seq, Episteme-Applied, ETag, Retry-After, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, "
    "X-Request-Id"
)
METHODS: Final = "GET, HEAD, POST, DELETE"
SENT: Final = (
    "Authorization, Content-Type, Content-Encoding, If-None-Match, Last-Event-ID, X-Request-Id"  # besides simple ones
)
PREFLIGHT_S: Final = 600  # how long a browser remembers: a setting that was taken back works after that

_ANY: Final = "*"
_SHOWN_MAX: Final = 80
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_VARY: Final = (b"vary", b"Origin")


class Cors:
    """The rules of one server."""

    def __init__(self, origins: Sequence[str]) -> None:
        """origins: as browsers spell them, scheme and host and port; "*": any; none: only the server's own pages."""
        self._any = _ANY in origins
        self._origins = frozenset(origin.lower().rstrip("/").encode("latin-1") for origin in origins)

    def check(self, method: str, origin: bytes, host: bytes | None) -> None:
        """Refuse a request that a page of a stranger's makes a browser send, unless it only reads.

        Raises: WrongOrigin.
        """
        if method in _SAFE_METHODS or self._allows(origin) or origin.partition(b"://")[2] == host:
            return
        raise WrongOrigin(f"pages of {origin[:_SHOWN_MAX].decode('latin-1')!r} may not write here")

    def headers(self, origin: bytes) -> Headers:
        """What an answer to a page of this origin says; where some may read, caches must know who asked."""
        if not self._origins:
            return ()
        if not self._allows(origin):
            return (_VARY,)
        exposed = (b"access-control-expose-headers", EXPOSED.encode("ascii"))
        if self._any:
            return ((b"access-control-allow-origin", b"*"), exposed)
        return ((b"access-control-allow-origin", origin), exposed, _VARY)

    def preflight(self, origin: bytes) -> Headers | None:
        """What a browser that asks whether it may is told; None: it may not, and is told nothing."""
        if not self._allows(origin):
            return None
        return (
            *self.headers(origin),
            (b"access-control-allow-methods", METHODS.encode("ascii")),
            (b"access-control-allow-headers", SENT.encode("ascii")),
            (b"access-control-max-age", str(PREFLIGHT_S).encode("ascii")),
        )

    def _allows(self, origin: bytes) -> bool:
        return self._any or origin.lower() in self._origins
