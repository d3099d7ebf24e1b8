"""The questions over HTTP: query, compare, history, and the lenses that have a path of their own."""

from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Final, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from episteme.api import Answer, Comparison, History
from episteme.asking import COMPARED_MAX, TURNS_DEFAULT, TURNS_MAX
from episteme.described import QUESTION, count
from episteme.gate import Standing
from episteme.lenses import LENSES
from episteme.node import Node
from episteme.parameters import LENS_PARAMETERS, names_in, parse_count, question_of
from episteme.reading import COMPARED
from episteme.server.access import agent_of_request
from episteme.server.direct import Hot, Turn
from episteme.server.endpoints import Endpoint, Link, Reply
from episteme.server.problems import rate_limit
from episteme.server.tags import etag_of, tag_of_answer, tagged
from episteme.server.threads import Threads
from episteme.server.wire import await_seq, parameters_of, wait_of

SEEN_PARAMETERS: Final = (
    "source_class",
    "lifecycle",
    "epoch",
    "include",
    "decay",
    "pack",
    "as_of",
    "valid_at",
    "min_seq",
    "wait",
    "limit",
)
QUERY_PARAMETERS: Final = (
    "subject",
    "predicate",
    "lens",
    *LENS_PARAMETERS,
    *SEEN_PARAMETERS,
    "max_age",
    "explain",
)
COMPARE_PARAMETERS: Final = ("subject", "predicate", "lenses", *LENS_PARAMETERS, *SEEN_PARAMETERS, "explain")
HISTORY_PARAMETERS: Final = (
    "predicate",
    "lens",
    "after",
    *LENS_PARAMETERS,
    *(name for name in SEEN_PARAMETERS if name != "as_of"),
)
LENSES_WITH_PATHS: Final = ("skeptic", "layered", "constraints")
_CODES: Final = (
    "invalid-parameter",
    "unknown-lens",
    "not-found",
    "as-of-beyond",
    "too-many-candidates",
    "quota-exceeded",
    "not-applied",
    "fold-stopped",
    "not-ready",
    "overloaded",
)
_ANSWER: Final = Reply(
    Answer,
    "The answer; winner is null if nobody claimed anything.",
    links=(
        Link("/v1/audit/queries/{id}", {"id": "audit_id"}),
        Link("/v1/audit/queries/{id}/replay", {"id": "audit_id"}),
    ),
)
_TURNS: Final = count(1, TURNS_MAX, "How many turns at most.", TURNS_DEFAULT)

Found = TypeVar("Found")
_encode = msgspec.json.Encoder().encode


