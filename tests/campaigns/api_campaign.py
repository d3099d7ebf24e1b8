"""Ask a real server, by its own OpenAPI document, everything that schemathesis can think of.

    python -m tests.campaigns.api_campaign --examples 200 --seconds 900 [--seed N]

Examples, coverage, fuzzing and sequences of calls go to a server on the
loopback address with some data of every kind in it, with an admin token.  No
5xx may come back, and no status, type, header or body that the document does
not have.  The suite runs a short version.

Left out, with reasons:
positive_data_acceptance: what a schema cannot say is refused too: a signature that does not verify, text that is not
in its normal form or over its bytes, a cursor of another list, an as_of that has not come.
/v1/log/tail: it does not end; tests/server has its tests.
DELETE /v1/admin/tokens/{id}: it would end the token that the run goes on with.
not_a_server_error: no_fault in api_hooks.py is stricter but for the one 503 that waiting may end with.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from episteme import Node
from episteme.config import NodeConfig
from episteme.server.access import token_store
from tests.support.events import KEY_A, KEY_B, NOW_MS, make_assertion, make_vote, signed
from tests.support.servers import Server

ROOT: Final = Path(__file__).parents[2]
ALL_PHASES: Final = ("examples", "coverage", "fuzzing", "stateful")
_LEFT_OUT: Final = ("positive_data_acceptance", "not_a_server_error")
_GRACE_S: Final = 120  # to finish what is under way and to shrink what was found


class Campaign(NamedTuple):
    """How much is asked."""

    phases: Sequence[str] = ALL_PHASES
    examples: int = 100
    seconds: int = 600
    seed: int = 1
    paths: str = ""  # a pattern of those that are asked; none: all


class Outcome(NamedTuple):
    """How it ended, and what schemathesis said."""

    code: int
    output: str

    @property
    def cases(self) -> int:
        """How many requests were made."""
        found = re.search(r"(\d+) generated", self.output)
        return int(found[1]) if found else 0


def run(folder: Path, campaign: Campaign) -> Outcome:
    """Fill a database in the folder, serve it, and ask it; the server must end well too."""
    fill(folder / "data")
    token = make_token(folder / "data")
    with Server.start(folder / "data") as server:
        outcome = ask(server.url, token, folder, campaign)
        ended = server.stop()
    assert ended.code == 0, ended.output
    assert "Traceback" not in ended.output, ended.output
    return outcome


def fill(folder: Path) -> None:
    """A little of everything that can be read."""
    with Node.open(folder, key=KEY_A, config=NodeConfig(operators=(KEY_A.agent_hex,))) as node:
        for number, key in enumerate((KEY_A, KEY_B, KEY_A)):
            claim = make_assertion(confidence=f"0.{number + 1}", timestamp=NOW_MS + number)
            receipt = node.submit(signed(claim, key))
            node.submit(signed(make_vote(assertion=receipt.hash, timestamp=NOW_MS + number)))
        old = node.epoch("old", NOW_MS)
        node.epoch("new", NOW_MS, supersedes=old.hash, supersession="temporal")
        node.source(content="we looked at 30 people", label="STEP 1")
        node.pack("friends", 1, [KEY_B.agent_hex])
        node.alias("Wegovy", "Semaglutide")
        node.gold("Moon", "distance_km", 384_400)
        node.predicate("has_side_effect", cardinality="many")
        for tier, text in enumerate(("tabs", "spaces")):
            node.assert_("repository", "must_use", text, confidence=f"0.{tier + 5}", wait_s=10)
        node.query("Semaglutide", "causes_muscle_loss")


def make_token(folder: Path) -> str:
    """An API token that may do all."""
    return token_store(folder).create("campaign", ["admin"]).token


def ask(url: str, token: str, folder: Path, campaign: Campaign) -> Outcome:
    """Run schemathesis in a process of its own."""
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--no-color", "run", f"{url}/openapi.json"),
        *("--checks", "all", "--exclude-checks", ",".join(_LEFT_OUT)),
        *("--phases", ",".join(campaign.phases)),
        *("--exclude-path", "/v1/log/tail", "--exclude-operation-id", "deleteAdminTokensId"),
        *("--max-examples", str(campaign.examples), "--max-time", str(campaign.seconds)),
        *("--seed", str(campaign.seed), "--request-timeout", "10", "--warnings", "off"),
        *("--continue-on-failure", "--header", f"Authorization: Bearer {token}"),
        *("--suppress-health-check", "all"),
    ]
    if campaign.paths:
        command += ["--include-path-regex", campaign.paths]
    done = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=campaign.seconds + _GRACE_S,
        env=os.environ | {"SCHEMATHESIS_HOOKS": "tests.campaigns.api_hooks", "PYTHONPATH": str(ROOT), "NO_COLOR": "1"},
    )
    return Outcome(done.returncode, done.stdout + done.stderr)


def main() -> None:
    """Run it as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=Campaign().examples, help="cases an operation and a phase")
    parser.add_argument("--seconds", type=int, default=Campaign().seconds, help="for the whole run")
    parser.add_argument("--seed", type=int, default=Campaign().seed)
    parser.add_argument("--phases", default=",".join(ALL_PHASES))
    said = parser.parse_args()
    campaign = Campaign(said.phases.split(","), said.examples, said.seconds, said.seed)
    with tempfile.TemporaryDirectory() as folder:
        outcome = run(Path(folder), campaign)
    print(outcome.output)
    sys.exit(outcome.code)


if __name__ == "__main__":
    main()
