"""What `log info` prints."""

from episteme.cli.answers import time_text
from episteme.cli.output import Output, counted, print_fields, print_json, print_table
from episteme.loginfo import LogInfo

_COLUMNS = ("from", "events", "MB", "first", "last", "format", "epoch", "state")


def print_info(info: LogInfo, output: Output) -> None:
    """As it was asked for."""
    if output is not Output.TABLE:
        print_json(info, output)
        return
    print_fields(
        [
            ("log", info.log_id),
            *([("replica of", info.owner)] if info.owner is not None else []),
            ("positions", f"{info.first_seq:,} to {info.seq:,}" if info.count else "none yet"),
            ("size", f"{info.bytes / 1e6:.1f} MB in {counted(len(info.segments), 'segment')}"),
            ("times", f"{_time(info.first_time_ms)} to {_time(info.last_time_ms)}" if info.count else ""),
            ("opened", f"{counted(info.epoch, 'time')} for writing"),
        ]
    )
    print_table(
        _COLUMNS,
        [
            (
                *(str(one.first_seq), str(one.count), f"{one.bytes / 1e6:.1f}"),
                *(_time(one.first_time_ms), _time(one.last_time_ms)),
                *(str(one.format), str(one.epoch), "sealed" if one.sealed else "open"),
            )
            for one in info.segments
        ],
        right=("from", "events", "MB", "format", "epoch"),
    )


def _time(time_ms: int | None) -> str:
    return "" if time_ms is None else time_text(time_ms)
