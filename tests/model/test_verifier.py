"""A process that verifies signatures says of each what this one would."""

from io import BytesIO

import nacl.bindings
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model import Signature, SigningKey, is_signed_by
from model.verifier import REQUEST_BYTES_MAX, answer, encode_request, serve

KEYS = [SigningKey(bytes([number]) * 32) for number in (1, 2, 3)]
AGENTS = [key.agent for key in KEYS]


def signed(message: bytes, key: SigningKey) -> bytes:
    signature: bytes = nacl.bindings.crypto_sign(message, key.seed + key.agent)[:64]
    return signature


@st.composite
def checks(draw: st.DrawFn) -> tuple[bytes, Signature]:
    message = draw(st.binary(max_size=255))
    signer, named = draw(st.sampled_from(KEYS)), draw(st.sampled_from(AGENTS))
    signature = draw(st.just(signed(message, signer)) | st.binary(min_size=64, max_size=64))
    return message, Signature(named, signature)


@given(st.lists(checks(), max_size=6))
def test_every_verdict_is_that_of_a_check_of_its_own(asked: list[tuple[bytes, Signature]]) -> None:
    verdicts = answer(encode_request(asked)[4:])
    assert list(verdicts) == [is_signed_by(message, one) for message, one in asked]


@given(asked=st.lists(checks(), min_size=1, max_size=3), data=st.data())
def test_a_request_that_is_cut_short_is_refused(asked: list[tuple[bytes, Signature]], data: st.DataObject) -> None:
    body = encode_request(asked)[4:]
    whole = {len(encode_request(asked[:count])) - 4 for count in range(len(asked) + 1)}
    cut = data.draw(st.integers(0, len(body) - 1).filter(lambda size: size not in whole))
    with pytest.raises(ValueError, match="ends within a signature"):
        answer(body[:cut])


def test_requests_are_answered_in_order_until_the_input_ends() -> None:
    good, bad = (b"m", Signature(AGENTS[0], signed(b"m", KEYS[0]))), (b"n", Signature(AGENTS[0], bytes(64)))
    sink = BytesIO()
    serve(BytesIO(encode_request([good, bad]) + encode_request([]) + encode_request([bad])), sink)
    assert sink.getvalue() == b"\1\0\0"


def test_a_request_over_the_bound_is_refused_before_it_is_read() -> None:
    with pytest.raises(ValueError, match="at most"):
        serve(BytesIO((REQUEST_BYTES_MAX + 1).to_bytes(4, "little")), BytesIO())
