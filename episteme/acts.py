"""What can be done with a database, written once for callers that wait and for those that await.

An act is a method written as a generator: it yields whatever a step of it came
to (`stored = yield self.get(hash)`) and returns the outcome.  In a class that
blocks, a step has come to its result already; in one that awaits it is an
awaitable, and what it comes to is sent back.  `carry_out` is where the two differ.
"""

import inspect
from collections.abc import Callable, Coroutine, Generator
from functools import wraps
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, get_args, overload

Asked = ParamSpec("Asked")
Outcome = TypeVar("Outcome")

Steps = Generator[Any, Any, Outcome]


class Blocking:
    """A database whose acts return when they are done."""

    def carry_out(self, steps: Steps[Outcome]) -> Outcome:
        """Do one step after the other.  Raises: what a step raises and the act does not handle."""
        said = None
        try:
            while True:
                said = steps.send(said)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]


class Awaiting:
    """A database whose acts are awaited."""

    def carry_out(self, steps: Steps[Outcome]) -> Coroutine[Any, Any, Outcome]:
        """Await one step after the other.  Raises: as Blocking.carry_out."""
        raise NotImplementedError


class act(Generic[Asked, Outcome]):  # noqa: N801  (a decorator)
    """A method that returns its outcome, or awaits it, as its class does."""

    def __init__(self, steps: Callable[Concatenate[Any, Asked], Steps[Outcome]]) -> None:
        self._method = _method_of(steps)
        self.__doc__ = steps.__doc__

    @overload
    def __get__(self, database: None, owner: type) -> Callable[..., Any]: ...
    @overload
    def __get__(self, database: Blocking, owner: type) -> Callable[Asked, Outcome]: ...
    @overload
    def __get__(self, database: Awaiting, owner: type) -> Callable[Asked, Coroutine[Any, Any, Outcome]]: ...
    def __get__(self, database: Any, owner: type) -> Any:
        """The method of an object, or of a class, for those who look at it."""
        return self._method.__get__(database, owner)


def _method_of(steps: Callable[..., Steps[Any]]) -> Any:
    """The act as an ordinary method, whose signature names the outcome and not the steps."""

    @wraps(steps)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return self.carry_out(steps(self, *args, **kwargs))

    signature = inspect.signature(steps)
    outcome = get_args(signature.return_annotation)
    method.__signature__ = signature.replace(return_annotation=outcome[-1] if outcome else Any)  # type: ignore[attr-defined]
    return method
