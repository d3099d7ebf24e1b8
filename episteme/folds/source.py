"""Sources: anyone registers one as active; operators say what it is called, where it is and what became of it."""

from typing import Final

import msgspec
from blake3 import blake3
from msgspec import UNSET

from episteme.folds.authority import authorised, operator_among, signers_of, speaking
from episteme.folds.event import LoggedEvent
from model import Source
from stores import RulingsWriter, SourceRecord, SourceStatus, SourceWriter, Staging

SOURCE: Final = "source"
STATUSES_MAX: Final = 1000  # of one source, the latest: each is read with it, and operators change it by hand


class SourceFold:
    """Families SRC and SRCT."""

    name = "source"
    version = 1
    kinds = frozenset((SOURCE,))

    def apply(self, event: LoggedEvent, state: Staging) -> None:
        """Register a source, or change what is known of it.

        A status that is taken late, after newer ones, holds from its own position until the next; a label or an
        address then stays what it is.
        """
        if event.kind != SOURCE:
            return
        if authorised(event, state):
            _change(event, state)
        else:
            _register(event, state)


def _register(event: LoggedEvent, state: Staging) -> None:
    """As active, whatever it says, by anyone whose key speaks; of a source that is known nothing changes."""
    source = _source_of(event)
    store = SourceWriter(state)
    known = store.get(source.source_hash)
    if known is not None and known.status_at(event.seq) is not None:
        return
    speakers = speaking(signers_of(event, state), event.seq, state)
    if not speakers:
        return
    signer = bytes.fromhex(source.agent)
    status = SourceStatus("active", signer if signer in speakers else speakers[0], event.digest, event.seq, event.time)
    record = known or _named(SourceRecord("", None, None, 0, ()), source)
    store.put(source.source_hash, _with(record, status))


def _change(event: LoggedEvent, state: Staging) -> None:
    source = _source_of(event)
    operator = operator_among(signers_of(event, state), event.seq, state)
    assert operator is not None, event.digest.hex()
    store = SourceWriter(state)
    known = store.get(source.source_hash) or SourceRecord("", None, None, 0, ())
    before = known.status_at(event.seq)
    record = known
    if not known.statuses or known.statuses[-1].seq <= event.seq:
        record = _named(known, source)
    if before is None or before.status != source.status:
        record = _with(record, SourceStatus(source.status, operator, event.digest, event.seq, event.time))
        if before is not None or source.status != "active":
            RulingsWriter(state).note("source", event.seq)
    store.put(source.source_hash, record)


def _source_of(event: LoggedEvent) -> Source:
    source = event.event
    assert isinstance(source, Source), event.kind
    return source


def _named(record: SourceRecord, source: Source) -> SourceRecord:
    """With the label and the address that the event gives, and its content if it has one."""
    url = None if source.url is UNSET else source.url
    if source.content is UNSET:
        return msgspec.structs.replace(record, label=source.label, url=url)
    content = source.content.encode()
    return SourceRecord(source.label, url, blake3(content).digest(), len(content), record.statuses)


def _with(record: SourceRecord, status: SourceStatus) -> SourceRecord:
    statuses = sorted([*record.statuses, status], key=lambda one: one.seq)
    return msgspec.structs.replace(record, statuses=tuple(statuses[-STATUSES_MAX:]))