class Queries:
    """The question endpoints of one node; full reads run on threads."""

    def __init__(self, node: Node, threads: Threads) -> None:
        self._node = node
        self._threads = threads

    def endpoints(self) -> list[Endpoint]:
        """Every endpoint."""
        return [
            Endpoint(
                path="/v1/query",
                handle=self.query,
                summary="Resolve a pair's claims under a lens.",
                replies=(_ANSWER,),
                parameters=QUERY_PARAMETERS,
                required=("subject",),
                codes=_CODES,
                revalidated=True,
            ),
            *(
                Endpoint(
                    path=f"/v1/{name}",
                    handle=partial(self.query, lens=name),
                    summary=f"Resolve a pair's claims under the lens {name}.",
                    replies=(_ANSWER,),
                    parameters=tuple(one for one in QUERY_PARAMETERS if one not in ("lens", *_not_taken(name))),
                    required=("subject", "predicate") if LENSES[name].takes_predicate else ("subject",),
                    codes=_CODES,
                    revalidated=True,
                )
                for name in LENSES_WITH_PATHS
            ),
            Endpoint(
                path="/v1/compare",
                handle=self.compare,
                summary="Resolve a pair's claims under several lenses.",
                replies=(Reply(Comparison, "An answer for each lens, and the claims that answers hang on."),),
                parameters=COMPARE_PARAMETERS,
                required=("subject", "predicate"),
                codes=_CODES,
                revalidated=True,
            ),
            Endpoint(
                path="/v1/subjects/{subject}/history",
                handle=self.history,
                summary="Show how a pair's answer moved over the log.",
                replies=(Reply(History, "The positions at which it changed, oldest first."),),
                parameters=HISTORY_PARAMETERS,
                required=("predicate",),
                codes=_CODES,
                described={"subject": QUESTION["subject"], "limit": _TURNS},
                revalidated=True,
            ),
        ]

    def hot(self) -> list[Hot]:
        """What may be answered directly: a question that a view answers."""
        lenses = {"/v1/query": None, **{f"/v1/{name}": name for name in LENSES_WITH_PATHS}}
        return [
            _HotQuery(endpoint, lenses[endpoint.path], self._node)
            for endpoint in self.endpoints()
            if endpoint.path in lenses
        ]

    async def query(self, request: Request, found: dict[str, str], lens: str | None = None) -> Response:
        """A pair's answer by lens; lens: the one that the path names."""
        question = question_of(found, lens)
        await await_seq(self._node, found)
        agent = agent_of_request(request.scope)
        left = self._charge(agent)
        told = self._node.ask_soon(question, agent=agent)  # not worth a thread
        if told is None:
            told = await self._on_thread(request, partial(self._node.ask, question, agent=agent))
        return self._tagged(request, told, left)

    async def compare(self, request: Request, found: dict[str, str]) -> Response:
        """Several lenses over one set of claims."""
        question = question_of(found)
        await await_seq(self._node, found)
        lenses = names_in(found, "lenses")
        agent = agent_of_request(request.scope)
        left = self._charge(agent, min(len(lenses), COMPARED_MAX) or len(COMPARED))
        told = await self._on_thread(request, partial(self._node.ask_compare, question, lenses, agent=agent))
        return self._tagged(request, told, left)

    async def history(self, request: Request, found: dict[str, str]) -> Response:
        """How a pair's answer moved."""
        turns = int(_TURNS("limit", found.pop("limit", str(TURNS_DEFAULT))))
        question = question_of(found | {"subject": request.path_params["subject"]})
        await await_seq(self._node, found)
        after = parse_count("after", found["after"]) if "after" in found else -1
        left = self._charge(agent_of_request(request.scope))
        told = await self._on_thread(request, partial(self._node.ask_history, question, after, turns))
        return self._tagged(request, told, left)

    async def _on_thread(self, request: Request, ask: Callable[[], Found]) -> Found:
        return await self._threads.run(request.scope, ask)

    def _charge(self, agent: bytes | None, lens_count: int = 1) -> Standing | None:
        """Whoever a token stands for pays for what is asked; a stranger cannot.  Raises: QuotaExceeded."""
        return None if agent is None else self._node.charge_query(agent, lens_count)

    def _tagged(self, request: Request, told: Answer | Comparison | History, left: Standing | None) -> Response:
        body = _encode(told)
        etag = tag_of_answer(told, body) if isinstance(told, Answer) else etag_of(told)
        response = tagged(self._node, request, body, etag)
        if left is not None:
            response.headers.update(rate_limit(*left))
        return response


class _HotQuery:
    """As Queries.query, of one path."""

    def __init__(self, endpoint: Endpoint, lens: str | None, node: Node) -> None:
        self.endpoint = endpoint
        self.body_bytes_max = 0
        self._parameters = frozenset(endpoint.parameters)
        self._lens = lens
        self._node = node

    def check_ready(self) -> None:
        """As Hot."""

    def take(self, turn: Turn, query: bytes, _body: bytes, agent: bytes | None) -> bool:
        """As Hot."""
        node = self._node
        found = parameters_of(query, self._parameters, self.endpoint.path)
        wait_of(found, node)
        if "min_seq" in found and node.applied_seq < parse_count("min_seq", found["min_seq"]):
            return False
        if agent is not None and node.config.quota.enabled:  # it pays, and may only once
            return False
        told = node.ask_soon(question_of(found, self._lens), agent=agent)
        if told is None:
            return False
        body = _encode(told)
        own = b"etag: %b\r\ncache-control: no-cache\r\nepisteme-seq: %d\r\nepisteme-applied: %d\r\n" % (
            *(tag_of_answer(told, body).encode("ascii"), node.end_seq, node.applied_seq),
        )
        turn.tell(HTTPStatus.OK, own, body, says_cache=True)
        return True


def _not_taken(lens: str) -> set[str]:
    """Parameters of a query that the lens has no use for."""
    unused = set(LENS_PARAMETERS).difference(LENSES[lens].parameters)
    return unused if LENSES[lens].takes_predicate else unused | {"predicate"}
