"""Where what answers rest on last changed: one row, by kind."""

from stores import NO_RULINGS, MemoryEngine, MetaWriter, Ruling, Rulings, RulingsStore, RulingsWriter, Staging


def test_nothing_has_changed_in_a_new_store() -> None:
    assert RulingsStore(MemoryEngine().snapshot()).get() == NO_RULINGS == Rulings(-1, -1, -1, -1, -1, -1, -1)


def test_each_kind_has_the_position_of_its_last_change_in_one_row() -> None:
    state = Staging(MemoryEngine().snapshot())
    writer = RulingsWriter(state)
    changes: list[tuple[Ruling, int]] = [("alias", 3), ("trust", 4), ("alias", 9), ("epoch", 2**40)]
    for kind, seq in changes:
        writer.note(kind, seq)
    assert writer.get() == Rulings(2**40, -1, -1, 9, -1, -1, 4)
    assert len(state.batch.rows) == 1


def test_change_that_is_taken_late_is_noted_where_the_log_goes_on() -> None:
    """What was computed at positions up to there, without it, is no longer true."""
    engine = MemoryEngine()
    state = Staging(engine.snapshot())
    MetaWriter(state).put_cursor(20)
    engine.commit(state.batch)
    writer = RulingsWriter(Staging(engine.snapshot()))
    writer.note("epoch", 5)
    writer.note("source", 20)
    writer.note("predicate", 23)
    writer.note("predicate", 21)
    found = writer.get()
    assert (found.epoch, found.source, found.predicate) == (20, 20, 23)
