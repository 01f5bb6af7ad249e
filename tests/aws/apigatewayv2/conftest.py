"""APIs for tests, and a plain HTTP client that names the host itself."""

import http.client
import json
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from tests.harness import RunningNode

ROLE = "arn:aws:iam::000000000000:role/r"


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Apis:
    """Makes APIs on a node, and sends requests to them."""

    def __init__(self, node: RunningNode) -> None:
        self.node = node

    @property
    def client(self) -> Any:
        return self.node.client("apigatewayv2")

    def api(self, **settings: Any) -> str:
        """Make an API with a stage `$default` that is deployed automatically."""
        api_id = self.client.create_api(**{"Name": "test", "ProtocolType": "HTTP", **settings})["ApiId"]
        self.client.create_stage(ApiId=api_id, StageName="$default", AutoDeploy=True)
        return api_id

    def route(self, api_id: str, key: str, **integration: Any) -> str:
        """Make a route and its integration; return the route's id."""
        made = self.client.create_integration(ApiId=api_id, **integration)
        target = f"integrations/{made['IntegrationId']}"
        return self.client.create_route(ApiId=api_id, RouteKey=key, Target=target)["RouteId"]

    def service(self, api_id: str, key: str, subtype: str, **parameters: str) -> str:
        return self.route(
            api_id,
            key,
            IntegrationType="AWS_PROXY",
            IntegrationSubtype=subtype,
            CredentialsArn=ROLE,
            PayloadFormatVersion="1.0",
            RequestParameters=parameters,
        )

    def ask(
        self,
        method: str,
        api_id: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        host: str | None = None,
    ) -> Answer:
        """Send a request by host name."""
        place = urlsplit(self.node.url)
        connection = http.client.HTTPConnection(place.hostname, place.port, timeout=40)
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", host or f"{api_id}.execute-api.localhost:{place.port}")
        for name, value in (headers or {}).items():
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        got = Answer(answer.status, answer.headers, answer.read())
        connection.close()
        return got


@pytest.fixture
def apis(node: RunningNode) -> Apis:
    return Apis(node)
