"""Decoding an envelope: what is refused as a whole, and that nothing else than a ModelError comes out.

The rules of single fields are in test_envelope_fields.py.
"""

import json
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model import (
    SIGNATURES_MAX,
    Event,
    InvalidField,
    InvalidSignature,
    Malformed,
    ModelError,
    UnknownKind,
    decode_envelope,
    encode_envelope,
    from_envelope,
    to_envelope,
)
from model.text import INT_MAX
from tests.support.events import FULL_EVENTS, KEY_A, KEY_B, events, make_assertion, make_vote, signed

BODY: Final = encode_envelope(signed(make_assertion()))
SIGNATURE: Final = json.loads(BODY)["signatures"][0]
AGENT: Final = KEY_A.agent_hex


def with_signatures(signatures: object) -> bytes:
    return json.dumps({**json.loads(BODY), "signatures": signatures}).encode()


def of_other_agent(number: int) -> dict[str, str]:
    return {"agent": f"{number:064x}", "signature": "0" * 128}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b" \n", id="white space"),
        pytest.param(b"{", id="truncated"),
        pytest.param(BODY[:-1], id="last brace missing"),
        pytest.param(BODY + b"{}", id="a second value behind"),
        pytest.param(BODY.replace(b'"v":2', b'"v":2,'), id="trailing comma"),
        pytest.param(b"\xef\xbb\xbf" + BODY, id="byte order mark"),
        pytest.param(BODY.replace(b"Semaglutide", b"Sem\xffglutide"), id="not UTF-8"),
        pytest.param(BODY.replace(b"Semaglutide", b"\xed\xa0\x80"), id="surrogate in UTF-8"),
        pytest.param(BODY.replace(b"Semaglutide", b"\xc0\x80"), id="overlong NUL"),
        pytest.param(BODY.replace(b"Semaglutide", b"\\ud800"), id="lone surrogate"),
        pytest.param(BODY.replace(b"Semaglutide", b"\\udc00\\ud800"), id="surrogates in wrong order"),
        pytest.param(BODY.replace(b"Semaglutide", b"a\nb"), id="raw line break in a string"),
        pytest.param(BODY.replace(b'"v":2', b'"v":NaN'), id="NaN"),
        pytest.param(BODY.replace(b'"v":2', b'"v":02'), id="leading zero"),
        pytest.param(b'{"event":' * 100_000, id="deep objects"),
    ],
)
def test_what_is_not_json_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        decode_envelope(body)
    assert caught.value.code == "malformed"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        pytest.param(b"[]", "", id="array"),
        pytest.param(b"null", "", id="null"),
        pytest.param(b'"text"', "", id="string"),
        pytest.param(b"[" * 100_000, "", id="deep arrays"),
        pytest.param(b"{}", "/event", id="empty object"),
        pytest.param(b'{"event":null,"signatures":[]}', "/event", id="event is null"),
        pytest.param(b'{"event":[],"signatures":[]}', "/event", id="event is an array"),
        pytest.param(BODY.replace(b'"signatures"', b'"Signatures"'), "/Signatures", id="wrong case"),
        pytest.param(BODY[:-1] + b',"extra":1}', "/extra", id="unknown field"),
        pytest.param(b'{"extra":' + b"[" * 100_000, "/extra", id="deep unknown field"),
        pytest.param(with_signatures(None), "/signatures", id="signatures are null"),
        pytest.param(with_signatures({}), "/signatures", id="signatures are an object"),
        pytest.param(with_signatures([]), "/signatures", id="no signature"),
        pytest.param(with_signatures([None]), "/signatures/0", id="signature is null"),
        pytest.param(with_signatures([{}]), "/signatures/0/agent", id="agent missing"),
        pytest.param(
            with_signatures([of_other_agent(n) for n in range(SIGNATURES_MAX + 1)]),
            "/signatures",
            id="17 signatures",
        ),
        pytest.param(with_signatures([SIGNATURE, SIGNATURE]), "/signatures", id="same agent twice"),
        pytest.param(
            with_signatures([SIGNATURE, {**of_other_agent(1), "extra": 1}]),
            "/signatures/1/extra",
            id="unknown field of a signature",
        ),
        pytest.param(with_signatures([{"agent": AGENT}]), "/signatures/0/signature", id="agent alone"),
        pytest.param(
            with_signatures([{**SIGNATURE, "signature": None}]),
            "/signatures/0/signature",
            id="signature null",
        ),
        pytest.param(
            with_signatures([{**SIGNATURE, "bundle": "0" * 64}]),
            "/signatures/0/signature",
            id="signature and bundle",
        ),
        pytest.param(
            with_signatures([{"agent": AGENT, "bundle": "0" * 63}]), "/signatures/0/bundle", id="short hash of a bundle"
        ),
        pytest.param(
            with_signatures([{**SIGNATURE, "agent": AGENT.upper()}]), "/signatures/0/agent", id="upper-case agent"
        ),
        pytest.param(with_signatures([{**SIGNATURE, "agent": AGENT[:-1]}]), "/signatures/0/agent", id="short agent"),
        pytest.param(
            with_signatures([{**SIGNATURE, "agent": AGENT + "\n"}]), "/signatures/0/agent", id="line break behind"
        ),
        pytest.param(with_signatures([{**SIGNATURE, "signature": "g" * 128}]), "/signatures/0/signature", id="not hex"),
        pytest.param(
            with_signatures([{**SIGNATURE, "signature": "0" * 126}]),
            "/signatures/0/signature",
            id="short signature",
        ),
        pytest.param(BODY[:-1] + b',"a/b~c":1}', "/a~1b~0c", id="pointer is escaped as RFC 6901 says"),
    ],
)
def test_a_wrong_shape_is_refused_at_its_place(body: bytes, pointer: str) -> None:
    with pytest.raises(InvalidField) as caught:
        decode_envelope(body)
    assert caught.value.pointer == pointer
    assert caught.value.code == "invalid-field"
    assert str(caught.value) == f"{pointer or '/'}: {caught.value.detail}"


