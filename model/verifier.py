"""A process that verifies signatures for another, which then waits for a chunk of them and not for each.

In one process every verification gives the interpreter lock away and waits to
have it back, which under load takes longer than the verification.

    python -m model.verifier

A request on standard input is the size of what follows as u32 little endian,
then for each signature the length of the message as u8, the agent (32 bytes),
the signature (64) and the message.  The answer on standard output has a byte
for each, 1 for a good one.  It ends when its input does.
"""

import signal
import struct
import sys
from collections.abc import Iterable
from typing import BinaryIO, Final

from model.signing import AGENT_BYTES, SIGNATURE_BYTES, Signature, is_signed_by

REQUEST_BYTES_MAX: Final = 16 * 1024 * 1024  # far more than a chunk; a larger one is no request

_SIZE: Final = struct.Struct("<I")
_SIGNATURE_END: Final = 1 + AGENT_BYTES + SIGNATURE_BYTES


def encode_request(checks: Iterable[tuple[bytes, Signature]]) -> bytes:
    """A request for messages, of at most 255 bytes each, and own signatures over them."""
    body = b"".join([b"%c%b%b%b" % (len(message), one.agent, one.signature, message) for message, one in checks])
    return _SIZE.pack(len(body)) + body


def answer(body: bytes) -> bytes:
    """The answer to a request, which comes without its size.

    Raises: ValueError for one that is cut short.
    """
    verdicts, start = bytearray(), 0
    while start < len(body):
        end = start + _SIGNATURE_END + body[start]
        if end > len(body):
            raise ValueError(f"the request ends within a signature, at byte {start} of {len(body)}")
        agent, signature = body[start + 1 : start + 1 + AGENT_BYTES], body[start + 1 + AGENT_BYTES : end - body[start]]
        verdicts.append(is_signed_by(body[end - body[start] : end], Signature(agent, signature)))
        start = end
    return bytes(verdicts)


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Answer requests until there are no more.  Raises: ValueError for what is no request."""
    while len(head := source.read(_SIZE.size)) == _SIZE.size:
        (size,) = _SIZE.unpack(head)
        if size > REQUEST_BYTES_MAX:
            raise ValueError(f"a request of {size} bytes; at most {REQUEST_BYTES_MAX} are taken")
        sink.write(answer(source.read(size)))
        sink.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # which a terminal sends to all; whoever asked closes the input
    serve(sys.stdin.buffer, sys.stdout.buffer)
