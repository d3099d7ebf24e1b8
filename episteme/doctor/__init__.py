"""The doctor: looks a database over and says what is wrong and what to do.  Source: docs/operations.md, "Doctor"."""

from episteme.doctor.check import Check, Level
from episteme.doctor.examine import examine
from episteme.doctor.outside import backup_check, unopened
from episteme.doctor.patient import Folded, Patient

__all__ = ["Check", "Folded", "Level", "Patient", "backup_check", "examine", "unopened"]
