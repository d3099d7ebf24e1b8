"""Commands whose arguments may be negative numbers: in `assert Vostok low -89.2` the last is no option.

The parser would take it for one.  So it gets a mark that no option begins with,
and loses it again once all is parsed; whatever else begins with a dash and is no
option is refused as ever, for a typo must not become what a claim says.
"""

import re
from typing import Any, Final

from typer.core import TyperOption

from episteme.cli.app import Command

_NEGATIVE: Final = re.compile(r"-\.?[0-9]")
_MARK: Final = "\x00"  # no argument of a process can hold it


class NegativeNumbers(Command):
    """A command that takes an argument such as -0.5 for what it is."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As the parent's, whose type of context typer does not show."""
        end = args.index("--") if "--" in args else len(args)
        valued = {name for one in self.params if isinstance(one, TyperOption) and not one.is_flag for name in one.opts}
        marked = [
            f"{_MARK}{one}" if _NEGATIVE.match(one) and before not in valued else one
            for before, one in zip(["", *args], args[:end], strict=False)
        ]
        rest = super().parse_args(ctx, marked + args[end:])
        for name, value in ctx.params.items():
            if type(value) is str:  # and no name of a choice
                ctx.params[name] = value.removeprefix(_MARK)
        return rest
