"""Episteme: a database for claims that disagree.

from episteme import Client, Key, Node
"""

from episteme.api import Answer, StoredAssertion
from episteme.client import Client
from episteme.errors import EpistemeError
from episteme.keys import Key
from episteme.node import Node
from episteme.receipts import IngestResult, Receipt
from episteme.status import StatusReport

__all__ = [
    "Answer",
    "Client",
    "EpistemeError",
    "IngestResult",
    "Key",
    "Node",
    "Receipt",
    "StatusReport",
    "StoredAssertion",
]
