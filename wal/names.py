"""Which folder a log of a given name lives in, and which name a folder stands for.

Owns: the spelling of names on disk.  Refuses: to touch a disk, and names that
no folder could stand for.  Invariant: two names never share a folder, and no
log's folder lies inside another's, also where the file system folds case or
normalises.

Source: docs/format-log.md.
"""

import re
from collections.abc import Collection
from itertools import count
from pathlib import PurePath, PurePosixPath
from typing import Final
from urllib.parse import unquote_to_bytes

from wal.errors import BadLogName

NAME_BYTES_MAX: Final = 255  # of UTF-8: four components at most, however much of it is escaped
COMPONENT_CHARS_MAX: Final = 200  # file systems bear 255: this leaves room for what a component ends in
COMPONENTS_MAX: Final = 4  # 255 escapes of 3 characters, 66 whole ones in a component
LOG_SUFFIX: Final = ".log"  # ends the last component, and with it a log's folder
SPLIT_SUFFIX: Final = "+"  # ends each component before it, which is never a log's folder

_DELETED: Final = ".deleted-"  # and a number, behind the last component: no log's folder any more
_NUMBER: Final = re.compile("[0-9]+")
_PLAIN: Final = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789_-")
_SHOWN_CHARS_MAX: Final = 40  # of a refused name in its error


def folder_of(name: str) -> PurePosixPath:
    """The folder of a log, relative to the folder of all logs.

    Bytes of UTF-8 that are not a-z, 0-9, _ or - become %XX; a long name becomes nested folders.
    Raises: BadLogName for an empty name, one over NAME_BYTES_MAX, or half of a surrogate pair.
    """
    *parents, last = _split("".join(map(_escape, _checked_bytes(name))))
    return PurePosixPath(*(parent + SPLIT_SUFFIX for parent in parents), last + LOG_SUFFIX)


def name_of(path: PurePath) -> str | None:
    """The name whose folder_of is path; None if there is no such name."""
    *parents, last = path.parts or ("",)
    if not last.endswith(LOG_SUFFIX) or not all(parent.endswith(SPLIT_SUFFIX) for parent in parents):
        return None
    escaped = "".join(parent.removesuffix(SPLIT_SUFFIX) for parent in parents) + last.removesuffix(LOG_SUFFIX)
    try:
        name = unquote_to_bytes(escaped).decode()
        folder = folder_of(name)
    except (UnicodeError, BadLogName):
        return None
    return name if folder.parts == path.parts else None  # one spelling: no other escapes, no other split


def deleted_component(component: str, taken: Collection[str]) -> str:
    """What the last component of a log's folder becomes when the log is deleted: not taken, and never a log's."""
    names = (f"{component}{_DELETED}{number}" for number in count())
    return next(name for name in names if name not in taken)


def is_deleted(path: PurePath) -> bool:
    """Whether path was a log's folder until a delete renamed it."""
    component, mark, number = path.name.rpartition(_DELETED)
    return bool(mark) and _NUMBER.fullmatch(number) is not None and name_of(path.parent / component) is not None


def _checked_bytes(name: str) -> bytes:
    try:
        data = name.encode()
    except UnicodeEncodeError as error:
        half = f"half of a surrogate pair (U+{ord(name[error.start]):04X} at {error.start})"
        raise BadLogName(f"a log name holds {half}, which UTF-8 cannot say; give whole characters") from error
    if not data:
        raise BadLogName("the log name is empty, and a folder needs one; give 1 byte at least")
    if len(data) > NAME_BYTES_MAX:
        shown = repr(name[:_SHOWN_CHARS_MAX])
        raise BadLogName(
            f"the log name {shown}... is {len(data)} bytes of UTF-8, more than a path should bear; "
            f"give {NAME_BYTES_MAX} at most"
        )
    return data


def _escape(byte: int) -> str:
    return chr(byte) if byte in _PLAIN else f"%{byte:02X}"


def _split(escaped: str) -> list[str]:
    """Components of at most COMPONENT_CHARS_MAX, each as long as it can be without cutting an escape."""
    components = []
    while len(escaped) > COMPONENT_CHARS_MAX:
        cut_escape = escaped.rfind("%", COMPONENT_CHARS_MAX - 2, COMPONENT_CHARS_MAX)
        cut = COMPONENT_CHARS_MAX if cut_escape < 0 else cut_escape
        components.append(escaped[:cut])
        escaped = escaped[cut:]
    return [*components, escaped]
