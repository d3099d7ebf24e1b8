"""All keys of one assertion's rows at once, each part checked and encoded once: what a fold of many needs."""

from msgspec import Struct

from keycodec.grammar import SEPARATOR, encode_digest, encode_predicate, encode_subject

_HASH_SUBJECT = SEPARATOR + b"HASH_SUBJECT:"
_SUBJECTS = SEPARATOR + b"SUBJECTS:"


class AssertionKeys(Struct, frozen=True, gc=False):
    """The keys under which a new assertion is kept, found and listed, and its subject's bytes."""

    subject: bytes  # the value of HASH_SUBJECT, not a key
    assertion: bytes  # H
    hash_subject: bytes  # HASH_SUBJECT
    subject_postings: bytes  # S
    pair_postings: bytes  # SP
    known_subject: bytes  # SUBJECTS


def assertion_row_keys(subject: str, predicate: str, digest: bytes) -> AssertionKeys:
    """What assertion_key, hash_subject_key, subject_postings_key, pair_postings_key and known_subject_key give.

    digest: the raw hash of 32 bytes.
    Raises: InvalidKeyPart.
    """
    subject_bytes = encode_subject(subject)
    hash_bytes = encode_digest(digest)
    return AssertionKeys(
        subject_bytes,
        subject_bytes + b"\x00H:" + hash_bytes,
        _HASH_SUBJECT + hash_bytes,
        subject_bytes + b"\x00S:",
        subject_bytes + b"\x00SP:" + encode_predicate(predicate),
        _SUBJECTS + subject_bytes,
    )
