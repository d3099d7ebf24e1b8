"""AsyncClient is Client, awaited: the same methods with the same signatures and the same words about them."""

import asyncio
import inspect
import typing
from typing import Any

import pytest

from episteme import AsyncClient, Client, Node
from episteme.acts import Awaiting, Blocking, Steps, act
from episteme.api import Database

NAMES = sorted(name for name in dir(Client) if not name.startswith("_"))
WRITTEN_TWICE = {"close", "from_env", "ingest", "ingest_bundled", "look", "send", "tail", "carry_out"}


@pytest.mark.parametrize("name", NAMES)
def test_async_client_has_every_method_with_the_same_signature(name: str) -> None:
    ours, theirs = getattr(Client, name), getattr(AsyncClient, name)
    assert inspect.getdoc(ours)
    assert inspect.getdoc(theirs)
    expected, found = inspect.signature(ours), inspect.signature(theirs)
    assert list(found.parameters) == list(expected.parameters)
    if name not in WRITTEN_TWICE:
        assert found == expected
        assert inspect.getdoc(ours) == inspect.getdoc(theirs)


def test_constructors_are_the_same() -> None:
    assert inspect.signature(Client) == inspect.signature(AsyncClient)


def test_every_database_has_what_the_api_names() -> None:
    for name, method in vars(Database).items():
        if name.startswith("_") or not inspect.isfunction(method):
            continue
        for kind in (Node, Client, AsyncClient):
            found = list(inspect.signature(getattr(kind, name)).parameters)
            assert found[: len(inspect.signature(method).parameters)] == list(inspect.signature(method).parameters)


def test_signature_of_an_act_names_what_it_comes_to() -> None:
    for kind in (Client, AsyncClient, Node):
        told = inspect.signature(kind.query if kind is not Node else kind.supersede)
        assert not str(told.return_annotation).startswith("collections.abc.Generator")
    assert typing.get_type_hints(Client.status.__wrapped__)


# How an act is carried out


class Doubling:
    """Something with one base operation, and an act of two of them."""

    def double(self, number: int) -> Any:
        raise NotImplementedError

    @act
    def quadruple(self, number: int) -> Steps[int]:
        """Twice."""
        once: int = yield self.double(number)
        try:
            twice: int = yield self.double(once)
        except ValueError:
            return -1
        return twice


class Now(Doubling, Blocking):
    def double(self, number: int) -> int:
        if number > 100:
            raise ValueError("too large")
        return 2 * number


class Later(Doubling, Awaiting):
    carry_out = AsyncClient.carry_out  # type: ignore[assignment]

    async def double(self, number: int) -> int:
        if number > 100:
            raise ValueError("too large")
        return 2 * number


async def _awaited(number: int) -> int:
    return await Later().quadruple(number)


@pytest.mark.parametrize(("number", "expected"), [(3, 12), (60, -1)])
def test_act_does_its_steps_and_sees_their_errors_in_both_kinds_of_class(number: int, expected: int) -> None:
    assert Now().quadruple(number) == expected
    assert asyncio.run(_awaited(number)) == expected
    with pytest.raises(ValueError, match="too large"):
        Now().quadruple(101)
    with pytest.raises(ValueError, match="too large"):
        asyncio.run(_awaited(101))
