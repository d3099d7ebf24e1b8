"""Several processes on one address: one owns the data folder, the others take connections, verify and read."""

from episteme.server.workers.shares import for_workers
from episteme.server.workers.supervise import Supervisor

__all__ = ["Supervisor", "for_workers"]
