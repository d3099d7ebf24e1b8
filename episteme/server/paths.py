"""Paths whose parts may hold anything: a subject with a slash in it is one part, spelled %2F.

A server hands a path over decoded, and then a slash of a subject cannot be told
from one of the path.  Under SUBJECT_PATHS the path is matched as it was sent,
and its parts are decoded afterwards.
"""

from typing import Final
from urllib.parse import unquote

from starlette.convertors import Convertor, register_url_convertor
from starlette.types import Scope

SUBJECT_PATHS: Final = "/v1/subjects/"
CONVERTOR: Final = "encoded"  # `{subject:encoded}` in a route


class _Encoded(Convertor[str]):
    """One part of a path as it was sent; bytes that are no UTF-8 become lone surrogates, which no subject has."""

    regex = "[^/]+"

    def convert(self, value: str) -> str:
        return unquote(value, errors="surrogateescape")

    def to_string(self, value: str) -> str:
        raise NotImplementedError("no path is made here")


register_url_convertor(CONVERTOR, _Encoded())


def as_sent(scope: Scope) -> Scope:
    """The scope, with a path under SUBJECT_PATHS as it was sent."""
    if scope["type"] != "http" or not scope["path"].startswith(SUBJECT_PATHS):
        return scope
    return {**scope, "path": scope["raw_path"].decode("latin-1")}
