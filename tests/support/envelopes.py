"""Envelopes as bytes: good ones, and a table of bad ones with what a sender must be told of each."""

import json
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from model import SigningKey, encode_envelope, sign_bundle
from tests.support.events import HASH_1, KEY_A, KEY_B, NOW_MS, make_assertion, make_vote, signed

Members = dict[str, Any]


def claim(subject: str, *keys: SigningKey, **overrides: Any) -> bytes:
    """A signed assertion about a subject, by KEY_A unless keys are given."""
    return encode_envelope(signed(make_assertion(subject=subject, **overrides), *keys))


def vote_on(subject: str, assertion: str, *keys: SigningKey, **overrides: Any) -> bytes:
    """A signed vote, by KEY_A unless overrides name another agent and keys hold its key."""
    return encode_envelope(signed(make_vote(subject=subject, assertion=assertion, **overrides), *keys))


class Bad(NamedTuple):
    """A body that must be refused, and how; no pointer means that no single field is to blame."""

    name: str
    body: bytes
    status: int
    code: str
    pointer: str | None


def _changed(change: Callable[[Members], object], envelope: bytes = claim("refused")) -> bytes:
    members = json.loads(envelope)
    change(members)
    return json.dumps(members).encode()


def _with_event(**changes: Any) -> bytes:
    return _changed(lambda members: members["event"].update(changes))


def _with_signature(**changes: Any) -> bytes:
    return _changed(lambda members: members["signatures"][0].update(changes))


def _field(name: str, body: bytes, pointer: str) -> Bad:
    return Bad(name, body, 422, "invalid-field", pointer)


def _malformed(name: str, body: bytes) -> Bad:
    return Bad(name, body, 400, "malformed", None)


_GOOD: Final = claim("refused")
_SIGNATURE: Final = "/signatures/0/signature"

_SEVENTEEN: Final = [{"agent": f"{number:064x}", "signature": "0" * 128} for number in range(17)]

