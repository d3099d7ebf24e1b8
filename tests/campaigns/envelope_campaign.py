"""Mutate envelopes at random and see that nothing but a typed refusal, or the same event again, comes of them.

    python -m tests.campaigns.envelope_campaign --count 1000000 [--seed N]

Every kind of event is in the first corpus.  A mutation that is told something
new (another code, field or rule) joins the corpus, so that later ones begin
where it got to.  The suite runs a short version.
"""

import argparse
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec

from episteme.errors import EpistemeError, InvalidSignature, Refused
from episteme.gate import EVENT_BYTES_MAX, admit
from model import SignedEvent, decode_record, encode_envelope, encode_record
from model.record import Receipt
from tests.support.events import FULL_EVENTS, KEY_A, KEY_B, make_assertion, signed

DATABASE: Final = "0" * 32
_CORPUS_MAX: Final = 2000
_TOLD_CHARS_MAX: Final = 4000  # of a refusal, however long what was sent
_STEPS_MAX: Final = 4  # mutations on top of each other
_ODD_VALUES: Final[tuple[Any, ...]] = (
    None,
    True,
    False,
    0,
    -1,
    2**53,
    2**64,
    -(2**63) - 1,
    1.5,
    1e308,
    "",
    "0",
    "1.0000000",
    "-0",
    "a" * 300,
    "\x00",
    "\u202e",
    "e\u0301",
    "\ufffe",
    "\U0010ffff",
    "0" * 64,
    "F" * 64,
    [],
    {},
    [[]],
    {"": {}},
    ["0" * 64] * 17,
)
_ODD_BYTES: Final = (
    b"\x00",
    b"\xff",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\\ud800",
    b"\\u0000",
    b'"',
    b"\\",
    b"{",
    b"}",
    b"[" * 2000,
    b'{"a":' * 2000,
    b",",
    b":",
    b"null",
    b"NaN",
    b"1e999",
    b"-",
    b"9" * 400,
    b"\n",
    b"/**/",
)


class Found(NamedTuple):
    """How many of which outcome, and how many different ones."""

    by_code: Counter[str]
    ways_count: int


def corpus() -> list[bytes]:
    """An envelope of every kind, and one that is signed twice."""
    plain = make_assertion(audience=DATABASE)
    return [*(encode_envelope(signed(event)) for event in FULL_EVENTS), encode_envelope(signed(plain, KEY_A, KEY_B))]


def check(data: bytes) -> str:
    """What comes of one body: "taken", or the code of a refusal with its field and its rule.

    Raises: AssertionError for anything else.
    """
    try:
        event = admit(data, DATABASE, bytes_max=EVENT_BYTES_MAX)
    except Refused as refusal:
        return _way_of(refusal)
    except Exception as error:
        raise AssertionError(f"{data[:500]!r}: {type(error).__name__}: {error}") from error
    check_taken(event)
    return "taken"


def _way_of(refusal: EpistemeError) -> str:
    """The code and the rule, without what the body itself brought in."""
    told = msgspec.json.encode([refusal.detail, refusal.errors]).decode()
    assert len(told) < _TOLD_CHARS_MAX, f"{len(told)} characters are told of a refusal: {told[:500]}"
    rule = re.sub(
        r"/[^/]*: is not a field|\d+|(?<=Invalid value ).*|['`].*|U\+[0-9A-F]+", "#", refusal.detail, flags=re.DOTALL
    )
    return f"{refusal.code} {rule[:160]}"


def check_taken(event: SignedEvent) -> None:
    """See that an event that is taken is written and read as the same."""
    again = admit(encode_envelope(event), DATABASE, bytes_max=10 * EVENT_BYTES_MAX)
    assert again == event, f"{event} is read back as {again}"
    record = decode_record(encode_record(event, Receipt()))
    assert record.signed == event, f"{event} is logged as {record.signed}"
    try:
        event.verify()
    except ValueError as error:
        assert InvalidSignature.code == getattr(error, "code", None), repr(error)  # noqa: PT017


