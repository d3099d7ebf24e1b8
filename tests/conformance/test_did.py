"""An agent may be named by its did:key wherever it is named by its key; what is signed and answered keeps the hex."""

from collections.abc import Iterator

import pytest

from episteme.errors import InvalidField, InvalidParameter
from model import SigningKey, did_of
from tests.support.databases import KINDS, WAIT_S, Database, opened, write
from tests.support.events import KEY_A

AGENT = SigningKey(b"did:key of a test".ljust(32))
DID = did_of(AGENT.agent)


@pytest.fixture(scope="module", params=KINDS)
def db(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with opened(request.param, tmp_path_factory.mktemp(request.param)) as database:
        yield database


def test_agent_is_found_by_its_did_and_shown_with_it(db: Database) -> None:
    receipt = write(db, "by did", AGENT)
    report = db.agent(DID)
    assert (report.agent, report.did) == (AGENT.agent_hex, DID)
    assert report == db.agent(AGENT.agent_hex)
    assert {one.agent: one.did for one in db.agents().items}[AGENT.agent_hex] == DID
    assert [one.hash for one in db.assertions(agent=DID).items] == [receipt.hash]
    assert db.audits(agent=DID).items == []


def test_governance_by_did_is_signed_over_the_hex(db: Database) -> None:
    db.quota_limit(DID, 77, wait_s=WAIT_S)
    assert db.agent(AGENT.agent_hex).quota.limit == 77
    receipt = db.pack("by did", 1, {DID: 0.5}, wait_s=WAIT_S)
    (line,) = db.tail(receipt.seq - 1, follow=False)
    assert line.event is not None
    assert [one.agent for one in line.event.members] == [AGENT.agent_hex]  # type: ignore[union-attr]
    db.revoke(DID, "lost", wait_s=WAIT_S)
    assert db.agent(DID).revoked is not None


@pytest.mark.parametrize("name", [DID[:-1], DID.upper(), f"{DID} ", KEY_A.agent_hex.upper(), "did:web:example.org", ""])
def test_what_names_no_agent_is_refused(db: Database, name: str) -> None:
    for read in (db.agent, lambda agent: db.assertions(agent=agent)):
        with pytest.raises(InvalidParameter):
            read(name)
    for write_to in (db.revoke, lambda agent: db.quota_limit(agent, 1), lambda agent: db.pack("p", 1, [agent])):
        with pytest.raises(InvalidField):
            write_to(name)
