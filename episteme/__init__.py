"""Episteme: a database for claims that disagree.

from episteme import Client, Key, Node
"""

from episteme.api import Answer, Comparison, History, StoredAssertion
from episteme.client import AsyncClient, Client
from episteme.errors import EpistemeError
from episteme.keys import Key
from episteme.loglines import LogLine
from episteme.node import Node
from episteme.receipts import IngestResult, Receipt
from episteme.status import StatusReport

__all__ = [
    "Answer",
    "AsyncClient",
    "Client",
    "Comparison",
    "EpistemeError",
    "History",
    "IngestResult",
    "Key",
    "LogLine",
    "Node",
    "Receipt",
    "StatusReport",
    "StoredAssertion",
]
