"""An AsyncClient behind the face of a Client: each method is run to its end in an event loop on a thread of its own."""

import asyncio
import inspect
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from threading import Thread
from typing import Any, Self

from episteme import AsyncClient
from model import SigningKey


class Awaited:
    """Any number of threads may use it."""

    def __init__(self, url: str, **options: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._client = AsyncClient(url, **options)

    @property
    def key(self) -> SigningKey | None:
        return self._client.key

    @key.setter
    def key(self, key: SigningKey | None) -> None:
        self._client.key = key

    def __getattr__(self, name: str) -> Any:
        thing = getattr(self._client, name)
        return self._done(thing) if callable(thing) else thing

    def close(self) -> None:
        self._run(self._client.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        assert asyncio.all_tasks(self._loop) == set()
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _done(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            begun = method(*args, **kwargs)
            if inspect.isasyncgen(begun):
                return self._items(begun)
            return self._run(begun) if inspect.iscoroutine(begun) else begun

        return call

    def _items(self, items: AsyncGenerator[Any, None]) -> Iterator[Any]:
        end = object()
        try:
            while (item := self._run(_next(items, end))) is not end:
                yield item
        finally:
            self._run(items.aclose())

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


async def _next(items: AsyncGenerator[Any, None], end: object) -> Any:
    return await anext(items, end)
