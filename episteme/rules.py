"""The rules of the database: written into its log where they differ from those in force.

Source: docs/governance.md, "Rules of the database".
"""

from cortex import State
from episteme.config import NodeConfig
from episteme.folds import LoggedEvent
from model import FRAME_KIND_RULES, DatabaseRules, encode_rules
from stores import OperatorStore
from wal import Log

_DEFAULTS = DatabaseRules()


def declare_rules(log: Log, state: State[LoggedEvent], config: NodeConfig) -> None:
    """Write the configured rules, if they are not those in force; durable on return.

    The state must have caught up with the log.  Operators that are not configured stay as they are.
    Raises: LogError; StoreError.
    """
    with state.snapshot() as reader:
        in_force = OperatorStore(reader).rules()
    wanted = DatabaseRules(
        operators=tuple(sorted({bytes.fromhex(operator) for operator in config.operators})) or in_force.operators,
        anecdotal_cluster_count=config.anecdotal_cluster_count,
        regulatory_conflict_micros=config.regulatory_conflict_micros,
    )
    if wanted != in_force:
        log.append(encode_rules(wanted), FRAME_KIND_RULES).wait()
