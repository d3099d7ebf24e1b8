"""What schemathesis does not know by itself: waits are cut short, NDJSON is text, and what 5xx there may be.

Loaded by schemathesis in a process of its own; see api_campaign.py.
"""

import re
from typing import Any, Final

import jsonschema_rs
import msgspec
import schemathesis

from episteme.errors import PROBLEMS

NDJSON: Final = "application/x-ndjson"
WAITED: Final = ("wait", "min_seq")
_DURATION: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,3})?(ms|s|m)?")
_CODES_OF_WAITING: Final = ("not-applied",)


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: dict[str, Any]) -> None:
    """Let nothing wait for long: a position that will never come is the same refusal after a millisecond."""
    query = case.query
    if not query or not any(name in query for name in WAITED):
        return
    known = {one.name for one in case.operation.query}
    if "wait" in known and _DURATION.fullmatch(str(query.get("wait", "1"))):
        query["wait"] = "1ms"


@schemathesis.serializer(NDJSON)
def ndjson(_context: Any, value: Any) -> bytes:
    """A body of lines is text."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")


@schemathesis.check
def no_fault(_context: Any, response: Any, _case: Any) -> None:
    """No 5xx but the answer that a position has not come in time."""
    if response.status_code < 500:
        return
    code = response.json().get("code") if "problem+json" in response.headers["content-type"][0] else None
    assert code in _CODES_OF_WAITING, f"{response.status_code} {code}: {response.text[:500]}"


@schemathesis.check
def problem_is_of_the_table(_context: Any, response: Any, _case: Any) -> None:
    """Every refusal is a problem document that says what the table says of its code, and a hint."""
    if response.status_code < 400 or "problem+json" not in response.headers.get("content-type", [""])[0]:
        return
    problem = response.json()
    row = PROBLEMS[problem["code"]]
    assert (problem["status"], problem["title"], problem["hint"]) == (response.status_code, row.title, row.hint)
    assert "Traceback" not in response.text


@schemathesis.check
def lines_are_of_their_shape(_context: Any, response: Any, case: Any) -> None:
    """Each line of an NDJSON answer is as the document says."""
    if not response.headers.get("content-type", [""])[0].startswith(NDJSON):
        return
    raw = case.operation.schema.raw_schema
    operation = raw["paths"][case.operation.path][case.operation.method.lower()]
    line = operation["responses"][str(response.status_code)]["content"][NDJSON]["schema"]["x-line"]
    validator = jsonschema_rs.validator_for({**line, "components": raw["components"]})
    for text in response.content.splitlines():
        validator.validate(msgspec.json.decode(text))
