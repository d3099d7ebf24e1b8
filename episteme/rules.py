"""The rules of the database: written into its log where they differ from those in force.

Source: docs/governance.md, "Rules of the database".
"""

from cortex import State
from episteme.config import NodeConfig
from episteme.errors import translate
from episteme.folds import LoggedEvent
from model import FRAME_KIND_RULES, DatabaseRules, encode_rules
from stores import OperatorStore, StoreError
from wal import Log, LogError


def declare_rules(log: Log, state: State[LoggedEvent], config: NodeConfig) -> None:
    """Write the configured rules, if they are not those in force; durable on return.

    The state must have caught up with the log.  What is not configured stays as it is: who opens a database to
    read it changes nothing.
    Raises: EpistemeError for a log or a state that fails.
    """
    try:
        with state.snapshot() as reader:
            in_force = OperatorStore(reader).rules()
        wanted = _wanted(config, in_force)
        if wanted != in_force:
            log.resume()  # a try before may have met a full disk
            log.append(encode_rules(wanted), FRAME_KIND_RULES).wait()
    except (LogError, StoreError) as error:
        raise translate(error) from error


def _wanted(config: NodeConfig, in_force: DatabaseRules) -> DatabaseRules:
    operators = tuple(sorted({bytes.fromhex(operator) for operator in config.operators}))
    count, micros = config.anecdotal_cluster_count, config.regulatory_conflict_micros
    return DatabaseRules(
        operators=operators or in_force.operators,
        anecdotal_cluster_count=in_force.anecdotal_cluster_count if count is None else count,
        regulatory_conflict_micros=in_force.regulatory_conflict_micros if micros is None else micros,
    )
