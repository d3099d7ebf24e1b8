"""API tokens of one database: who may ask, and for what.

A token is text, ``eps_{id}_{secret}_{check}``, shown once, when it is made.  The
file keeps only the BLAKE3 hash of its secret, which has 256 random bits: a hash
that is slow on purpose would add nothing.  The file is replaced whole, 0600, and
read again when it has changed, so that commands work beside a running server.

Refuses: a file that others can read; to tell which part of a token was wrong.

Source: docs/security.md, "Tokens".
"""

import hmac
import re
import zlib
from base64 import b32encode
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal, NamedTuple, get_args

import msgspec
from blake3 import blake3
from msgspec import Meta, Struct

from episteme.errors import InvalidParameter, InvalidToken, KeyProblem, NotFound
from episteme.private import Stamp, exclusive, read_private, stamp_of, write_private

TOKENS_FILE: Final = Path("keys") / "tokens.json"  # of a data folder
TOKENS_MAX: Final = 1000  # those that ended included: the file is read whole, and a person can read the list
LABEL_CHARS_MAX: Final = 80
EXPIRES_S_MAX: Final = 100 * 366 * 86_400

TokenScope = Literal["read", "write", "admin"]
TOKEN_SCOPES: Final[tuple[TokenScope, ...]] = get_args(TokenScope)

_FORMAT: Final = "episteme-tokens-1"
_ID_BYTES: Final = 5
_SECRET_BYTES: Final = 32
_TOKEN: Final = re.compile(r"eps_([a-z2-7]{8})_([a-z2-7]{52})_([0-9a-f]{8})")
_LABEL: Final = re.compile(rf"[^\x00-\x1f\x7f-\x9f]{{1,{LABEL_CHARS_MAX}}}")
_AGENT: Final = re.compile(r"[0-9a-f]{64}")
_NOBODY: Final = bytes(32)  # compared with where there is no such id, so that this takes as long
_FILE_BYTES_MAX: Final = 4 * 1024 * 1024

TokenStatus = Literal["active", "expired", "revoked"]


class Identity(NamedTuple):
    """Who asks, as a token says."""

    id: str
    label: str
    scopes: frozenset[TokenScope]
    agent: bytes | None  # 32 bytes: whom the token stands for

    def allows(self, scope: str) -> bool:
        """Whether this is enough for what needs that scope."""
        return scope in self.scopes or "admin" in self.scopes


class TokenRecord(Struct, frozen=True, kw_only=True):
    """What is known of a token: all but its secret.  Times are milliseconds since 1970."""

    id: str
    label: str
    scopes: tuple[TokenScope, ...]
    agent: str | None
    created_ms: int
    expires_ms: int | None
    revoked_ms: int | None
    status: TokenStatus


class NewToken(Struct, frozen=True, kw_only=True):
    """A token just made, and the only time that its text is shown."""

    token: str
    record: TokenRecord


