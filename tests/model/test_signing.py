"""Signatures: bound to kind and content, strict in their encoding."""

import hashlib
from itertools import permutations
from typing import Final

import nacl.bindings
import pytest

from model import (
    Event,
    InvalidSignature,
    Signature,
    SignedEvent,
    SigningKey,
    event_hash,
    is_signed_by,
    kind_of,
    sign_event,
    signed_message,
    verify,
)
from tests.support.events import FULL_EVENTS, KEY_A, KEY_B, make_assertion, make_vote, signed

ORDER_L: Final = 2**252 + 27742317777372353535851937790883648493  # of the base point, RFC 8032
FIELD_P: Final = 2**255 - 19
SIGN_BIT: Final = 1 << 255

# The eight points whose order divides 8, and their other encodings (y + p, or -0 with its sign bit set).
ORDER_8_Y1: Final = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
ORDER_8_Y2: Final = FIELD_P - ORDER_8_Y1
SMALL_ORDER: Final = {
    "order 1": 1,
    "order 2": FIELD_P - 1,
    "order 4": 0,
    "order 4, negative": SIGN_BIT,
    "order 8": ORDER_8_Y1,
    "order 8, negative": ORDER_8_Y1 | SIGN_BIT,
    "order 8, other": ORDER_8_Y2,
    "order 8, other, negative": ORDER_8_Y2 | SIGN_BIT,
    "order 1, non-canonical sign": 1 | SIGN_BIT,
    "order 2, non-canonical sign": (FIELD_P - 1) | SIGN_BIT,
    "order 4, y + p": FIELD_P,
    "order 4, y + p, negative": FIELD_P | SIGN_BIT,
    "order 1, y + p": FIELD_P + 1,
    "order 1, y + p, negative": (FIELD_P + 1) | SIGN_BIT,
}


def encode(number: int) -> bytes:
    return number.to_bytes(32, "little")


def forge(agent: bytes, message: bytes) -> bytes:
    """A signature that fits the verification equation [S]B = R + [h]A for a key of small order.

    Nobody's secret is needed: [h]A vanishes as soon as h is a multiple of 8.
    """
    for scalar in range(1, 200):
        s = encode(scalar)
        r = nacl.bindings.crypto_scalarmult_ed25519_base_noclamp(s)
        h = int.from_bytes(hashlib.sha512(r + agent + message).digest(), "little") % ORDER_L
        if h % 8 == 0:
            return r + s
    raise AssertionError("no multiple of 8 among 199 hashes")


def flip(data: bytes, bit: int) -> bytes:
    return (int.from_bytes(data, "little") ^ (1 << bit)).to_bytes(len(data), "little")


def test_a_signature_of_one_kind_never_verifies_as_another() -> None:
    digest = event_hash(make_assertion())  # one hash under every tag: the tag alone must tell them apart
    for event, other in permutations(FULL_EVENTS, 2):
        signature = KEY_A.sign_hash(event, digest)
        verify(event, digest, (signature,))
        with pytest.raises(InvalidSignature):
            verify(other, digest, (signature,))


@pytest.mark.parametrize("event", FULL_EVENTS, ids=kind_of)
def test_sign_and_sign_event_agree_and_verify(event: Event) -> None:
    once = sign_event(event, KEY_A)
    once.verify()
    assert once == signed(event, KEY_A)
    assert once.signatures == (KEY_A.sign(event),)


def test_any_flipped_bit_of_the_signature_fails() -> None:
    event = make_assertion()
    message = signed_message(event, event_hash(event))
    good = KEY_A.sign(event)
    for bit in range(512):
        assert not is_signed_by(message, Signature(good.agent, flip(good.signature, bit))), bit


def test_any_flipped_bit_of_the_hash_fails() -> None:
    event = make_assertion()
    digest = event_hash(event)
    good = KEY_A.sign(event)
    for bit in range(256):
        assert not is_signed_by(signed_message(event, flip(digest, bit)), good), bit


def test_any_flipped_bit_of_the_agent_fails() -> None:
    event = make_assertion()
    message = signed_message(event, event_hash(event))
    good = KEY_A.sign(event)
    for bit in range(256):
        assert not is_signed_by(message, Signature(flip(good.agent, bit), good.signature)), bit


def test_a_signature_moved_to_another_object_fails() -> None:
    honest = signed(make_assertion(confidence="0.85"))
    moved = make_assertion(confidence="0.86")
    with pytest.raises(InvalidSignature):
        SignedEvent(moved, event_hash(moved), honest.signatures).verify()


