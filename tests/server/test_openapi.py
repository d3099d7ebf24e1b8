"""The OpenAPI document: whole, of one truth with the server, and its examples work."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from episteme.catalog import LISTINGS
from episteme.config import ServerConfig
from episteme.described import QUESTION, Parameter
from episteme.errors import PROBLEMS, EpistemeError
from episteme.node import Node
from episteme.parameters import question_of
from episteme.server.app import Application
from episteme.server.endpoints import Endpoint, in_path
from episteme.server.openapi import described, document
from model import decode_envelope
from tests.server.test_reads import get
from tests.support.http import call
from tests.support.servers import Server

PLAIN = {"subject": "s", "predicate": "p"}


@pytest.fixture(scope="module")
def endpoints(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Endpoint]]:
    with Node.open(tmp_path_factory.mktemp("openapi")) as node:
        application = Application(node, ServerConfig())
        yield application.endpoints
        application.close()


@pytest.fixture(scope="module")
def written(endpoints: list[Endpoint]) -> dict[str, Any]:
    """The document as a reader gets it."""
    found: dict[str, Any] = json.loads(json.dumps(document(endpoints, "1.2.3")))
    return found


def walk(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in a document."""
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from walk(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from walk(inner)


def test_every_endpoint_is_in_the_document_once(endpoints: list[Endpoint], written: dict[str, Any]) -> None:
    told = [(method.upper(), path) for path, methods in written["paths"].items() for method in methods]
    assert sorted(told) == sorted((str(one.method), one.path) for one in endpoints)
    names = [one["operationId"] for methods in written["paths"].values() for one in methods.values()]
    assert len(set(names)) == len(names)


def test_every_parameter_of_every_endpoint_says_what_it_means(endpoints: list[Endpoint]) -> None:
    for endpoint in endpoints:
        for name in (*in_path(endpoint.path), *endpoint.parameters):
            one = described(endpoint, name)  # a KeyError names the one that nobody describes
            assert one.what.endswith("."), f"{endpoint.path} {name}: {one.what}"
            assert one.schema["type"] in ("string", "integer", "array")
        assert set(endpoint.required) <= set(endpoint.parameters)


def test_every_code_of_every_endpoint_is_of_the_table(endpoints: list[Endpoint]) -> None:
    assert {code for one in endpoints for code in one.codes} <= set(PROBLEMS)


def test_every_reference_leads_somewhere(written: dict[str, Any]) -> None:
    names = {one["operationId"] for methods in written["paths"].values() for one in methods.values()}
    for value in walk(written):
        for reference in [value.get("$ref"), *value.get("mapping", {}).values()]:
            if isinstance(reference, str):
                found: Any = written
                for step in reference.removeprefix("#/").split("/"):
                    found = found[step]
        for link in value.get("links", {}).values():
            assert link["operationId"] in names


def test_every_shape_is_a_json_schema_without_words_of_python(written: dict[str, Any]) -> None:
    for schema in written["components"]["schemas"].values():
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})
    patterns = [value["pattern"] for value in walk(written) if isinstance(value.get("pattern"), str)]
    assert patterns
    assert [pattern for pattern in patterns if r"\Z" in pattern or "(?P" in pattern] == []
    assert [name for name in written["components"]["schemas"] if not re.fullmatch(r"[A-Z][A-Za-z]+", name)] == []


def test_examples_are_of_their_shape_and_really_signed(written: dict[str, Any]) -> None:
    checked = 0
    for methods in written["paths"].values():
        body = methods.get("post", {}).get("requestBody", {}).get("content", {}).get("application/json", {})
        if "example" in body:
            schema = {**body["schema"], "components": written["components"]}
            jsonschema_rs.validator_for(schema).validate(body["example"])
            decode_envelope(json.dumps(body["example"]).encode()).verify()
            checked += 1
    assert checked >= 7


def test_document_is_served_with_a_tag_and_its_examples_are_taken(server: Server) -> None:
    reply = get(server, "/openapi.json")
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    assert get(server, "/openapi.json", If_None_Match=reply.headers["etag"]).status == 304
    paths = reply.json()["paths"]
    for path in ("/v1/assertions", "/v1/votes", "/v1/epochs"):
        example = paths[path]["post"]["requestBody"]["content"]["application/json"]["example"]
        written = call(server.url, "POST", f"{path}?wait=10s", json.dumps(example).encode())
        assert written.status in (200, 201), written.body
    lines = paths["/v1/ingest"]["post"]["requestBody"]["content"]["application/x-ndjson"]["example"]
    told = call(server.url, "POST", "/v1/ingest", lines.encode())
    assert told.lines[-1]["summary"] == {"lines": 5, "accepted": 2, "duplicate": 3, "refused": 0}
    assert get(server, f"/v1/lenses?min_seq={told.lines[-2]['seq']}&wait=10s").status == 200
    for path, methods in paths.items():
        asked = methods.get("get", {}).get("parameters", [])
        shown = {one["name"]: one for one in asked if "example" in one}
        if shown and all("example" in one for one in asked if one["required"]):
            query = "&".join(f"{name}={one['example']}" for name, one in shown.items() if one["in"] == "query")
            for name, one in shown.items():
                path = path.replace(f"{{{name}}}", one["example"])
            assert get(server, f"{path}?{query}").status == 200, path


