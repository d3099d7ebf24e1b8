"""The newest rows of a list whose keys are in time order, from readers that scan upwards only."""

from collections.abc import Callable
from itertools import takewhile

from stores.kv import SCAN_COUNT_MAX, Reader

_TIME_END = 1 << 64  # log times are u64


def newest_keys(
    reader: Reader, prefix: bytes, start_of: Callable[[int], bytes], *, before: bytes | None, count_max: int
) -> list[bytes]:
    """The last keys under prefix, newest first, at most count_max.

    start_of: a bound below every key of a log time and above every key of earlier times; no key itself.
    before: an exclusive end, to resume a page.
    Cost: the time from which on there are just enough is found by halving, so some 64 scans of count_max rows,
    whatever lies behind before.
    """

    def keys_from(time: int, page_count_max: int) -> list[bytes]:
        keys = (key for key, _ in reader.scan(prefix, after=start_of(time), count_max=page_count_max))
        return list(keys if before is None else takewhile(lambda key: key < before, keys))

    enough, too_late = 0, _TIME_END
    while too_late - enough > 1:
        middle = (enough + too_late) // 2
        if len(keys_from(middle, count_max)) == count_max:
            enough = middle
        else:
            too_late = middle
    # Fewer than count_max stand behind that time; what is missing stands at that one time.
    return keys_from(enough, SCAN_COUNT_MAX)[::-1][:count_max]
