"""The stores in a state's folder: one is live, and a rebuild makes the next beside it.

`CURRENT` names the live generation and is replaced atomically: a swap is that
one replacement.  A generation that it does not name is unfinished or retired,
and goes at the next opening.  The folder has one owner at a time, by a lock.

Source: docs/state.md, "In the folder".
"""

import logging
import re
from itertools import count
from pathlib import Path
from typing import Final, Self

from cortex.errors import StateLocked
from cortex.folders import put_durably, remove_tree
from wal import Files

CURRENT: Final = "CURRENT"
_LOCK: Final = "LOCK"
_NAME: Final = re.compile(r"gen-([0-9]{8})")
SCRATCH: Final = "scratch-"  # begins the names of folders that last no longer than an opening
# A store of before there were generations lay in the folder itself; the log makes it anew.
_UNNUMBERED: Final = (("write", "CURRENT"), ("read", "data.mdb"))
_LOGGER = logging.getLogger(__name__)


class Generations:
    """The generations of one state's folder."""

    def __init__(self, folder: Path, files: Files, lock: int) -> None:
        """Use Generations.open."""
        self._folder = folder
        self._files = files
        self._lock: int | None = lock
        self._scratch_numbers = count()  # opening removes what an earlier one left

    @classmethod
    def open(cls, folder: Path, files: Files) -> Self:
        """Take the folder, making it if needed; what is unfinished or retired goes.  Raises: StateLocked; OSError."""
        files.make_folder(folder)
        lock = files.lock(folder / _LOCK)
        if lock is None:
            raise StateLocked(f"{folder} is open elsewhere; stop that one first")
        generations = cls(folder, files, lock)
        try:
            generations._remove_others()
        except BaseException:
            generations.close()
            raise
        return generations

    def live(self) -> Path | None:
        """The folder of the live generation; None in a new state, or in one whose CURRENT leads nowhere."""
        live = live_generation(self._folder)
        if live is None and (current := self._folder / CURRENT).exists():
            name = current.read_text("ascii", errors="replace").strip()
            _LOGGER.warning(
                "%s names %.100r, which is no generation that is here; the state is made anew", current, name
            )
        return live

    def begin(self) -> Path:
        """The folder, not made yet, of a new generation, which is not live."""
        numbers = [int(found[1]) for name in self._names() if (found := _NAME.fullmatch(name))]
        return self._folder / f"gen-{max(numbers, default=0) + 1:08d}"

    def promote(self, generation: Path) -> None:
        """Make a generation the live one; durable on return."""
        self._files.sync_folder(self._folder)
        put_durably(self._files, self._folder / CURRENT, f"{generation.name}\n".encode())

    def scratch(self) -> Path:
        """The folder, not made yet and never given twice, of a store that lasts no longer than this opening."""
        return self._folder / f"{SCRATCH}{next(self._scratch_numbers)}"

    def close(self) -> None:
        """Give the folder back."""
        lock, self._lock = self._lock, None
        if lock is not None:
            self._files.close(lock)

    def _names(self) -> list[str]:
        return self._files.names(self._folder)

    def _remove_others(self) -> None:
        """What is unfinished or retired; nothing, if CURRENT is there and leads nowhere: somebody may want to look."""
        live = self.live()
        if live is None and (self._folder / CURRENT).exists():
            return
        for name in self._names():
            if (_NAME.fullmatch(name) or name.startswith(SCRATCH)) and (live is None or name != live.name):
                remove_tree(self._folder / name)
        if all((self._folder / name / sign).is_file() for name, sign in _UNNUMBERED):
            for name, _ in _UNNUMBERED:
                remove_tree(self._folder / name)


def live_generation(folder: Path) -> Path | None:
    """The live generation of a state's folder, whoever owns it; None in a new one, or if CURRENT leads nowhere."""
    current = folder / CURRENT
    if not current.exists():
        return None
    name = current.read_text("ascii", errors="replace").strip()
    return folder / name if _NAME.fullmatch(name) and (folder / name).is_dir() else None