@pytest.mark.parametrize("name", SMALL_ORDER)
def test_a_public_key_of_small_order_is_refused(name: str) -> None:
    event = make_assertion()
    message = signed_message(event, event_hash(event))
    agent = encode(SMALL_ORDER[name])
    assert not is_signed_by(message, Signature(agent, forge(agent, message)))


@pytest.mark.parametrize("y", range(19))
@pytest.mark.parametrize("sign", [0, SIGN_BIT], ids=["positive", "negative"])
def test_a_non_canonical_public_key_is_refused(y: int, sign: int) -> None:
    event = make_assertion()
    message = signed_message(event, event_hash(event))
    agent = encode((FIELD_P + y) | sign)
    assert not is_signed_by(message, Signature(agent, forge(agent, message)))


@pytest.mark.parametrize("name", SMALL_ORDER)
def test_a_commitment_of_small_order_is_refused(name: str) -> None:
    event = make_assertion()
    message = signed_message(event, event_hash(event))
    good = KEY_A.sign(event)
    bad = encode(SMALL_ORDER[name]) + good.signature[32:]
    assert not is_signed_by(message, Signature(good.agent, bad))


@pytest.mark.parametrize("multiple", range(1, 16))
def test_a_scalar_of_l_or_more_is_refused(multiple: int) -> None:
    event = make_assertion()
    message = signed_message(event, event_hash(event))
    good = KEY_A.sign(event)
    s = int.from_bytes(good.signature[32:], "little")
    bad = good.signature[:32] + encode((s + multiple * ORDER_L) % 2**256)
    assert is_signed_by(message, good)
    assert not is_signed_by(message, Signature(good.agent, bad))


@pytest.mark.parametrize("size", [0, 1, 31, 32, 63, 65, 128])
def test_a_signature_of_a_wrong_length_verifies_nothing(size: int) -> None:
    event = make_assertion()
    message = signed_message(event, event_hash(event))
    signature = (KEY_A.sign(event).signature * 2)[:size]
    assert not is_signed_by(message, Signature(KEY_A.agent, signature))


def test_bytes_behind_a_signature_are_not_taken_for_the_message() -> None:
    event = make_assertion()
    message = signed_message(event, event_hash(event))
    secret = KEY_A.seed + KEY_A.agent
    over_more = nacl.bindings.crypto_sign(b"x" + message, secret)[:64]
    assert not is_signed_by(message, Signature(KEY_A.agent, over_more + b"x"))


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_an_agent_of_a_wrong_length_verifies_nothing(size: int) -> None:
    event = make_assertion()
    message = signed_message(event, event_hash(event))
    agent = (KEY_A.agent * 2)[:size]
    assert not is_signed_by(message, Signature(agent, KEY_A.sign(event).signature))


def test_verify_names_the_first_signature_that_fails() -> None:
    vote = make_vote()
    good = KEY_A.sign(vote)
    borrowed = Signature(KEY_B.agent, good.signature)
    with pytest.raises(InvalidSignature) as caught:
        verify(vote, event_hash(vote), (good, borrowed))
    assert caught.value.pointer == "/signatures/1/signature"
    assert caught.value.code == "invalid-signature"
    assert KEY_B.agent_hex in str(caught.value)


def test_two_agents_sign_one_hash() -> None:
    event = make_assertion()
    alone_a, alone_b = signed(event, KEY_A), signed(event, KEY_B)
    together = signed(event, KEY_A, KEY_B)
    assert alone_a.digest == alone_b.digest == together.digest
    assert together.signatures == alone_a.signatures + alone_b.signatures
    together.verify()


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_seed_of_a_wrong_length_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"a seed has 32 bytes, found {size}"):
        SigningKey(bytes(size))


def test_a_key_gives_back_its_seed_and_the_same_agent() -> None:
    again = SigningKey(KEY_A.seed)
    assert KEY_A.seed == bytes(range(32))
    assert again.agent == KEY_A.agent
    assert bytes.fromhex(again.agent_hex) == again.agent


def test_text_forms_of_a_key_show_no_secret() -> None:
    key = SigningKey(b"\xa5" * 32)
    for shown in (repr(key), str(key), f"{key}"):
        assert key.agent_hex in shown
        assert "a5a5" not in shown
        assert "\\xa5" not in shown
    assert not hasattr(key, "__dict__")
