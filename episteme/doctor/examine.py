"""All checks in order; one that fails unforeseen is a finding, not an end."""

import logging
from typing import Final

from episteme.doctor.check import Check, Look, fail, ok
from episteme.doctor.folder import folder_checks
from episteme.doctor.logs import log_checks
from episteme.doctor.patient import Patient
from episteme.doctor.states import state_checks
from episteme.moving.copying import OnProgress

_LOGGER: Final = logging.getLogger(__name__)


def examine(patient: Patient, moved: OnProgress, *, deep: bool = False) -> list[Check]:
    """Look everything over.

    moved: told how far what takes long is.  deep: every signature, and the whole log folded once more.
    """
    found = [readiness(patient)] if patient.reasons else []
    looks = [
        *folder_checks(patient),
        *log_checks(patient, moved, deep=deep),
        *state_checks(patient, moved, deep=deep),
        ("quotas", lambda: quotas(patient)),
    ]
    return found + [_found_by(look) for look in looks]


def readiness(patient: Patient) -> Check:
    """Why a running database would refuse something."""
    return fail("ready", "; ".join(patient.reasons), "see `episteme status`")


def quotas(patient: Patient) -> Check:
    """Whether writers pay."""
    quota = patient.config.quota
    if quota.enabled:
        return ok("quotas", f"on: {quota.tokens_per_hour:,} tokens an hour for each agent without a limit of its own")
    return ok("quotas", "off, which is right as long as only you can reach the database")


def _found_by(look: Look) -> Check:
    name, call = look
    try:
        return call()
    except Exception as error:  # a damaged state may break any promise that its readers rely on
        _LOGGER.warning("the doctor's look at %s came to nothing", name, exc_info=error)
        return fail(name, f"could not be looked at: {type(error).__name__}: {error}", "mend that, then look again")
