"""did:key of Ed25519 keys: the method's own vectors, one spelling for each key, and nothing else is taken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model import FieldRule, SigningKey, agent_of, did_of

# Of "The did:key Method v0.9" and its test vectors: by seed, and one by public key.
BY_SEED = {
    0: "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp",
    1: "did:key:z6MkjchhfUsD6mmvni8mCdXHw216Xrm9bQe2mBH1P5RDjVJG",
    2: "did:key:z6MknGc3ocHs3zdPiJbnaaqDi58NGb4pk1Sp9WxWufuXSdxf",
    3: "did:key:z6MkvqoYXQfDDJRv8L4wKzxYeuKyVZBfi9Qo6Ro8MiLH3kDQ",
    5: "did:key:z6MkwYMhwTvsq376YBAcJHy3vyRWzBgn5vKfVqqDCgm7XVKU",
}
OF_THE_METHOD = "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"
ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

agents = st.binary(min_size=32, max_size=32)


@pytest.mark.parametrize(("seed", "did"), BY_SEED.items())
def test_vectors_of_the_method(seed: int, did: str) -> None:
    agent = SigningKey(seed.to_bytes(32, "big")).agent
    assert did_of(agent) == did
    assert agent_of(did) == agent


def test_example_of_the_method_names_its_key() -> None:
    agent = bytes.fromhex("2e6fcce36701dc791488e0d0b1745cc1e33a4c1c9fcc41c63bd343dbbe0970e6")
    assert agent_of(OF_THE_METHOD) == agent
    assert did_of(agent) == OF_THE_METHOD


@pytest.mark.parametrize("agent", [bytes(32), b"\xff" * 32, bytes(31) + b"\x01", b"\x01" + bytes(31)])
def test_smallest_and_largest_keys_come_back(agent: bytes) -> None:
    assert agent_of(did_of(agent)) == agent


@given(agents)
def test_every_key_has_one_spelling_of_each_form_and_comes_back(agent: bytes) -> None:
    did = did_of(agent)
    assert did.startswith("did:key:z6Mk")
    assert len(did) == len(OF_THE_METHOD)
    assert agent_of(did) == agent
    assert agent_of(agent.hex()) == agent


@given(agents, st.integers(0, 55), st.characters())
def test_text_with_another_character_names_another_key_or_none(agent: bytes, place: int, character: str) -> None:
    did = did_of(agent)
    changed = did[:place] + character + did[place + 1 :]
    try:
        found = agent_of(changed)
    except FieldRule:
        return
    assert did_of(found) == changed


@given(st.text(st.sampled_from(ALPHABET), min_size=44, max_size=44))
def test_what_is_taken_is_spelled_the_same_again(digits: str) -> None:
    text = f"did:key:z6Mk{digits}"
    try:
        found = agent_of(text)
    except FieldRule:
        return
    assert did_of(found) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "did:key:",
        "did:key:z",
        OF_THE_METHOD[:-1],
        OF_THE_METHOD + "1",
        OF_THE_METHOD + "\n",
        " " + OF_THE_METHOD,
        OF_THE_METHOD.upper(),
        OF_THE_METHOD.replace("did:key:", "DID:key:"),
        OF_THE_METHOD.replace("did:key:z", "did:key:"),
        OF_THE_METHOD.replace("did:key:z", "did:key:z1"),  # a zero byte before, which base58 writes as 1
        OF_THE_METHOD.replace("did:key:z", "did:key:m"),
        OF_THE_METHOD.replace("did:key", "did:web"),
        f"{OF_THE_METHOD}#{OF_THE_METHOD[8:]}",
        OF_THE_METHOD[:-1] + "0",
        OF_THE_METHOD[:-1] + "l",
        OF_THE_METHOD[:-1] + "é",
        "did:key:z6LSeu9HkTHSfLLeUs2nnzUSNedgDUevfNQgQjQC23ZCit6F",  # an X25519 key
        "did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme",  # a secp256k1 key
        "did:key:z6Mk" + "z" * 44,
        "a" * 63,
        "a" * 65,
        "A" * 64,
        "a" * 64 + "\n",
        "٣" * 64,
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(FieldRule, match="did:key"):
        agent_of(text)
