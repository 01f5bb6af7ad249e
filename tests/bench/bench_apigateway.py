"""What an HTTP API adds to the operation behind it: POST to a queue through the ingress, against SendMessage alone.

Run: `python -m tests.bench.bench_apigateway`. Prints microseconds a request, in one process, without wire and disk.
"""

# ruff: noqa: T201 - a command that prints what it has measured

import asyncio
import time
from typing import Any

from forebay.api import apigatewayv2 as api
from forebay.api import sqs as sqs_api
from forebay.config import Config
from forebay.core.clock import Clock
from forebay.core.http import Request
from forebay.core.ids import Ids
from forebay.operations.platform import Platform
from forebay.operations.service import Address
from forebay.operations.table import OperationTable
from forebay.services.apigatewayv2.authorization import AuthorizerCache
from forebay.services.apigatewayv2.http_api import Deployed
from forebay.services.apigatewayv2.http_proxy import HttpClient
from forebay.services.apigatewayv2.ingress import HttpApiIngress
from forebay.services.apigatewayv2.live_apis import LiveApi, LiveApis
from forebay.services.apigatewayv2.served_stage import Backends, serve_stage
from forebay.services.sqs import SERVICE
from forebay.store.records import record_key
from tests.bench.bench_sqs import ACCOUNT, CALLER, REGION, URL, FreeStore

BUDGET_MICROSECONDS = 25.0
ROUNDS = 30_000
API_ID = "a1b2c3d4e5"


class WatchedStore(FreeStore):
    """Also lets an index watch it; nothing ever changes."""

    def watch(self, _kind: Any, _listener: Any) -> None:
        pass


class OneApi(LiveApis):
    """Finds one API, whose stage is compiled."""

    def put(self, live: LiveApi) -> None:
        self._apis[live.api_id] = live


def open_ingress() -> tuple[HttpApiIngress, OperationTable]:
    unused: Any = None
    table = OperationTable({"sqs": lambda: SERVICE})
    store: Any = WatchedStore()
    platform = Platform(Config(), store, Clock(), Ids(), unused, unused, table, unused, unused, lambda: "http://h")
    table.start(platform, lambda _service, _parts: None)
    backends = Backends(platform, HttpClient(), AuthorizerCache(platform.clock))
    apis = OneApi(platform, backends)
    record = api.Api(name="bench", protocol_type="HTTP", route_selection_expression="", api_id=API_ID)
    live = LiveApi(record_key(ACCOUNT, REGION, API_ID), record)
    integration = api.Integration(
        integration_id="i",
        integration_type="AWS_PROXY",
        integration_subtype="SQS-SendMessage",
        request_parameters={"QueueUrl": URL, "MessageBody": "$request.body"},
    )
    deployed = Deployed(
        api.Deployment(deployment_id="d"),
        [api.Route(route_key="POST /payments", target="integrations/i")],
        [integration],
    )
    stage = api.Stage(stage_name="$default", deployment_id="d")
    live.stages["$default"] = stage
    live.served["$default"] = serve_stage(backends, stage, deployed)
    apis.put(live)
    return HttpApiIngress(platform, apis, unused), table


async def measure() -> tuple[float, float]:
    """Return microseconds of a request through the API, and of SendMessage alone."""
    ingress, table = open_ingress()
    await table.load("sqs")
    host = f"{API_ID}.execute-api.localhost:4566"
    headers = {"host": host, "content-type": "application/json", "user-agent": "bench"}
    request = Request("POST", "/payments", "", headers, b"x" * 200, host, "127.0.0.1", secure=False)
    address = Address("execute-api", API_ID, "/payments")
    send = sqs_api.SendMessageRequest(queue_url=URL, message_body="x" * 200)
    assert (await ingress.handle(request, address)).status == 200
    started = time.perf_counter()
    for _ in range(ROUNDS):
        await ingress.handle(request, address)
    through = time.perf_counter() - started
    started = time.perf_counter()
    for _ in range(ROUNDS):
        await table.run(CALLER, "sqs", "SendMessage", send)
    alone = time.perf_counter() - started
    return through / ROUNDS * 1e6, alone / ROUNDS * 1e6


def main() -> None:
    through, alone = min(asyncio.run(measure()) for _ in range(3))
    print(f"POST to a queue {through:.1f} us, SendMessage alone {alone:.1f} us, the API adds {through - alone:.1f} us")
    if through - alone > BUDGET_MICROSECONDS:
        raise SystemExit(f"over the budget of {BUDGET_MICROSECONDS} us")


if __name__ == "__main__":
    main()
