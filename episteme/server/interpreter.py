"""How the interpreter of a process that serves shares its lock, and when it looks for garbage.

Source: bench/README.md, "What helped".
"""

import gc
import sys
from typing import Final

# How long a busy thread may keep the interpreter lock from the others.  Python's 5 ms show in the
# latency of a write; at a tenth of a millisecond the hand-overs cost a third of the throughput.
SWITCH_INTERVAL_S: Final = 0.001

# Young objects between two looks for rings of garbage, and looks at the young for one at the older: requests in
# flight are thousands of objects and no rings, and Python's 700 had them looked at again and again.
_COLLECT_AFTER: Final = (20_000, 20, 50)


def share_lock() -> None:
    """Called once, early."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)


def settle_garbage() -> None:
    """Called once all is loaded and opened: what is there stays, and is never looked at again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)