BAD_ENVELOPES: Final = (
    _malformed("no body", b""),
    _malformed("not JSON", b"subject=Semaglutide"),
    _malformed("half of an envelope", _GOOD[: len(_GOOD) // 2]),
    _malformed("two envelopes", _GOOD + _GOOD),
    _malformed("a lone surrogate", _GOOD.replace(b"refused", b"\\ud800")),
    _malformed("not UTF-8", _GOOD.replace(b"refused", b"ref\xffsed")),
    _field("an array", b"[]", ""),
    _field("a string", b'"event"', ""),
    _field("no event", _changed(lambda members: members.pop("event")), "/event"),
    _field("no signatures", _changed(lambda members: members.pop("signatures")), "/signatures"),
    _field("an empty list of signatures", _changed(lambda members: members.update(signatures=[])), "/signatures"),
    _field(
        "the same signer twice",
        _changed(lambda members: members["signatures"].append(members["signatures"][0])),
        "/signatures",
    ),
    _field(
        "seventeen signatures",
        _changed(
            lambda members: members["signatures"].extend(
                {"agent": f"{n:064x}", "signature": "0" * 128} for n in range(16)
            )
        ),
        "/signatures",
    ),
    _field("an unknown member", _changed(lambda members: members.update(priority="high")), "/priority"),
    _field("an unknown field", _with_event(certainty="1"), "/event/certainty"),
    _field("an unknown field with a slash", _with_event(**{"a/b~c": "1"}), "/event/a~1b~0c"),
    _field("a missing field", _changed(lambda members: members["event"].pop("lifecycle")), "/event/lifecycle"),
    _field("another version", _with_event(v=1), "/event/v"),
    _field("a float for confidence", _with_event(confidence=0.5), "/event/confidence"),
    _field("a float for timestamp", _with_event(timestamp=NOW_MS + 0.5), "/event/timestamp"),
    _field("a float for a number", _with_event(object={"type": "number", "value": 96.7}), "/event/object/value"),
    _field("confidence over 1", _with_event(confidence="1.1"), "/event/confidence"),
    _field("confidence below 0", _with_event(confidence="-0.1"), "/event/confidence"),
    _field("confidence with seven digits", _with_event(confidence="0.1234567"), "/event/confidence"),
    _field("confidence in words", _with_event(confidence="high"), "/event/confidence"),
    _field("a null", _with_event(narrative=None), "/event/narrative"),
    _field("a negative timestamp", _with_event(timestamp=-1), "/event/timestamp"),
    _field("a timestamp beyond 2^53", _with_event(timestamp=2**53), "/event/timestamp"),
    _field("an empty subject", _with_event(subject=""), "/event/subject"),
    _field("a line break in the subject", _with_event(subject="a\nb"), "/event/subject"),
    _field("a NUL in the subject", _with_event(subject="a\0b"), "/event/subject"),
    _field("a terminal escape in the predicate", _with_event(predicate="\x1b[2J"), "/event/predicate"),
    _field("a subject of 257 bytes", _with_event(subject="x" * 257), "/event/subject"),
    _field("a subject of 129 two-byte letters", _with_event(subject="é" * 129), "/event/subject"),
    _field("a predicate of 129 bytes", _with_event(predicate="x" * 129), "/event/predicate"),
    _field("a subject not in NFC", _with_event(subject="e\u0301"), "/event/subject"),
    _field("a text over 16 KiB", _with_event(object={"type": "text", "value": "x" * 16385}), "/event/object/value"),
    _field("a narrative over 8 KiB", _with_event(narrative="x" * 8193), "/event/narrative"),
    _field("a number that is none", _with_event(object={"type": "number", "value": "1,5"}), "/event/object/value"),
    _field("an infinite number", _with_event(object={"type": "number", "value": "1e999"}), "/event/object/value"),
    _field("a boolean in words", _with_event(object={"type": "boolean", "value": "yes"}), "/event/object/value"),
    _field("an unknown type of value", _with_event(object={"type": "date", "value": "1"}), "/event/object/type"),
    _field("an unknown source class", _with_event(source_class="rumour"), "/event/source_class"),
    _field("an unknown lifecycle", _with_event(lifecycle="done"), "/event/lifecycle"),
    _field("metadata under a bad key", _with_event(metadata={"No": "1"}), "/event/metadata"),
    _field("a span that ends before it begins", _with_event(valid_from=2, valid_to=1), "/event/valid_to"),
    _field("a hash in capitals", _with_event(parent_hash="A" * 64), "/event/parent_hash"),
    _field("a hash of 63 digits", _with_event(parent_hash="a" * 63), "/event/parent_hash"),
    _field("a hash with a line break", _with_event(parent_hash="a" * 64 + "\n"), "/event/parent_hash"),
    _field("an agent that is not hex", _with_signature(agent="g" * 64), "/signatures/0/agent"),
    _field("an agent of 66 digits", _with_signature(agent="0" * 66), "/signatures/0/agent"),
    _field("a signature that is not hex", _with_signature(signature="x" * 128), _SIGNATURE),
    _field("a signature of 127 digits", _with_signature(signature="0" * 127), _SIGNATURE),
    _field(
        "a bundle that is signed by a bundle",
        _changed(
            lambda members: members.update(signatures=[{"agent": KEY_A.agent_hex, "bundle": HASH_1}]),
            encode_envelope(sign_bundle([make_assertion()], KEY_A, NOW_MS)[0]),
        ),
        "/signatures/0/bundle",
    ),
    _field(
        "a vote that its agent did not sign",
        _changed(lambda members: members["event"].update(agent=KEY_B.agent_hex), vote_on("refused", HASH_1)),
        "/signatures",
    ),
    Bad("an unknown kind", _with_event(kind="rumour"), 422, "unknown-kind", "/event/kind"),
    Bad("a signature of other content", _with_event(confidence="0.86"), 422, "invalid-signature", _SIGNATURE),
    Bad(
        "a signature by a bundle that is not there",
        _changed(lambda members: members.update(signatures=[{"agent": KEY_A.agent_hex, "bundle": HASH_1}])),
        422,
        "unknown-bundle",
        "/signatures/0/bundle",
    ),
    Bad("a signature by another agent", _with_signature(agent=KEY_B.agent_hex), 422, "invalid-signature", _SIGNATURE),
    Bad("a signature of zeros", _with_signature(signature="0" * 128), 422, "invalid-signature", _SIGNATURE),
    Bad("a key of small order", _with_signature(agent="01" + "0" * 62), 422, "invalid-signature", _SIGNATURE),
    Bad(
        "another database's audience", claim("refused", audience="elsewhere"), 422, "wrong-audience", "/event/audience"
    ),
)