class _Kept(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One token in the file."""

    id: Annotated[str, Meta(pattern="^[a-z2-7]{8}$")]
    label: str
    scopes: tuple[TokenScope, ...]
    secret_blake3: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    created_ms: int
    agent: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")] | None = None
    expires_ms: int | None = None
    revoked_ms: int | None = None

    def status(self, now_ms: int) -> TokenStatus:
        if self.revoked_ms is not None:
            return "revoked"
        return "expired" if self.expires_ms is not None and self.expires_ms <= now_ms else "active"

    def record(self, now_ms: int) -> TokenRecord:
        return TokenRecord(
            id=self.id,
            label=self.label,
            scopes=self.scopes,
            agent=self.agent,
            created_ms=self.created_ms,
            expires_ms=self.expires_ms,
            revoked_ms=self.revoked_ms,
            status=self.status(now_ms),
        )


class _File(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: Literal["episteme-tokens-1"]
    tokens: tuple[_Kept, ...]


class TokenStore:
    """The tokens of one data folder.  Safe beside other processes that change them; not for several threads."""

    def __init__(self, path: Path, *, clock_ms: Callable[[], int], random_bytes: Callable[[int], bytes]) -> None:
        """path: of the file, which need not be there."""
        self._path = path
        self._clock_ms = clock_ms
        self._random_bytes = random_bytes
        self._stamp: Stamp | None = None
        self._kept: dict[str, tuple[_Kept, bytes, Identity]] = {}

    def create(
        self,
        label: str,
        scopes: Sequence[TokenScope],
        *,
        agent: bytes | None = None,
        expires_s: int | None = None,
    ) -> NewToken:
        """Make a token; it is on the disk on return.

        agent: 32 bytes, whom answers are audited for and queries are charged to.  expires_s: seconds from now.
        Raises: InvalidParameter; KeyProblem.
        """
        _check(label, scopes, agent, expires_s)
        with exclusive(self._path):
            kept = list(self._read())
            if len(kept) >= TOKENS_MAX:
                kept.remove(self._oldest_ended(kept))
            now_ms = self._clock_ms()
            token_id = self._new_id({one.id for one in kept})
            secret = _text(self._random_bytes(_SECRET_BYTES))
            made = _Kept(
                id=token_id,
                label=label,
                scopes=tuple(scope for scope in TOKEN_SCOPES if scope in scopes),
                secret_blake3=_hash_of(secret).hex(),
                created_ms=now_ms,
                agent=None if agent is None else agent.hex(),
                expires_ms=None if expires_s is None else now_ms + expires_s * 1000,
            )
            self._write((*kept, made))
        start = f"eps_{token_id}_{secret}"
        return NewToken(token=f"{start}_{_check_of(start)}", record=made.record(now_ms))

    def list(self) -> list[TokenRecord]:
        """Every token, oldest first, those that ended included.  Raises: KeyProblem."""
        now_ms = self._clock_ms()
        return [one.record(now_ms) for one in self._read()]

    def revoke(self, token_id: str) -> TokenRecord:
        """End a token; once more does nothing.  Raises: NotFound; KeyProblem."""
        with exclusive(self._path):
            kept = {one.id: one for one in self._read()}
            found = kept.get(token_id)
            if found is None:
                hint = "`episteme token list` shows those there are."
                raise NotFound(f"there is no token {token_id[:80]!r}", hint=hint)
            if found.revoked_ms is None:
                kept[token_id] = found = msgspec.structs.replace(found, revoked_ms=self._clock_ms())
                self._write(tuple(kept.values()))
        return found.record(self._clock_ms())

    def has_active(self) -> bool:
        """Whether anybody could get in with a token.  Raises: KeyProblem."""
        return any(one.status == "active" for one in self.list())

    def verify(self, token: str) -> Identity:
        """Whose token this is.

        Costs one stat, one hash and one comparison that takes as long wherever two secrets differ.
        Raises: InvalidToken; KeyProblem if the file cannot be used, and then nobody gets in.
        """
        parts = _TOKEN.fullmatch(token)
        if parts is None or not hmac.compare_digest(parts[3], _check_of(token.rpartition("_")[0])):
            raise InvalidToken("this is not a whole API token")
        self._refresh()
        kept, secret_hash, identity = self._kept.get(parts[1], (None, _NOBODY, None))
        same = hmac.compare_digest(secret_hash, _hash_of(parts[2]))
        if not same or kept is None or identity is None:
            raise InvalidToken("there is no such API token")
        status = kept.status(self._clock_ms())
        if status != "active":
            raise InvalidToken(f"the API token {kept.id} is {status}")
        return identity

    def _refresh(self) -> None:
        stamp = stamp_of(self._path)
        if stamp != self._stamp:
            self._kept = {one.id: (one, bytes.fromhex(one.secret_blake3), _identity_of(one)) for one in self._read()}
            self._stamp = stamp

    def _read(self) -> tuple[_Kept, ...]:
        data = read_private(self._path, bytes_max=_FILE_BYTES_MAX)
        if data is None:
            return ()
        try:
            return msgspec.json.decode(data, type=_File).tokens
        except msgspec.DecodeError as error:
            raise KeyProblem(f"{self._path} is not a file of the form {_FORMAT}: {error}") from error

    def _write(self, kept: tuple[_Kept, ...]) -> None:
        data = msgspec.json.format(msgspec.json.encode(_File(format=_FORMAT, tokens=kept)), indent=1)
        write_private(self._path, data + b"\n")

    def _oldest_ended(self, kept: Sequence[_Kept]) -> _Kept:
        now_ms = self._clock_ms()
        for one in kept:
            if one.status(now_ms) != "active":
                return one
        raise InvalidParameter(f"there are {len(kept)} tokens, which is the most; revoke some")

    def _new_id(self, taken: set[str]) -> str:
        while (token_id := _text(self._random_bytes(_ID_BYTES))) in taken:
            pass
        return token_id


def _check(label: str, scopes: Sequence[str], agent: bytes | None, expires_s: int | None) -> None:
    if not _LABEL.fullmatch(label):
        raise InvalidParameter(f"a label has 1 to {LABEL_CHARS_MAX} characters, and no control characters")
    if not scopes or not set(scopes) <= set(TOKEN_SCOPES):
        raise InvalidParameter(f"scopes are one or more of {', '.join(TOKEN_SCOPES)}")
    if agent is not None and not _AGENT.fullmatch(agent.hex()):
        raise InvalidParameter("an agent is a public key of 32 bytes")
    if expires_s is not None and not 0 < expires_s <= EXPIRES_S_MAX:
        raise InvalidParameter("a token ends after a second or more, and within a hundred years")


def _identity_of(kept: _Kept) -> Identity:
    return Identity(
        kept.id, kept.label, frozenset(kept.scopes), None if kept.agent is None else bytes.fromhex(kept.agent)
    )


def _hash_of(secret: str) -> bytes:
    return blake3(secret.encode("ascii")).digest()


def _check_of(start: str) -> str:
    """Tells a token that was cut or mistyped from one that is not known; nothing secret hangs on it."""
    return f"{zlib.crc32(start.encode('ascii')):08x}"


def _text(data: bytes) -> str:
    return b32encode(data).decode("ascii").rstrip("=").lower()
