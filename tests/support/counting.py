"""A small fold with a counter in each engine, and logs of plain words for it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cortex import Fold, Runner, RunnerOptions, apply_batch
from keycodec import known_subject_key, subject_postings_key, view_key, vote_count_key
from stores import KV, MemoryEngine, Reader, Staging, state_digest
from tests.support.faulty_files import WAIT_S
from tests.support.logs import ALL, open_log
from tests.support.stores import entry, hash_hex
from wal import FileLog, Frame

WORDS: Final = ("Tesla", "Zug", "Zürich", "a:b")
POISON: Final = b"poison"


def decode_word(frame: Frame) -> tuple[int, str]:
    return frame.seq, frame.payload.decode()


class PoisonFound(Exception):
    pass


class CountingFold:
    """Counts words: in the write engine as they come, in the read engine once a batch; lists where each stood."""

    name = "counting"

    def __init__(self, version: int = 1) -> None:
        self.version = version

    def apply(self, event: tuple[int, str], state: Staging) -> None:
        seq, word = event
        state.put(count_key(word), plus(state.get(count_key(word)), 1))
        state.put(known_subject_key(word), b"")
        state.add_posting(subject_postings_key(word), entry(seq))
        if word.encode() == POISON:
            raise PoisonFound(f"seq {seq}")

    def finish(self, events: Sequence[tuple[int, str]], state: Staging) -> None:
        for word in {word for _, word in events}:
            count = state.get(count_key(word)) or b""
            assert state.posting_count(subject_postings_key(word)) == int.from_bytes(count, "little")
            state.put(view_key(word, "count"), count)
        state.put(view_key("all", "count"), plus(state.get(view_key("all", "count")), len(events)))


FOLDS: Final[tuple[Fold[tuple[int, str]], ...]] = (CountingFold(),)


def count_key(word: str) -> bytes:
    return vote_count_key(word, hash_hex(0))


def plus(value: bytes | None, more: int) -> bytes:
    return (int.from_bytes(value or b"", "little") + more).to_bytes(8, "little")


def folded_count(reader: Reader) -> int:
    return int.from_bytes(reader.get(view_key("all", "count")) or b"", "little")


def write_words(log: FileLog, count: int, start: int = 0) -> None:
    """Append words, the same for the same seqs, and wait until they are durable."""
    if count:
        words = [WORDS[(seq * seq + seq // 3) % len(WORDS)].encode() for seq in range(start, start + count)]
        log.append_many([(1, word) for word in words]).wait(WAIT_S)


def make_runner(log: FileLog, store: KV, *, count_max: int = 1024, version: int = 1) -> Runner[tuple[int, str]]:
    options = RunnerOptions(batch_count_max=count_max, commit_interval_s=0.0)
    return Runner(log, store, (CountingFold(version),), decode_word, options)


def digest_of(store: KV) -> str:
    with store.snapshot() as snapshot:
        return state_digest(snapshot)


class Reference:
    """The digest of the fold of the first events of a log, made in memory, one event a batch."""

    def __init__(self, log: FileLog, count: int = ALL) -> None:
        """count: how many events."""
        self._engine = MemoryEngine()
        make_runner(log, self._engine)
        self._digests = [digest_of(self._engine)]
        for frame in log.read_from(0, count_max=count, bytes_max=ALL):
            apply_batch(self._engine, FOLDS, [decode_word(frame)], frame.seq + 1)
            self._digests.append(digest_of(self._engine))

    def __getitem__(self, count: int) -> str:
        return self._digests[count]


def word_log(folder: Path, count: int) -> FileLog:
    """An open log of count words."""
    log = open_log(folder)
    write_words(log, count)
    return log
