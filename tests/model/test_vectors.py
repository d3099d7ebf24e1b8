"""The public vectors: what any other implementation must reproduce byte for byte."""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from model import SignedEvent, canonical_bytes, decode_envelope, encode_envelope, event_hash
from tests.support.events import KEY_A, KEY_B

GOLDEN: Final = Path(__file__).parents[1] / "golden" / "vectors.json"
VECTORS: Final[list[dict[str, Any]]] = json.loads(GOLDEN.read_text("utf-8"))["vectors"]
KEYS: Final = {key.agent_hex: key for key in (KEY_A, KEY_B)}

each_vector = pytest.mark.parametrize(
    "vector", VECTORS, ids=[f"{i}-{vector['event']['kind']}" for i, vector in enumerate(VECTORS, 1)]
)


def decode(vector: dict[str, Any]) -> SignedEvent:
    body = {"event": vector["event"], "signatures": vector["signatures"]}
    return decode_envelope(json.dumps(body).encode())


def test_there_are_six_vectors() -> None:
    assert len(VECTORS) == 6


@each_vector
def test_canonical_bytes_and_hash_are_those_of_the_vector(vector: dict[str, Any]) -> None:
    signed = decode(vector)
    assert canonical_bytes(signed.event) == vector["canonical"].encode()
    assert event_hash(signed.event).hex() == vector["hash"]
    assert signed.hash_hex == vector["hash"]


@each_vector
def test_every_signature_of_the_vector_verifies(vector: dict[str, Any]) -> None:
    decode(vector).verify()


@each_vector
def test_every_signature_of_the_vector_is_reproduced_from_its_seed(vector: dict[str, Any]) -> None:
    event = decode(vector).event
    for entry in vector["signatures"]:
        made = KEYS[entry["agent"]].sign(event)
        assert made.agent.hex() == entry["agent"]
        assert made.signature.hex() == entry["signature"]


@each_vector
def test_the_envelope_of_the_vector_survives_a_round_trip(vector: dict[str, Any]) -> None:
    signed = decode(vector)
    assert decode_envelope(encode_envelope(signed)) == signed
    assert json.loads(encode_envelope(signed)) == {
        "event": vector["event"],
        "signatures": vector["signatures"],
    }
