"""Keys in the forms of other programs: what ssh-keygen and openssl wrote is read, what is written they would read."""

import base64
import json
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from episteme import Key
from episteme.errors import KeyProblem

GOLDEN: Final[dict[str, Any]] = json.loads((Path(__file__).parents[1] / "golden" / "private-keys.json").read_text())
seeds = st.binary(min_size=32, max_size=32)


def blob_of(text: str) -> bytes:
    return base64.b64decode("".join(text.splitlines()[1:-1]))


def openssh(blob: bytes | bytearray) -> str:
    text = base64.b64encode(blob).decode()
    return f"-----BEGIN OPENSSH PRIVATE KEY-----\n{text}\n-----END OPENSSH PRIVATE KEY-----\n"


def agent_of_public_line(line: str) -> bytes:
    return base64.b64decode(line.split(" ")[1])[-32:]


@pytest.mark.parametrize("made", GOLDEN["openssh"], ids=lambda made: f"comment of {len(made['comment'])}")
def test_key_of_ssh_keygen_is_read_and_written_as_it_wrote_it(made: dict[str, str]) -> None:
    key = Key.from_openssh(made["private"])
    assert key.agent == agent_of_public_line(made["public"])
    assert key.to_openssh_public(made["comment"]) == made["public"].strip()
    written, theirs = blob_of(key.to_openssh(made["comment"])), blob_of(made["private"])
    # All but the eight random bytes, which tell only that a passphrase was the right one.
    at = theirs.index(b"ssh-ed25519", 70) - 12
    assert written[:at] == theirs[:at]
    assert written[at + 8 :] == theirs[at + 8 :]
    assert [len(line) for line in key.to_openssh(made["comment"]).splitlines()] == [
        len(line) for line in made["private"].splitlines()
    ]


def test_key_of_openssl_is_read_and_written_as_it_wrote_it() -> None:
    key = Key.from_text(GOLDEN["pkcs8"])
    assert key.agent_hex == GOLDEN["pkcs8_agent"]
    assert key.to_pkcs8() == GOLDEN["pkcs8"]


@pytest.mark.parametrize(
    ("name", "way"), [("openssh_encrypted", "ssh-keygen -p -N ''"), ("pkcs8_encrypted", "openssl pkey -in")]
)
def test_encrypted_key_is_refused_with_the_way_to_unlock_it(name: str, way: str) -> None:
    with pytest.raises(KeyProblem, match=f"encrypted.*{way}"):
        Key.from_text(GOLDEN[name])


@pytest.mark.parametrize("name", ["openssh_ecdsa", "pkcs8_x25519"])
def test_key_of_another_kind_is_refused(name: str) -> None:
    with pytest.raises(KeyProblem, match=r"ed25519|Ed25519"):
        Key.from_text(GOLDEN[name])


@given(seeds, st.text(st.characters(categories=("L", "N", "P")), max_size=40))
def test_every_form_comes_back(seed: bytes, comment: str) -> None:
    key = Key(seed)
    assert Key.from_openssh(key.to_openssh(comment)).seed == seed
    for text in (key.to_pkcs8(), key.to_hex(), key.to_hex().upper(), f"  {key.to_hex()}\n"):
        assert Key.from_text(text).seed == seed
    assert Key.from_hex(key.to_hex()).seed == seed
    assert agent_of_public_line(key.to_openssh_public(comment)) == key.agent
    windows = key.to_openssh(comment).replace("\n", "\r\n")
    assert Key.from_openssh(windows).seed == seed


@settings(max_examples=20)
@given(seeds, st.integers(1, 255))
def test_openssh_key_with_any_other_byte_is_refused_but_in_its_comment(seed: bytes, flip: int) -> None:
    blob = blob_of(Key(seed).to_openssh("comment"))
    start = blob.rindex(b"comment")
    for at in {*range(len(blob))} - {*range(start - 4, start)}:  # a longer comment may take in what fills up the end
        changed = bytearray(blob)
        changed[at] ^= flip
        if at in range(start, start + len(b"comment")):
            assert Key.from_openssh(openssh(changed)).seed == seed
        else:
            with pytest.raises(KeyProblem):
                Key.from_openssh(openssh(changed))


@given(seeds)
def test_refusal_shows_nothing_of_the_key(seed: bytes) -> None:
    text = Key(seed).to_openssh()
    for broken in (
        text.replace("BEGIN", "BEGUN"),
        openssh(blob_of(text)[:-1]),
        text.replace("=\n", "\n"),
        f"{seed.hex()}0",
    ):
        try:
            Key.from_text(broken)
        except KeyProblem as error:
            told = f"{error!r} {error.__cause__!r}"
            assert not any(part in told for part in (seed.hex()[:12], repr(seed)[2:14]))


@given(seeds, st.integers(0, 300))
def test_cut_openssh_key_is_refused(seed: bytes, keep: int) -> None:
    blob = blob_of(Key(seed).to_openssh())
    with pytest.raises(KeyProblem):
        Key.from_openssh(openssh(blob[: min(keep, len(blob) - 1)]))
    with pytest.raises(KeyProblem):
        Key.from_openssh(openssh(blob + b"\0"))


@given(st.text(max_size=200) | st.binary(max_size=200).map(openssh))
def test_anything_else_is_a_key_problem(text: str) -> None:
    with pytest.raises(KeyProblem):
        Key.from_openssh(text)


@pytest.mark.parametrize("text", ["", "ab", "a" * 63, "a" * 65, "g" * 64, "aa " * 32, "a" * 128])
def test_what_is_no_seed_in_hex_is_refused(text: str) -> None:
    with pytest.raises(KeyProblem):
        Key.from_hex(text)


@pytest.mark.parametrize("comment", ["two\nlines", "x" * 201, "\x1b[31m"])
def test_comment_is_one_line(comment: str) -> None:
    for write in (Key(bytes(32)).to_openssh, Key(bytes(32)).to_openssh_public):
        with pytest.raises(KeyProblem, match="one line"):
            write(comment)
