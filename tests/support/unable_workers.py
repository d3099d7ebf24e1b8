"""`episteme serve` whose workers end before they take connections.

Run as `python -m tests.support.unable_workers serve ...`.
"""

import shutil
import sys
from typing import Any

from episteme.cli import main
from episteme.server.workers import supervise

if __name__ == "__main__":
    unable: Any = type("Unable", (), {"executable": shutil.which("false") or sys.exit("there is no program false")})
    supervise.sys = unable
    main()