# One truth: what a schema admits its parser takes, and the other way round


def texts(schema: dict[str, Any]) -> st.SearchStrategy[str]:
    """Texts that a schema admits, as a query string has them."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema["type"] == "integer":
        return st.integers(schema["minimum"], schema["maximum"]).map(str)
    if schema["type"] == "array":
        return st.lists(texts(schema["items"]), min_size=schema["minItems"], max_size=5).map(",".join)
    return st.from_regex(schema["pattern"], fullmatch=True, alphabet=st.characters(max_codepoint=126))


def admits(schema: dict[str, Any], text: str) -> bool:
    """Whether a schema admits a text of a query string."""
    if schema["type"] == "integer":
        return re.fullmatch(r"-?[0-9]+", text) is not None and schema["minimum"] <= int(text) <= schema["maximum"]
    if schema["type"] == "array":
        return all(admits(schema["items"], part) for part in text.split(","))
    if "enum" in schema:
        return text in schema["enum"]
    return re.search(schema["pattern"], text) is not None and len(text) <= schema.get("maxLength", len(text))


def parses(one: Parameter, text: str) -> bool:
    try:
        one("it", text)
    except EpistemeError:
        return False
    return True


PARSED = {
    f"{listing.path} {name}": one
    for listing in LISTINGS
    for name, one in listing.parameters.items()
    if one.schema.keys() & {"pattern", "enum", "minimum", "items"} and "did:key" not in one.schema.get("pattern", "")
}


@pytest.mark.parametrize("one", PARSED.values(), ids=PARSED.keys())
@settings(max_examples=20, database=None, deadline=None)
@given(data=st.data())
def test_what_a_schema_admits_its_parser_takes(one: Parameter, data: st.DataObject) -> None:
    text = data.draw(texts(one.schema).filter(lambda text: len(text) <= one.schema.get("maxLength", 1000)))
    assert parses(one, text)


ODD = ["", "-1", "0", "1", "1001", "x", "\n", "oldest,", "A" * 64, "a" * 65, "9" * 20, "1e3", "\x7f", "a" * 2000]


@pytest.mark.parametrize("one", PARSED.values(), ids=PARSED.keys())
def test_what_a_parser_takes_its_schema_admits(one: Parameter) -> None:
    assert [text for text in ODD if parses(one, text) and not admits(one.schema, text)] == []


TOLD_APART = ("subject", "lenses", "after", "min_seq", "wait")  # parts of what is asked, not of the question


@pytest.mark.parametrize("name", [name for name in QUESTION if name not in TOLD_APART])
@settings(max_examples=20, database=None, deadline=None)
@given(data=st.data())
def test_what_the_schemas_of_a_question_admit_is_a_question(name: str, data: st.DataObject) -> None:
    schema = QUESTION[name].schema
    is_bounded = schema.keys() & {"pattern", "enum", "minimum", "items"}
    drawn = texts(schema) if is_bounded else st.sampled_from(schema["examples"])
    text = data.draw(drawn.filter(lambda text: len(text) <= schema.get("maxLength", 1000)))
    if name in ("threshold", "decay") and re.fullmatch(r"0[0.]*[mhd]?|[0-9]{5,}[mhd]", text):
        return  # nothing at all, or longer than a century
    if name == "lens" and text == "constraints":
        return  # it takes no predicate
    lens = {"lens": "votes"} if name == "threshold" else {}
    question_of(PLAIN | lens | {name: text})


def test_page_of_pages_are_named_by_what_they_hold(written: dict[str, Any]) -> None:
    assert "PageOfStoredAssertion" in written["components"]["schemas"]


def test_every_answer_of_folded_state_may_be_revalidated(endpoints: list[Endpoint]) -> None:
    changing = {"/v1/status", "/livez", "/readyz", "/metrics", "/v1/log", "/v1/log/tail"}
    for one in endpoints:
        if one.method == "GET" and not one.path.startswith("/v1/admin") and one.path not in changing:
            assert one.revalidated, one.path


def test_every_read_of_folded_state_can_wait_for_a_position(endpoints: list[Endpoint]) -> None:
    for one in endpoints:
        if one.revalidated and one.path.startswith("/v1/"):
            assert {"min_seq", "wait"} <= set(one.parameters), one.path


def test_the_licence_of_the_page_is_kept(server: Server) -> None:
    assert b"Apache License" in get(server, "/docs/LICENSE").body
    assert b"SmartBear" in get(server, "/docs/NOTICE").body


def test_package_takes_the_page_along() -> None:
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8")
    assert '"episteme.server" = ["assets/*/*"]' in project
