"""The commands of docs/http.md work as they stand there, one after the other, against a server."""

import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from episteme.config import DEFAULT_URL
from tests.support.http import call
from tests.support.servers import Server, environment
from tests.test_docs import blocks_of

PAGE: Final = "docs/http.md"
TIMEOUT_S: Final = 30
# An answer of 400 or more must end the script, and nothing may hang.
CURL: Final = 'curl() { command curl --silent --show-error --fail-with-body --max-time 10 --noproxy "*" "$@"; echo; }\n'


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not on this machine")
def test_commands_of_the_page_work(tmp_path: Path) -> None:
    blocks = [block.body for block in blocks_of(PAGE) if block.info == "sh"]
    assert sum(block.count("curl ") for block in blocks) >= 5
    with Server.start(tmp_path / "data") as server:
        script = CURL + "\n".join(blocks).replace(DEFAULT_URL, server.url)
        done = subprocess.run(
            ["sh", "-eu", "-c", script],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            env=environment(tmp_path),
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert '"status":"applied"' in done.stdout
        assert '"winner":{"value":{"type":"boolean","value":true}' in done.stdout
        assert '"duplicate":1' in done.stdout
        assert call(server.url, "GET", "/livez").log_seq >= 0
