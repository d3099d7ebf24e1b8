"""Revocations: by the key itself or by an operator; the first that counts stays."""

from stores import OperatorStore, Reader, RevocationStore, RulingsStore
from tests.folds.governing import ANA, BEN, OPERATOR, OTHER_OPERATOR, RULES, folded, revocation, said, taken_late
from tests.support.meaning import Step


def seq_of(reader: Reader, key: object = ANA) -> int | None:
    row = RevocationStore(reader).get(key.agent_hex)  # type: ignore[attr-defined]
    return None if row is None else row.seq


def test_key_revokes_itself_and_an_operator_revokes_any() -> None:
    assert seq_of(folded(RULES, said(revocation(ANA, ANA), ANA))) == 1
    assert seq_of(folded(RULES, said(revocation(OPERATOR, ANA), OPERATOR))) == 1
    assert seq_of(folded(RULES, said(revocation(BEN, ANA), BEN))) is None
    assert seq_of(folded(said(revocation(ANA, ANA), ANA))) == 0, "no operator is needed"


def test_revocation_counts_from_the_signature_that_it_needs() -> None:
    event = revocation(BEN, ANA)
    assert seq_of(folded(RULES, said(event, BEN), said(event, ANA), said(event, OPERATOR))) == 2


def test_first_revocation_that_counts_stays() -> None:
    by_operator = said(revocation(OPERATOR, ANA), OPERATOR)
    reader = folded(RULES, said(revocation(ANA, ANA), ANA), by_operator)
    row = RevocationStore(reader).get(ANA.agent_hex)
    assert row is not None
    assert (row.seq, row.event.agent) == (1, ANA.agent_hex)
    assert RulingsStore(reader).get().revocation == 1


def test_revoked_operator_is_none_any_more_and_revokes_nobody() -> None:
    gone = said(revocation(OTHER_OPERATOR, OPERATOR), OTHER_OPERATOR)
    reader = folded(RULES, gone, said(revocation(OPERATOR, ANA), OPERATOR))
    assert seq_of(reader) is None
    assert not OperatorStore(reader).is_operator(OPERATOR.agent)
    assert OperatorStore(reader).is_operator(OPERATOR.agent, 0)


def test_key_that_is_revoked_cannot_move_its_revocation() -> None:
    again = said(revocation(ANA, ANA, reason="again"), ANA)
    assert seq_of(folded(RULES, said(revocation(ANA, ANA), ANA), again)) == 1


def test_revocation_that_is_taken_late_holds_from_its_own_position() -> None:
    steps: list[Step] = [RULES, said(revocation(ANA, ANA), ANA), said(revocation(OPERATOR, ANA), OPERATOR)]
    reader = taken_late(steps, 1)
    assert seq_of(reader) == 1
    assert RulingsStore(reader).get().revocation == 3
