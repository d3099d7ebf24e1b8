"""What a store knows of itself: which log it folds, how far, and with which folds: family META."""

import struct
from collections.abc import Iterator
from typing import Final

from keycodec import meta_key, meta_prefix, parse
from stores.kv import Reader
from stores.staging import Staging

LAST_KEY: Final = meta_key("last")  # no part of a state's digest

_CURSOR: Final = struct.Struct("<Q")
_FOLD_PREFIX: Final = "fold."
_META_COUNT_MAX: Final = 1000


class MetaStore:
    """Reads meta rows."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def cursor(self) -> int:
        """The seq of the next event to fold: all before it are in the state, none after."""
        data = self._reader.get(meta_key("cursor"))
        return 0 if data is None else int(_CURSOR.unpack(data)[0])

    def start(self) -> int:
        """The seq of the first event that this state has, or will have, folded."""
        data = self._reader.get(meta_key("start"))
        return 0 if data is None else int(_CURSOR.unpack(data)[0])

    def last(self) -> bytes | None:
        """What tells the last folded frame from every other at its seq; None if nothing is folded."""
        return self._reader.get(LAST_KEY)

    def log_id(self) -> bytes | None:
        """The id of the log that this state is a fold of; None in a new store."""
        return self._reader.get(meta_key("log"))

    def fold_versions(self) -> dict[str, int]:
        """The version of each fold that made this state."""
        prefix = meta_key(_FOLD_PREFIX)
        rows: Iterator[tuple[bytes, bytes]] = self._reader.scan(meta_prefix(), count_max=_META_COUNT_MAX)
        return {
            parse(key).parts[0].removeprefix(_FOLD_PREFIX): int(value) for key, value in rows if key.startswith(prefix)
        }


class MetaWriter(MetaStore):
    """Stages meta rows."""

    def __init__(self, staging: Staging) -> None:
        super().__init__(staging)
        self._staging = staging

    def put_cursor(self, seq: int) -> None:
        """Set the seq of the next event to fold."""
        self._staging.put(meta_key("cursor"), _CURSOR.pack(seq))

    def put_last(self, mark: bytes) -> None:
        """Set what tells the last folded frame from every other at its seq."""
        self._staging.put(LAST_KEY, mark)

    def put_origin(self, log_id: bytes, fold_versions: dict[str, int], start: int = 0) -> None:
        """Bind a new store to its log and folds, from the event at start on."""
        self._staging.put(meta_key("log"), log_id)
        if start:
            self._staging.put(meta_key("start"), _CURSOR.pack(start))
        for name, version in sorted(fold_versions.items()):
            self._staging.put(meta_key(_FOLD_PREFIX + name), str(version).encode())
