"""The page for people: it loads, and can load, nothing that is not this server's."""

import re

import pytest

from episteme.server.pages import POLICY
from tests.server.test_reads import get
from tests.server.test_refusals import check_problem
from tests.support.servers import Server

SCRIPT = "/docs/start.js"
FILES = ("/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js", SCRIPT)


def test_page_loads_its_files_from_this_server_alone(server: Server) -> None:
    page = get(server, "/docs")
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    named = re.findall(r"(?:src|href)=\"([^\"]+)\"", page.body.decode())
    assert {f"/{name}" for name in named} == {*FILES, "/openapi.json", "/data:,"}
    for path in FILES:
        assert get(server, path).status == 200


def test_page_has_no_script_or_style_of_its_own(server: Server) -> None:
    page = get(server, "/docs").body.decode()
    assert re.findall(r"<script(?![^>]* src=)", page) == []
    assert "<style" not in page
    assert not re.search(r"\son[a-z]+=|\sstyle=|javascript:", page)


@pytest.mark.parametrize("path", ["/docs", *FILES])
def test_policy_of_the_page_allows_this_server_alone(server: Server, path: str) -> None:
    reply = get(server, path)
    assert reply.headers["content-security-policy"] == POLICY
    assert reply.headers["x-content-type-options"] == "nosniff"
    sources = {word for part in POLICY.split(";") for word in part.split()[1:]}
    assert sources == {"'none'", "'self'", "data:"}
    assert "script-src 'self';" in POLICY


def test_style_sheet_and_start_name_no_other_host(server: Server) -> None:
    style = get(server, "/docs/swagger-ui.css").body.decode()
    assert [url for url in re.findall(r"url\(([^)]{1,20})", style) if not url.strip("\"'").startswith("data:")] == []
    assert "@import" not in style
    start = get(server, SCRIPT).body.decode()
    assert "//" not in re.sub(r"^\s*//.*$", "", start, flags=re.MULTILINE)
    assert "validatorUrl: null" in start


def test_page_and_its_files_have_tags(server: Server) -> None:
    for path in ("/docs", *FILES):
        tag = get(server, path).headers["etag"]
        assert get(server, path, If_None_Match=tag).status == 304


@pytest.mark.parametrize("name", ["nothing.js", "..%2F..%2Fapp.py", "index.html", "README.md", "%00"])
def test_no_other_file_is_shown(server: Server, name: str) -> None:
    check_problem(get(server, f"/docs/{name}"), 404, "not-found", None)
