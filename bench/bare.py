"""The limit of the HTTP edge: a bare Starlette app on the same server that reads the body and answers 202.

    python -m bench.bare [BYTES]

GET /v1/query is answered with BYTES of JSON made beforehand, as long as an answer of ours.
"""

import socket
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

BYTES = 1024
ANSWER = b'{"status":"answered","padding":"%s"}'


def application(answer_bytes: int) -> Starlette:
    padding = answer_bytes - len(ANSWER) + 2
    answer = ANSWER % (b"x" * padding)

    async def accept(request: Request) -> Response:
        await request.body()
        return Response(b'{"status":"accepted"}', 202, media_type="application/json")

    async def query(_request: Request) -> Response:
        return Response(answer, 200, media_type="application/json")

    return Starlette(
        routes=[Route("/v1/assertions", accept, methods=["POST"]), Route("/v1/query", query, methods=["GET"])]
    )


def main() -> None:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(2048)
    print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}", file=sys.stderr, flush=True)
    config = uvicorn.Config(
        application(int(sys.argv[1]) if len(sys.argv) > 1 else BYTES),
        loop="uvloop",
        http="httptools",
        lifespan="off",
        ws="none",
        access_log=False,
        log_level="warning",
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
