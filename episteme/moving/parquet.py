"""Claims as a Parquet file, where pyarrow is installed."""

from collections.abc import Iterable
from importlib import import_module
from itertools import islice
from typing import IO, Any, Final

import msgspec

from episteme.errors import InvalidParameter
from episteme.loglines import LogLine
from episteme.moving.export import COLUMNS, rows_of

_GROUP_ROWS: Final = 50_000  # of a row group: bounds what is held in memory
_NUMBERS: Final = frozenset({"seq", "time_ms", "timestamp", "valid_from", "valid_to"})


def write_parquet(lines: Iterable[LogLine], out: IO[bytes]) -> int:
    """Write the claims; give how many.  Raises: InvalidParameter without pyarrow."""
    arrow = load_arrow()
    parquet: Any = import_module("pyarrow.parquet")
    schema = arrow.schema([(name, arrow.int64() if name in _NUMBERS else arrow.string()) for name in COLUMNS])
    rows, count = rows_of(lines), 0
    with parquet.ParquetWriter(out, schema, compression="zstd") as writer:
        while group := [msgspec.structs.asdict(row) for row in islice(rows, _GROUP_ROWS)]:
            writer.write_table(arrow.Table.from_pylist(group, schema=schema))
            count += len(group)
    return count


def load_arrow() -> Any:
    """The library.  Raises: InvalidParameter if it is not installed."""
    try:
        return import_module("pyarrow")
    except ImportError as error:
        raise InvalidParameter("Parquet needs pyarrow: pip install 'episteme-db[parquet]'") from error