def fuzz(seed: int, count: int, tell: Callable[[int, int], None] = lambda _done, _ways: None) -> Found:
    """So many mutations; tell: called now and then with how many were tried, and how many ways were found.

    Raises: AssertionError, with the body in it.
    """
    generator = random.Random(seed)
    bodies = corpus()
    ways, by_code = set[str](), Counter[str]()
    for number in range(count):
        body = generator.choice(bodies)
        for _ in range(generator.randint(1, _STEPS_MAX)):
            body = _mutated(body, bodies, generator)
        way = check(body)
        by_code[way.partition(" ")[0]] += 1
        if way not in ways:
            ways.add(way)
            if len(bodies) < _CORPUS_MAX:
                bodies.append(body)
        if number % 10_000 == 0:
            tell(number, len(ways))
    return Found(by_code, len(ways))


def _mutated(body: bytes, bodies: list[bytes], generator: random.Random) -> bytes:
    if generator.random() < 0.6:
        try:
            value = msgspec.json.decode(body)
        except (ValueError, RecursionError):
            pass
        else:
            return _encoded(_changed(value, generator), generator)
    at, end = sorted(generator.randint(0, len(body)) for _ in range(2))
    match generator.randrange(6):
        case 0:
            return body[:at] + generator.choice(_ODD_BYTES) + body[at:]
        case 1:
            return body[:at] + generator.choice(_ODD_BYTES) + body[end:]
        case 2:
            return body[:at] + body[end:]
        case 3:
            return body[:at] + generator.choice(bodies)[at:end] + body[end:]
        case 4:
            return body[:at] + bytes([generator.randrange(256)]) + body[at + 1 :]
        case _:
            return body[:end] + body[at:]


def _encoded(value: Any, generator: random.Random) -> bytes:
    try:
        body = msgspec.json.encode(value)
    except (ValueError, RecursionError):
        return b"[]"
    if generator.random() < 0.1:  # white space and escapes mean the same, or nothing
        body = body.replace(b":", b" :\t").replace(b"e", b"\\u0065", generator.randrange(3))
    return body


def _changed(value: Any, generator: random.Random) -> Any:
    """The value with something changed at one place in it."""
    if isinstance(value, dict) and value and generator.random() < 0.8:
        name = generator.choice(list(value))
        match generator.randrange(8):
            case 0:
                return {key: inner for key, inner in value.items() if key != name}
            case 1:
                return value | {name + generator.choice(("", "_", "\u0000", "/~")): generator.choice(_ODD_VALUES)}
            case 2:
                return value | {"x": value[name]}
            case _:
                return value | {name: _changed(value[name], generator)}
    if isinstance(value, list) and value and generator.random() < 0.8:
        at = generator.randrange(len(value))
        match generator.randrange(4):
            case 0:
                return value[:at] + value[at + 1 :]
            case 1:
                return [*value, value[at]]
            case _:
                return [*value[:at], _changed(value[at], generator), *value[at + 1 :]]
    if isinstance(value, str) and value and generator.random() < 0.5:
        at = generator.randrange(len(value))
        return value[:at] + chr(generator.choice((0, 32, 48, 97, 0xE9, 0x301, 0xFFFF, 0x1F600))) + value[at + 1 :]
    if isinstance(value, int) and generator.random() < 0.5:
        return value + generator.choice((-1, 1, 2**31, 2**53))
    return generator.choice(_ODD_VALUES)


def main() -> None:
    """Run it as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    said = parser.parse_args()
    print(f"seed {said.seed}")
    started_s = time.monotonic()
    found = fuzz(said.seed, said.count, lambda done, ways: print(f"\r{done:,}  {ways:,} ways", end="", file=sys.stderr))
    for code, count in found.by_code.most_common():
        print(f"{count:>12,}  {code}")
    took_s = time.monotonic() - started_s
    print(f"{said.count:,} bodies, {found.ways_count:,} ways, in {took_s:.0f} s: all refused or taken")


if __name__ == "__main__":
    main()
