"""JWT authorizers, with an issuer that is a real server: it tells its keys, and is the integration as well."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.aws.apigatewayv2.conftest import Answer, Apis

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Issuer(ThreadingHTTPServer):
    """Publishes keys; counts how often it is asked for them."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.asked = 0


class Answering(BaseHTTPRequestHandler):
    server: Issuer

    def log_message(self, *_given):
        pass

    def do_GET(self):
        if self.path == "/.well-known/openid-configuration":
            told: Any = {"issuer": self.server.url, "jwks_uri": self.server.url + "/keys"}
        elif self.path == "/keys":
            self.server.asked += 1
            key = jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key(), as_dict=True)
            told = {"keys": [{**key, "kid": "one", "use": "sig"}]}
        else:
            told = {name.lower(): value for name, value in self.headers.items()}
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    server = Issuer()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


class Guarded:
    """An API with a route that asks for tokens."""

    def __init__(self, apis: Apis, issuer: Issuer, scopes: list[str]) -> None:
        self.apis = apis
        self.issuer = issuer
        self.api_id = apis.api()
        authorizer = apis.client.create_authorizer(
            ApiId=self.api_id,
            Name="tokens",
            AuthorizerType="JWT",
            IdentitySource=["$request.header.Authorization"],
            JwtConfiguration={"Issuer": issuer.url, "Audience": ["shop", "till"]},
        )
        self.authorizer_id = authorizer["AuthorizerId"]
        route = apis.route(
            self.api_id,
            "GET /orders",
            IntegrationType="HTTP_PROXY",
            IntegrationMethod="GET",
            IntegrationUri=issuer.url + "/echo",
            PayloadFormatVersion="1.0",
            RequestParameters={"append:header.sub": "$context.authorizer.claims.sub"},
        )
        apis.client.update_route(
            ApiId=self.api_id,
            RouteId=route,
            AuthorizationType="JWT",
            AuthorizerId=self.authorizer_id,
            AuthorizationScopes=scopes,
        )

    def ask(self, token: str | None) -> Answer:
        return self.apis.ask("GET", self.api_id, "/orders", headers={} if token is None else {"authorization": token})

    def token(self, key: Any = KEY, kid: str = "one", algorithm: str = "RS256", **claims: Any) -> str:
        now = self.apis.node.clock.now()
        told = {"iss": self.issuer.url, "aud": "shop", "sub": "ann", "exp": int(now) + 60, **claims}
        told = {name: value for name, value in told.items() if value is not None}
        return jwt.encode(told, key, algorithm=algorithm, headers={"kid": kid})


@pytest.fixture
def guarded(apis: Apis, issuer: Issuer) -> Guarded:
    return Guarded(apis, issuer, [])


def test_token_lets_its_bearer_in_and_tells_who_it_is(guarded: Guarded):
    for token in (guarded.token(), "Bearer " + guarded.token(), guarded.token(aud=["till", "x"])):
        answer = guarded.ask(token)
        assert (answer.status, answer.json()["sub"]) == (200, "ann")
    assert guarded.issuer.asked == 1


def test_client_id_stands_for_an_audience_that_is_absent(guarded: Guarded):
    assert guarded.ask(guarded.token(aud=None, client_id="till")).status == 200
    assert guarded.ask(guarded.token(aud="theirs", client_id="till")).status == 401


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"aud": "theirs"}, "the token does not have a valid audience"),
        ({"iss": "https://theirs.example"}, "the token does not have a valid issuer"),
        ({"exp": 1}, "the token has expired"),
        ({"exp": None}, "the token has expired"),
        ({"nbf": 99_999_999_999}, "the token is not valid yet"),
        ({"key": OTHER_KEY}, "signature is invalid"),
        ({"kid": "two"}, "the token has an unknown key"),
        ({"key": "x" * 64, "algorithm": "HS256"}, "signing method is invalid"),
    ],
)
def test_token_that_does_not_hold_is_refused_with_the_reason(guarded: Guarded, changes: dict[str, Any], why: str):
    answer = guarded.ask(guarded.token(**changes))
    assert (answer.status, answer.json()) == (401, {"message": "Unauthorized"})
    assert answer.headers["www-authenticate"] == f'Bearer scope="" error="invalid_token" error_description="{why}"'


def test_no_token_is_a_challenge_and_nonsense_a_refusal(guarded: Guarded):
    assert guarded.ask(None).headers["www-authenticate"] == "Bearer"
    assert guarded.ask("Bearer a.b.c").status == 401
    assert guarded.ask("Bearer " + "a" * 5_000).status == 401


def test_unknown_keys_do_not_make_the_node_ask_each_time(guarded: Guarded):
    for number in range(5):
        assert guarded.ask(guarded.token(kid=f"k{number}")).status == 401
    assert guarded.issuer.asked == 1
    guarded.apis.node.clock.advance(61)
    guarded.ask(guarded.token(kid="new"))
    assert guarded.issuer.asked == 2


def test_one_of_the_routes_scopes_must_be_in_the_token(apis: Apis, issuer: Issuer):
    guarded = Guarded(apis, issuer, ["orders:read", "orders:write"])
    assert guarded.ask(guarded.token(scope="profile orders:read")).status == 200
    assert guarded.ask(guarded.token(scp=["orders:write"])).status == 200
    refused = guarded.ask(guarded.token(scope="profile"))
    assert (refused.status, refused.json()) == (403, {"message": "Forbidden"})
    assert 'error="insufficient_scope"' in refused.headers["www-authenticate"]


def test_issuer_that_cannot_be_reached_lets_nobody_in(apis: Apis, issuer: Issuer):
    guarded = Guarded(apis, issuer, [])
    apis.client.update_authorizer(
        ApiId=guarded.api_id,
        AuthorizerId=guarded.authorizer_id,
        JwtConfiguration={"Issuer": "http://127.0.0.1:9", "Audience": ["shop"]},
    )
    assert guarded.ask(guarded.token(iss="http://127.0.0.1:9")).status == 503


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"JwtConfiguration": {"Audience": ["a"]}}, "Issuer is required for JWT authorizers"),
        ({"JwtConfiguration": {"Issuer": "https://a.example"}}, "Audience is required for JWT authorizers"),
        ({"IdentitySource": []}, "JWT authorizers must have exactly one identity source"),
        ({"IdentitySource": ["$context.path"]}, "Invalid identity source specified: $context.path"),
    ],
)
def test_settings_that_cannot_work_are_refused(apis: Apis, settings: dict[str, Any], text: str):
    whole = {
        "Name": "tokens",
        "AuthorizerType": "JWT",
        "IdentitySource": ["$request.header.Authorization"],
        "JwtConfiguration": {"Issuer": "https://a.example", "Audience": ["a"]},
        **settings,
    }
    with pytest.raises(apis.client.exceptions.BadRequestException, match="^An error.*: " + text.replace("$", r"\$")):
        apis.client.create_authorizer(ApiId=apis.api(), **whole)


def test_route_names_an_authorizer_of_its_kind(guarded: Guarded):
    client = guarded.apis.client
    with pytest.raises(client.exceptions.BadRequestException, match="Invalid Authorizer identifier"):
        client.create_route(
            ApiId=guarded.api_id,
            RouteKey="GET /x",
            AuthorizationType="CUSTOM",
            AuthorizerId=guarded.authorizer_id,
        )
