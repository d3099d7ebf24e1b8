"""Folds that choke on some words, and logs in memory for them."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

from cortex import Fold, Runner, RunnerOptions
from keycodec import subject_postings_key, view_key, view_prefix, vote_count_key
from stores import KV, DeadLetter, DeadLetterStore, MetaStore, Reader, Staging
from tests.support.counting import decode_word, plus
from tests.support.logs import LOG_ID, TIME_MS
from tests.support.stores import ALL, entry, hash_hex
from wal import Log, LogOptions, MemoryLog

Word = tuple[int, str]  # seq and word

UNDECODABLE: Final = b"\xff"
WORDS: Final = ("a", "b", "bad", "worse")
QUICK: Final = RunnerOptions(commit_interval_s=0.0)
LETTERS: Final = QUICK._replace(on_error="dead-letter")


class Choked(Exception):
    pass


class ChokingFold:
    """Counts each word as it comes, and keeps which was the last; at a batch's end copies the counts that changed.

    Chokes on words of the two sets, which a test may change as a new version of the code would.
    """

    version = 1

    def __init__(self, name: str = "choking", in_apply: Iterable[str] = (), in_finish: Iterable[str] = ()) -> None:
        self.name = name
        self.in_apply = set(in_apply)
        self.in_finish = set(in_finish)

    def apply(self, event: Word, state: Staging) -> None:
        seq, word = event
        state.put(self.count_key(word), plus(state.get(self.count_key(word)), 1))
        state.add_posting(subject_postings_key(f"{self.name} {word}"), entry(seq))
        for key, _ in list(state.scan(view_prefix(f"{self.name} last"), count_max=9)):
            state.delete(key)
        state.put(view_key(f"{self.name} last", word), b"%d" % seq)
        if word in self.in_apply:
            raise Choked(f"on {word}")

    def finish(self, events: Sequence[Word], state: Staging) -> None:
        for word in {word for _, word in events}:
            state.put(self.view_key(word), state.get(self.count_key(word)) or b"")
            if word in self.in_finish:
                raise Choked(f"on {word} at the end")

    def count_key(self, word: str) -> bytes:
        return vote_count_key(f"{self.name} {word}", hash_hex(0))

    def view_key(self, word: str) -> bytes:
        return view_key(f"{self.name} {word}", "count")

    def counted(self, store: KV, words: Collection[str]) -> dict[str, int]:
        """How often each word was folded; all three places must agree."""
        found = {}
        with store.snapshot() as reader:
            for word in words:
                count = int.from_bytes(reader.get(self.count_key(word)) or b"", "little")
                assert count == int.from_bytes(reader.get(self.view_key(word)) or b"", "little"), word
                assert count == reader.posting_count(subject_postings_key(f"{self.name} {word}")), word
                found[word] = count
            assert len(list(reader.scan(view_prefix(f"{self.name} last"), count_max=9))) <= 1
        return {word: count for word, count in found.items() if count}


def memory_log(words: Iterable[str | bytes] = (), options: LogOptions = LogOptions()) -> MemoryLog:  # noqa: B008
    log = MemoryLog(clock_ms=lambda: TIME_MS, log_id=LOG_ID, options=options)
    say(log, *words)
    return log


def say(log: Log, *words: str | bytes) -> None:
    """Append words in one commit."""
    log.append_many([(1, word if isinstance(word, bytes) else word.encode()) for word in words])


def choking_runner(
    log: Log, store: KV, *folds: Fold[Word], options: RunnerOptions = LETTERS, **more: Any
) -> Runner[Word]:
    return Runner(log, store, folds, decode_word, options, **more)


def run_to_end(runner: Runner[Word]) -> list[int]:
    """Apply batch after batch in this thread; give their sizes."""
    sizes = []
    while size := runner.run_once():
        sizes.append(size)
    return sizes


def cursor_of(store: KV) -> int:
    with store.snapshot() as reader:
        return MetaStore(reader).cursor()


def letters_of(store: KV) -> list[DeadLetter]:
    """All dead letters, which their count must agree with."""
    with store.snapshot() as reader:
        return letters_in(reader)


def letters_in(reader: Reader) -> list[DeadLetter]:
    letters = list(DeadLetterStore(reader).letters(count_max=ALL))
    assert DeadLetterStore(reader).count() == len(letters)
    return letters
