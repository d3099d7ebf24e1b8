"""What is looked at from outside a database: its backup, and a state that could not be opened."""

from pathlib import Path
from typing import Final

from episteme.doctor.check import Check, fail, ok, skipped, warn
from episteme.errors import CannotOpen, EpistemeError, translate
from episteme.moving import read_manifest

_AGE_MS_MAX: Final = 2 * 86_400_000  # a nightly backup that failed once
_DAY_MS: Final = 86_400_000
_NAME: Final = "backup"


def backup_check(folder: Path | None, database: str, frames: int, now_ms: int) -> Check:
    """Whether a backup is of this database, and young; its bytes are not looked at.

    database: id in hex.  frames: in its log now.
    """
    if folder is None:
        return skipped(_NAME, "none was named", "`episteme backup DIR` makes one; --backup DIR looks at its age")
    try:
        manifest = read_manifest(folder)
    except (EpistemeError, OSError) as error:
        return fail(_NAME, str(error), "`episteme backup DIR`, into a new folder if that one is damaged")
    if manifest.database != database:
        return fail(_NAME, f"{folder} is of database {manifest.database}", "name the backup of this one")
    age_ms, missing = now_ms - manifest.made_ms, frames - manifest.frames
    told = f"{age_ms / _DAY_MS:.1f} days old, {max(missing, 0):,} events behind"
    if age_ms > _AGE_MS_MAX and missing > 0:
        return warn(_NAME, told, f"`episteme backup {folder}`, once a day")
    return ok(_NAME, f"{told}; `episteme backup --check` looks whether it is whole")


def unopened(error: Exception) -> list[Check]:
    """What is said of a state that could not be opened."""
    told = translate(error)
    if isinstance(told, CannotOpen):
        fix = "if that is its server, ask it: `episteme doctor --url URL` with an admin token"
        return [skipped("state", str(error), fix)]
    return [fail("state", str(error), told.hint)]
