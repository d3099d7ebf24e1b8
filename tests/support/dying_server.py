"""`episteme serve` that is killed between the fsync of a claim about DEADLY and its answer.

Run as `python -m tests.support.dying_server serve ...`.
"""

import os
import signal
from collections.abc import Sequence
from typing import Any, Final

from episteme.cli import main
from episteme.node import Node
from episteme.server import serve
from model import SignedEvent

DEADLY: Final = "the end"


class DyingNode(Node):
    """Dies at the moment when it would tell that such an event is on the disk."""

    def submit_later(self, signed: SignedEvent, via: str, deliver: Any, **more: Any) -> None:
        is_deadly = getattr(signed.event, "subject", None) == DEADLY
        super().submit_later(signed, via, _die if is_deadly else deliver, **more)

    def submit_verified(self, batch: Sequence[SignedEvent], via: str, deliver: Any, sizes: Any = ()) -> None:
        is_deadly = any(getattr(signed.event, "subject", None) == DEADLY for signed in batch)
        super().submit_verified(batch, via, _die if is_deadly else deliver, sizes)


def _die(_outcome: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    serve.Node = DyingNode  # type: ignore[misc]
    main()
