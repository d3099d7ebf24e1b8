"""Refusals in process and over HTTP: the same class, the same code, the same pointers, and nothing is written."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from episteme import Client, EpistemeError
from episteme.errors import InvalidField, InvalidParameter, InvalidSignature, NotFound, UnknownLens, WrongAudience
from model import SignedEvent, SigningKey, event_hash
from tests.support.databases import KINDS, WAIT_S, Database, opened
from tests.support.events import HASH_1, KEY_A, KEY_B, make_assertion, make_vote, signed

FAR = 10**12
_OTHER = signed(make_assertion(subject="other content"))
_FORGED_EVENT = make_assertion(subject="forged")
FORGED = SignedEvent(_FORGED_EVENT, event_hash(_FORGED_EVENT), _OTHER.signatures)

REFUSALS: list[tuple[str, Callable[[Database], object], type[EpistemeError], list[str]]] = [
    ("subject", lambda db: db.assert_("a\nb", "p", "v"), InvalidField, ["/event/subject"]),
    ("subject that is no text", lambda db: db.assert_("\ud800", "p", "v"), InvalidField, ["/event/subject"]),
    ("predicate", lambda db: db.assert_("s", "", "v"), InvalidField, ["/event/predicate"]),
    ("value", lambda db: db.assert_("s", "p", "x" * 16385), InvalidField, ["/event/object/value"]),
    ("value not finite", lambda db: db.assert_("s", "p", float("nan")), InvalidField, ["/event/object/value"]),
    ("narrative", lambda db: db.assert_("s", "p", "v", narrative="x" * 8193), InvalidField, ["/event/narrative"]),
    ("forged", lambda db: db.submit(FORGED), InvalidSignature, ["/signatures/0/signature"]),
    ("lens", lambda db: db.query("s", "p", lens="loudest"), UnknownLens, ["lens"]),
    ("lens of nothing", lambda db: db.query("s", "p", lens=""), UnknownLens, ["lens"]),
    ("limit 0", lambda db: db.query("s", "p", limit=0), InvalidParameter, ["limit"]),
    ("limit 1001", lambda db: db.query("s", "p", limit=1001), InvalidParameter, ["limit"]),
    ("limit -1", lambda db: db.query("s", "p", limit=-1), InvalidParameter, ["limit"]),
    ("subject asked", lambda db: db.query("", "p"), InvalidParameter, ["subject"]),
    ("subject asked, long", lambda db: db.query("x" * 257, "p"), InvalidParameter, ["subject"]),
    ("subject asked, no text", lambda db: db.query("\ud800", "p"), InvalidParameter, ["subject"]),
    ("predicate asked", lambda db: db.query("s", "\0"), InvalidParameter, ["predicate"]),
    ("source class", lambda db: db.query("s", "p", source_class=["rumour"]), InvalidParameter, ["source_class"]),
    ("lifecycle", lambda db: db.query("s", "p", lifecycle=["done"]), InvalidParameter, ["lifecycle"]),
    ("min_seq", lambda db: db.query("s", "p", min_seq=-1), InvalidParameter, ["min_seq"]),
    ("wait", lambda db: db.query("s", "p", min_seq=FAR, wait_s=31), InvalidParameter, ["wait"]),
    ("wait without min_seq", lambda db: db.query("s", "p", wait_s=-1), InvalidParameter, ["wait"]),
    ("short hash", lambda db: db.get("ab"), InvalidParameter, ["hash"]),
    ("no hash", lambda db: db.get(""), InvalidParameter, ["hash"]),
    ("hash with a slash", lambda db: db.get("../status"), InvalidParameter, ["hash"]),
    ("hash with a question mark", lambda db: db.get("?x=1"), InvalidParameter, ["hash"]),
    (
        "audience",
        lambda db: db.submit(signed(make_assertion(audience="elsewhere"))),
        WrongAudience,
        ["/event/audience"],
    ),
]


@pytest.fixture(scope="module", params=KINDS)
def db(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """Each database in turn, shared by all tests here: each writes about subjects of its own."""
    with opened(request.param, tmp_path_factory.mktemp(request.param)) as database:
        yield database


@pytest.fixture
def fresh(db: Database, tmp_path: Path) -> Iterator[Database]:
    """A database that a bad write cannot spoil for other tests: a node of its own, or the server behind its gate."""
    if isinstance(db, Client):
        yield db
    else:
        with opened("node", tmp_path) as node:
            yield node


@pytest.mark.parametrize(("name", "act", "exception", "pointers"), REFUSALS, ids=[row[0] for row in REFUSALS])
def test_refusal_is_of_one_class_with_one_code_and_the_same_pointers(
    db: Database, name: str, act: Callable[[Database], object], exception: type[EpistemeError], pointers: list[str]
) -> None:
    before = db.status().log.seq
    with pytest.raises(exception) as caught:
        act(db)
    assert type(caught.value) is exception
    assert [problem.pointer for problem in caught.value.errors] == pointers
    assert caught.value.detail
    assert caught.value.hint
    assert db.status().log.seq == before


# What the constructors of events do not check themselves; each of these must be refused before it is durable.
UNCHECKED = [
    ("confidence", {"confidence": "1.1"}),
    ("confidence", {"confidence": "high"}),
    ("confidence", {"confidence": 2.0}),
    ("confidence", {"confidence": float("nan")}),
    ("confidence", {"confidence": float("inf")}),
    ("confidence", {"confidence": 1e30}),
    ("confidence", {"confidence": -0.1}),
    ("metadata", {"metadata": {"No": "1"}}),
    ("metadata", {"metadata": {"page": 7}}),
    ("source_class", {"source_class": "rumour"}),
    ("lifecycle", {"lifecycle": "done"}),
    ("timestamp", {"timestamp": -1}),
    ("parent_hash", {"parent_hash": "A" * 64}),
    ("source_hash", {"source_hash": "ab"}),
]


@pytest.mark.parametrize(("field", "arguments"), UNCHECKED, ids=str)
def test_claim_that_breaks_a_rule_is_refused_and_the_database_goes_on(
    fresh: Database, field: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(InvalidField) as caught:
        fresh.assert_("breaks a rule", "p", "v", **arguments)
    assert [problem.pointer for problem in caught.value.errors] == [f"/event/{field}"]
    assert fresh.assert_("keeps to the rules", "p", "v", wait_s=WAIT_S).status != "accepted"


@pytest.mark.parametrize("weight", ["2", "-1.5", "much", 1.01, float("inf")])
def test_vote_that_breaks_a_rule_is_refused_and_the_database_goes_on(fresh: Database, weight: str | float) -> None:
    receipt = fresh.assert_("voted badly", "p", "v", wait_s=WAIT_S)
    with pytest.raises(InvalidField) as caught:
        fresh.vote(receipt.hash, weight)
    assert [problem.pointer for problem in caught.value.errors] == ["/event/weight"]
    assert fresh.vote(receipt.hash, "1", wait_s=WAIT_S).status != "accepted"


@pytest.mark.parametrize("signers", [(), (KEY_B,), (KEY_A, KEY_A)], ids=["nobody", "another agent", "one agent twice"])
def test_event_with_the_wrong_signers_is_refused(fresh: Database, signers: tuple[SigningKey, ...]) -> None:
    event = make_vote(agent=KEY_A.agent_hex)
    digest = event_hash(event)
    with pytest.raises(InvalidField) as caught:
        fresh.submit(SignedEvent(event, digest, tuple(key.sign_hash(event, digest) for key in signers)))
    assert [problem.pointer for problem in caught.value.errors] == ["/signatures"]


def test_event_under_a_hash_that_is_not_its_own_is_refused(fresh: Database) -> None:
    event, digest = make_assertion(subject="under a false hash"), bytes.fromhex(HASH_1)
    with pytest.raises(InvalidSignature):
        fresh.submit(SignedEvent(event, digest, (KEY_A.sign_hash(event, digest),)))
    with pytest.raises(NotFound):
        fresh.get(HASH_1)
