"""Commands whose arguments may be negative numbers: in `assert Vostok low -89.2` the last is no option.

The parser would take it for one.  So it gets a mark that no option begins with,
and loses it again once all is parsed; whatever else begins with a dash and is no
option is refused as ever, for a typo must not become what a claim says.
"""

import re
from typing import Final

import typer
from typer.core import TyperCommand

_NEGATIVE: Final = re.compile(r"-\.?[0-9]")
_MARK: Final = "\x00"  # no argument of a process can hold it


class NegativeNumbers(TyperCommand):
    """A command that takes -0.5 for what it is; also as the value of an option."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:
        """As the parent's."""
        end = args.index("--") if "--" in args else len(args)
        marked = [f"{_MARK}{one}" if _NEGATIVE.match(one) else one for one in args[:end]]
        rest = super().parse_args(ctx, marked + args[end:])
        for name, value in ctx.params.items():
            if isinstance(value, str):
                ctx.params[name] = value.removeprefix(_MARK)
        return rest
