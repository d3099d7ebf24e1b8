"""A reader that counts what is asked of it."""

from collections.abc import Iterator, Sequence

from stores import Reader


class CountingReader:
    """Counts the rows asked for one by one, the scans, and the rows that scans give; knows no posting lists."""

    def __init__(self, base: Reader) -> None:
        self._base = base
        self.rows = 0
        self.value_bytes = 0

    def get(self, key: bytes) -> bytes | None:
        return self._counted(self._base.get(key))

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        return [self._counted(value) for value in self._base.get_many(keys)]

    def scan(self, prefix: bytes, *, after: bytes | None = None, count_max: int) -> Iterator[tuple[bytes, bytes]]:
        self._counted(None)
        for key, value in self._base.scan(prefix, after=after, count_max=count_max):
            self._counted(value)
            yield key, value

    def postings(self, key: bytes, *, after: bytes | None = None, count_max: int) -> list[bytes]:
        raise AssertionError("a posting list was read")

    def posting_count(self, key: bytes) -> int:
        raise AssertionError("a posting list was read")

    def posting_keys(self, prefix: bytes, *, after: bytes | None = None, count_max: int) -> list[bytes]:
        raise AssertionError("a posting list was read")

    def _counted(self, value: bytes | None) -> bytes | None:
        self.rows += 1
        self.value_bytes += len(value or b"")
        return value


class CountingLists(CountingReader):
    """The same, and counts the posting lists that are read, and their entries as rows."""

    def __init__(self, base: Reader) -> None:
        super().__init__(base)
        self.lists = 0

    def postings(self, key: bytes, *, after: bytes | None = None, count_max: int) -> list[bytes]:
        self.lists += 1
        return [self._listed(entry) for entry in self._base.postings(key, after=after, count_max=count_max)]

    def posting_count(self, key: bytes) -> int:
        self.lists += 1
        return self._base.posting_count(key)

    def posting_keys(self, prefix: bytes, *, after: bytes | None = None, count_max: int) -> list[bytes]:
        self.lists += 1
        return [self._listed(key) for key in self._base.posting_keys(prefix, after=after, count_max=count_max)]

    def _listed(self, entry: bytes) -> bytes:
        self._counted(entry)
        return entry
