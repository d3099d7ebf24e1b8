"""`episteme serve` that soon takes a worker which says nothing for stuck.

Run as `python -m tests.support.strict_owner serve ...`.
"""

from typing import Final

from episteme.cli import main
from episteme.server.workers import supervise

SILENCE_S_MAX: Final = 2.0  # a worker says something every half second

if __name__ == "__main__":
    supervise.SILENCE_S_MAX = SILENCE_S_MAX  # type: ignore[misc]
    supervise._BREAK_S = SILENCE_S_MAX / 3  # type: ignore[misc]
    supervise._END_S = 1.0  # type: ignore[misc]
    main()
