"""A stand-in for an OPA that takes batches, as Enterprise OPA documents them.

Rule: the forms are those of docs.styra.com/enterprise-opa/reference/api-reference/
batch-api. It answers `n` with whether it is even; 13 is a conflict, 404 is undefined.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from aiohttp import web

CONFLICT: Final = 13
UNDEFINED: Final = 404


class BatchingOpa:
    """What it was asked: the number of questions of each request."""

    def __init__(self) -> None:
        self.single: list[int] = []
        self.batches: list[list[int]] = []
        self.url = ""
        self.forget: set[int] = set()  # left out of the answer to a batch

    def each(self, document: Any) -> tuple[int, dict[str, Any]]:
        """Answer one question."""
        n = document["n"]
        if n == CONFLICT:
            message = "complete rules must not produce multiple outputs"
            return 500, {"code": "internal_error", "message": message}
        told = {} if n == UNDEFINED else {"result": n % 2 == 0}
        provenance = {"bundles": {"authz": {"revision": "r1"}}}
        return 200, {**told, "provenance": provenance}

    async def data(self, request: web.Request) -> web.Response:
        """Answer `POST /v1/data/...`."""
        document = (await request.json())["input"]
        self.single.append(document["n"])
        status, told = self.each(document)
        return web.json_response(told, status=status)

    async def batch(self, request: web.Request) -> web.Response:
        """Answer `POST /v1/batch/data/...`."""
        inputs = json.loads(await request.text())["inputs"]
        if inputs:
            self.batches.append([document["n"] for document in inputs.values()])
        told = {key: self.each(document) for key, document in inputs.items()}
        statuses = {status for status, _ in told.values()} or {200}
        responses = {
            key: {**answer, "http_status_code": str(status)}
            if len(statuses) > 1
            else answer
            for key, (status, answer) in told.items()
            if inputs[key]["n"] not in self.forget
        }
        whole = statuses.pop() if len(statuses) == 1 else 207
        return web.json_response({"responses": responses}, status=whole)


@asynccontextmanager
async def batching_opa() -> AsyncIterator[BatchingOpa]:
    """Serve on a free port of this machine."""
    made = BatchingOpa()
    app = web.Application()
    app.router.add_post("/v1/data/{path:.+}", made.data)
    app.router.add_post("/v1/batch/data/{path:.+}", made.batch)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield made
    finally:
        await runner.cleanup()
