"""HTTP integrations, against a real server that tells what it got."""

import contextlib
import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.aws.apigatewayv2.conftest import Apis


class Backend(BaseHTTPRequestHandler):
    """Answers with the request as JSON; the path says what else to do."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_given):
        pass

    def answer(self):
        size = int(self.headers.get("content-length") or 0)
        got = {
            "method": self.command,
            "path": self.path,
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "body": self.rfile.read(size).decode(),
        }
        status, headers, body = self.shaped(json.dumps(got).encode())
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            # Who asked for more than it takes, or longer than it waits, has gone.
            with contextlib.suppress(ConnectionError):
                self.wfile.write(body)

    def shaped(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        json_type = ("Content-Type", "application/json")
        match self.path.split("/")[1].partition("?")[0]:
            case "teapot":
                further = [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("Keep-Alive", "timeout=5")]
                return 418, [json_type, *further], body
            case "moved":
                return 302, [("Location", "/elsewhere")], b""
            case "zipped":
                return 200, [json_type, ("Content-Encoding", "gzip")], gzip.compress(body)
            case "cors":
                return 200, [json_type, ("Access-Control-Allow-Origin", "https://theirs.example")], body
            case "slow":
                threading.Event().wait(2)
            case "large":
                return 200, [], b"x" * (10 * 1024 * 1024 + 1)
            case _:
                pass
        return 200, [json_type], body

    # The library finds what answers a method by these names.
    do_GET = do_POST = do_HEAD = do_OPTIONS = answer  # noqa: N815 - the library's names


@pytest.fixture
def backend() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Backend)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def proxy(apis: Apis, backend: str, key: str = "ANY /{proxy+}", uri: str = "/{proxy}", **settings) -> str:
    api_id = apis.api()
    given = {"IntegrationType": "HTTP_PROXY", "IntegrationMethod": "ANY", **settings}
    apis.route(api_id, key, IntegrationUri=backend + uri, **given)
    return api_id


def test_request_goes_on_and_the_answer_comes_back(apis: Apis, backend: str):
    api_id = proxy(apis, backend)
    headers = {"X-One": "1", "Connection": "X-Hop", "X-Hop": "secret", "TE": "trailers"}
    answer = apis.ask("POST", api_id, "/a/b%2Fc?x=1&x=2", b"hello", headers)
    got = answer.json()
    assert (answer.status, got["method"], got["path"], got["body"]) == (200, "POST", "/a/b/c?x=1&x=2", "hello")
    assert got["headers"]["x-one"] == "1"
    assert got["headers"]["host"] == backend.removeprefix("http://")
    assert got["headers"]["via"] == "HTTP/1.1 AmazonAPIGateway"
    assert got["headers"]["forwarded"].startswith(f"for=127.0.0.1;host={api_id}.execute-api.localhost:")
    assert {"x-hop", "te", "accept-encoding", "user-agent", "accept"}.isdisjoint(got["headers"])


def test_status_and_repeated_headers_come_back(apis: Apis, backend: str):
    answer = apis.ask("GET", proxy(apis, backend), "/teapot")
    assert answer.status == 418
    assert answer.headers.get_all("set-cookie") == ["a=1", "b=2"]
    assert answer.headers["keep-alive"] is None


def test_redirects_and_packed_bodies_are_left_to_the_client(apis: Apis, backend: str):
    api_id = proxy(apis, backend)
    moved = apis.ask("GET", api_id, "/moved")
    assert (moved.status, moved.headers["location"]) == (302, "/elsewhere")
    zipped = apis.ask("GET", api_id, "/zipped")
    assert json.loads(gzip.decompress(zipped.body))["path"] == "/zipped"


def test_mappings_change_request_and_answer(apis: Apis, backend: str):
    api_id = proxy(
        apis,
        backend,
        "GET /pets/{id}",
        "/ignored?fixed=1",
        IntegrationMethod="POST",
        RequestParameters={
            "overwrite:path": "/teapot/${request.path.id}",
            "append:header.x-request": "$context.requestId",
            "remove:querystring.gone": "''",
        },
        ResponseParameters={"418": {"overwrite:statuscode": "200", "append:header.x-stage": "$context.stage"}},
    )
    answer = apis.ask("GET", api_id, "/pets/7?gone=1&kept=2")
    got = answer.json()
    assert (answer.status, got["method"], got["path"]) == (200, "POST", "/teapot/7?fixed=1&kept=2")
    assert got["headers"]["x-request"] == answer.headers["apigw-requestid"]
    assert answer.headers["x-stage"] == "$default"


def test_failures_of_the_server(apis: Apis, backend: str):
    api_id = proxy(apis, backend, TimeoutInMillis=500)
    slow = apis.ask("GET", api_id, "/slow")
    assert (slow.status, slow.json()) == (503, {"message": "Service Unavailable"})
    assert apis.ask("GET", api_id, "/large").status == 500
    nobody = proxy(apis, "http://127.0.0.1:9")
    assert apis.ask("GET", nobody, "/x").status == 503


def test_cors_configuration_takes_the_place_of_the_servers_headers(apis: Apis, backend: str):
    api_id = proxy(apis, backend)
    assert apis.ask("GET", api_id, "/cors").headers["access-control-allow-origin"] == "https://theirs.example"
    apis.client.update_api(
        ApiId=api_id, CorsConfiguration={"AllowOrigins": ["https://ours.example"], "AllowMethods": ["*"], "MaxAge": 5}
    )
    ours = apis.ask("GET", api_id, "/cors", headers={"Origin": "https://ours.example"})
    assert ours.headers.get_all("access-control-allow-origin") == ["https://ours.example"]
    assert apis.ask("GET", api_id, "/cors").headers["access-control-allow-origin"] is None
    asked = {"Origin": "https://ours.example", "Access-Control-Request-Method": "GET"}
    preflight = apis.ask("OPTIONS", api_id, "/cors", headers=asked)
    assert (preflight.status, preflight.body) == (204, b"")
    assert preflight.headers["access-control-allow-methods"] == "*"
    assert preflight.headers["access-control-max-age"] == "5"
    # Without the signs of a preflight, OPTIONS is a request like any other.
    assert apis.ask("OPTIONS", api_id, "/plain").json()["method"] == "OPTIONS"
    apis.client.delete_cors_configuration(ApiId=api_id)
    assert apis.ask("GET", api_id, "/cors").headers["access-control-allow-origin"] == "https://theirs.example"


def test_head_has_no_body(apis: Apis, backend: str):
    answer = apis.ask("HEAD", proxy(apis, backend), "/x")
    assert (answer.status, answer.body) == (200, b"")


def test_bodies_over_ten_megabytes_are_refused(apis: Apis, backend: str):
    answer = apis.ask("POST", proxy(apis, backend), "/x", b"x" * (10 * 1024 * 1024 + 1))
    assert (answer.status, answer.json()) == (413, {"message": "Request Entity Too Large"})


def test_limit_of_a_stage_is_kept(apis: Apis, backend: str):
    apis.node.clock.freeze()
    api_id = proxy(apis, backend)
    apis.client.update_stage(
        ApiId=api_id,
        StageName="$default",
        DefaultRouteSettings={"ThrottlingBurstLimit": 2, "ThrottlingRateLimit": 1.0},
    )
    assert [apis.ask("GET", api_id, "/x").status for _ in range(3)] == [200, 200, 429]
    apis.node.clock.advance(1)
    assert [apis.ask("GET", api_id, "/x").status for _ in range(2)] == [200, 429]
    assert apis.ask("GET", api_id, "/x").json() == {"message": "Too Many Requests"}
