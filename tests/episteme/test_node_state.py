"""A node and its state: older versions, poison, watching, rebuilding under readers and writers."""

import threading
from pathlib import Path

import pytest

from episteme import Node
from episteme.api import Answer
from episteme.errors import InvalidParameter, NotReady
from episteme.node import LOG_FOLDER, STATE_FOLDER
from keycodec import meta_key
from model import FRAME_KIND_EVENT
from stores import Batch, HybridStore
from tests.support.events import KEY_A, KEY_B
from tests.support.logs import open_log

WAIT_S = 10.0
CLAIMS = 30


def written(folder: Path) -> str:
    """A closed database of some claims; the answer's winner."""
    with Node.open(folder, key=KEY_A) as node:
        for number in range(CLAIMS):
            receipt = node.assert_("subject", "p", f"value {number % 3}", timestamp=number + 1)
        return str(node.query("subject", "p", min_seq=receipt.seq, wait_s=WAIT_S).value)


def make_older(folder: Path) -> None:
    """Let the state be one that an earlier version of a fold has made."""
    state = folder / STATE_FOLDER
    store = HybridStore.open(state / (state / "CURRENT").read_text().strip())
    batch = Batch()
    batch.put(meta_key("fold.assertion"), b"0")
    store.commit(batch)
    store.close()


def test_state_of_an_older_version_is_made_anew_by_itself(tmp_path: Path) -> None:
    winner = written(tmp_path)
    make_older(tmp_path)
    with Node.open(tmp_path, key=KEY_A) as node:
        assert node.query("subject", "p").value == winner  # of the old state or the new one
        assert node.state.watermark.wait(CLAIMS - 1, WAIT_S)
        while not node.caught_up:
            assert node.state.failure is None
        assert node.status().ready
        assert node.query("subject", "p").value == winner
        node.assert_("subject", "p", "more", wait_s=WAIT_S)


def test_state_of_an_older_version_answers_and_takes_no_writes_until_it_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    winner = written(tmp_path)
    make_older(tmp_path)
    monkeypatch.setattr("cortex.state.State._rebuild_outdated", lambda self: None)
    with Node.open(tmp_path, key=KEY_A) as node:
        report = node.status()
        assert not report.ready
        assert "made anew" in report.reasons[0]
        assert node.query("subject", "p").value == winner
        with pytest.raises(NotReady, match="made anew"):
            node.assert_("subject", "p", "more")
        node.state.rebuild()
        assert node.status().ready


def test_reads_and_writes_go_on_while_the_state_is_rebuilt(tmp_path: Path) -> None:
    written(tmp_path)
    with Node.open(tmp_path, key=KEY_A) as node:
        done = threading.Event()
        rebuilding = threading.Thread(target=lambda: (node.state.rebuild(digest=True), done.set()))
        rebuilding.start()
        number = 0
        while not done.is_set() or number < 5:
            receipt = node.assert_("other", "p", number, wait_s=WAIT_S)
            assert receipt.status == "applied"
            assert node.query("other", "p", min_seq=receipt.seq).candidates_count == number + 1
            number += 1
        rebuilding.join(WAIT_S)
        assert node.query("other", "p").candidates_count == number
        assert node.state.rebuild(digest=True).digest_before == node.state.digest()


def test_event_that_cannot_be_folded_is_listed_and_keeps_nobody_else_from_being_read(tmp_path: Path) -> None:
    written(tmp_path)
    with open_log(tmp_path / LOG_FOLDER) as log:
        log.append(b"\x01 this is no event", FRAME_KIND_EVENT).wait(WAIT_S)
    with Node.open(tmp_path, key=KEY_B) as node:
        receipt = node.assert_("later", "p", "v", wait_s=WAIT_S)
        assert receipt.status == "applied"
        report = node.status()
        assert (report.ready, report.fold.dead_letters, report.fold.lag) == (True, 1, 0)
        (letter,) = node.state.dead_letters()
        told = node.folds()
        assert (told.dead_letters_count, told.next, told.lag) == (1, None, 0)
        assert [(one.seq, one.fold, one.reason, one.attempts) for one in told.items] == [
            (letter.seq, letter.fold, letter.reason, letter.attempts)
        ]
        assert (letter.seq, letter.fold) == (CLAIMS, "decode")
        assert "UnsupportedRecord" in letter.reason


# Watching


def test_watch_gives_the_answer_now_and_then_each_change(tmp_path: Path) -> None:
    with Node.open(tmp_path, key=KEY_A) as node:
        answers = node.watch("s", "p", timeout_s=WAIT_S)
        assert next(answers).value is None
        for value in ("one", "two"):
            node.assert_("s", "p", value, wait_s=WAIT_S)
            assert next(answers).value == value
        answers.close()


def test_watch_is_silent_about_other_pairs_and_about_nothing_new(tmp_path: Path) -> None:
    with Node.open(tmp_path, key=KEY_A) as node:
        answers = node.watch("s", "p", timeout_s=WAIT_S)
        assert next(answers).candidates_count == 0
        node.assert_("s", "other", "v", wait_s=WAIT_S)
        node.assert_("t", "p", "v", wait_s=WAIT_S)
        node.assert_("s", "p", "at last", wait_s=WAIT_S)
        assert next(answers).candidates_count == 1


def test_watch_of_a_vote_changes_the_votes_lens(tmp_path: Path) -> None:
    with Node.open(tmp_path, key=KEY_A) as node:
        receipt = node.assert_("s", "p", "v", wait_s=WAIT_S)
        answers = node.watch("s", "p", lens="votes", timeout_s=WAIT_S)
        assert next(answers).groups[0].votes == 0
        node.vote(receipt.hash, 0.5)
        assert next(answers).groups[0].votes == 0.5


def test_watch_ends_with_the_database(tmp_path: Path) -> None:
    found: list[Answer] = []
    node = Node.open(tmp_path, key=KEY_A)
    answers = node.watch("s", "p")
    found.append(next(answers))
    reader = threading.Thread(target=lambda rest: found.extend(rest), args=(answers,))
    reader.start()
    node.close()
    reader.join(WAIT_S)
    assert not reader.is_alive()
    assert len(found) == 1


def test_watch_of_a_bad_question_is_refused_at_once(tmp_path: Path) -> None:
    with Node.open(tmp_path) as node, pytest.raises(InvalidParameter):
        node.watch("", "p")
