"""Auditors and ledgers for tests: real answers, ids in order, a clock that moves when it is read."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final

from episteme.audit import AuditOptions
from episteme.audit.auditor import Auditor
from episteme.audit.event import encode_answered
from episteme.audit.ledger import Ledger
from episteme.config import NodeConfig
from episteme.node import Node
from episteme.reading import Question, as_parameters
from stores import AuditStore
from tests.support.events import KEY_A, NOW_MS
from tests.support.faulty_files import WAIT_S, UnsyncedFiles
from tests.support.stores import ALL
from tests.support.values import AUDIT
from wal import Files

ON: Final = AuditOptions(enabled=True, read_wait_s=WAIT_S, close_wait_s=WAIT_S)


@contextmanager
def auditing(folder: Path, options: AuditOptions = ON, **config: Any) -> Iterator[Node]:
    """A node that audits, signing as KEY_A."""
    with Node.open(folder, key=KEY_A, config=NodeConfig(audit=options, **config)) as node:
        yield node


@contextmanager
def auditor_on(folder: Path, options: AuditOptions = ON, files: Files | None = None) -> Iterator[Auditor[Question]]:
    """An auditor by itself, on a disk without waits unless a test gives another; every answer a millisecond later."""
    clock = count(NOW_MS)
    auditor = Auditor[Question](
        folder,
        options,
        as_parameters,
        clock_ms=lambda: next(clock),
        random_bytes=os.urandom,
        files=files or UnsyncedFiles(),
    )
    try:
        yield auditor
    finally:
        auditor.close()


@contextmanager
def ledger_on(folder: Path, options: AuditOptions = ON, files: Files | None = None) -> Iterator[Ledger]:
    """A ledger on a disk without waits."""
    ledger = Ledger.open(
        folder,
        options,
        clock_ms=lambda: NOW_MS,
        new_log_id=lambda: os.urandom(16),
        files=files or UnsyncedFiles(),
    )
    try:
        yield ledger
    finally:
        ledger.close()


def made_up_id(number: int) -> str:
    """Of the audit that was asked number milliseconds after 1970."""
    return f"{number:012x}{number:020x}"


def payloads(start: int, count_: int) -> list[bytes]:
    """Frames of audits with consecutive ids."""
    return [encode_answered(made_up_id(number), AUDIT.audit) for number in range(start, start + count_)]


def settled_ids(ledger: Ledger) -> list[str]:
    """The ids in the state, once all that was appended is folded."""
    end = ledger.sync()
    assert not end or ledger.state.watermark.wait(end - 1, WAIT_S)
    with ledger.snapshot() as reader:
        return AuditStore(reader).everybodys().oldest(count_max=ALL)


def recorded_ids(auditor: Auditor[Any]) -> list[str]:
    """The ids of all audits, oldest first."""
    with auditor.reader() as reader:
        return AuditStore(reader).everybodys().oldest(count_max=ALL)