def test_sixteen_signatures_are_taken() -> None:
    body = with_signatures([of_other_agent(number) for number in range(SIGNATURES_MAX)])
    assert len(decode_envelope(body).signatures) == SIGNATURES_MAX


def test_a_vote_must_be_signed_by_its_agent() -> None:
    vote = make_vote(agent=KEY_B.agent_hex)
    with_both = decode_envelope(encode_envelope(signed(vote, KEY_A, KEY_B)))
    with_both.verify()
    body = json.loads(encode_envelope(signed(vote, KEY_A, KEY_B)))
    del body["signatures"][1]
    with pytest.raises(InvalidField) as caught:
        decode_envelope(json.dumps(body).encode())
    assert caught.value.pointer == "/signatures"
    assert KEY_B.agent_hex in caught.value.detail


def test_white_space_key_order_and_escapes_do_not_matter() -> None:
    plain = json.loads(BODY)
    turned = {"signatures": plain["signatures"], "event": dict(reversed(plain["event"].items()))}
    body = json.dumps(turned, indent=3).replace("Semaglutide", "\\u0053emaglutide").encode()
    assert decode_envelope(body) == decode_envelope(BODY)
    decode_envelope(body).verify()


def test_of_a_duplicated_key_the_last_value_is_what_is_verified() -> None:
    """The signature is checked over the event as decoded; no second reading of the bytes exists."""
    signed_last = BODY.replace(b'"confidence":', b'"confidence":"0.1","confidence":')
    decoded = decode_envelope(signed_last)
    assert decoded == signed(make_assertion())
    decoded.verify()

    signed_first = BODY.replace(b'"confidence":"0.85"', b'"confidence":"0.85","confidence":"0.1"')
    decoded = decode_envelope(signed_first)
    assert decoded.event == make_assertion(confidence="0.1")
    with pytest.raises(InvalidSignature):
        decoded.verify()


def test_a_second_kind_is_refused() -> None:
    with pytest.raises(UnknownKind):
        decode_envelope(BODY.replace(b'"v":2', b'"v":2,"kind":"vote"'))


def test_to_envelope_and_from_envelope_are_inverse() -> None:
    for event in FULL_EVENTS:
        one = signed(event, KEY_A, KEY_B)
        assert from_envelope(to_envelope(one.event, one.signatures)) == one


def test_decoding_does_not_verify() -> None:
    body = with_signatures([{**SIGNATURE, "signature": "0" * 128}])
    with pytest.raises(InvalidSignature) as caught:
        decode_envelope(body).verify()
    assert caught.value.pointer == "/signatures/0/signature"


def only_model_errors(body: bytes) -> None:
    try:
        decoded = decode_envelope(body)
    except ModelError:
        return
    assert decode_envelope(encode_envelope(decoded)) == decoded


@given(st.binary(max_size=300))
def test_arbitrary_bytes_raise_nothing_but_model_errors(body: bytes) -> None:
    only_model_errors(body)


@given(events(), st.data())
def test_an_envelope_with_patched_bytes_raises_nothing_but_model_errors(event: Event, data: Any) -> None:
    body = encode_envelope(signed(event, KEY_A, KEY_B))
    start = data.draw(st.integers(0, len(body)))
    end = data.draw(st.integers(start, min(len(body), start + 8)))
    patch = data.draw(st.one_of(st.binary(max_size=8), st.sampled_from([b'"', b"{", b"[", b"\\u", b"null", b"-0"])))
    only_model_errors(body[:start] + patch + body[end:])


JSON_VALUES: Final = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-INT_MAX * 4096, INT_MAX * 4096),
        st.floats(),
        st.text(max_size=8),
        st.sampled_from(["assertion", "vote", "bundle", "text", "number", "0" * 64, "0" * 128]),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=5,
)


@given(events(), st.data())
def test_an_envelope_with_a_replaced_value_raises_nothing_but_model_errors(event: Event, data: Any) -> None:
    body = json.loads(encode_envelope(signed(event, KEY_A, KEY_B)))
    node: Any = body
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            break
        key = data.draw(st.sampled_from(keys))
        if not isinstance(node[key], dict | list) or data.draw(st.booleans()):
            node[key] = data.draw(JSON_VALUES)
            break
        node = node[key]
    only_model_errors(json.dumps(body).encode("utf-8"))
