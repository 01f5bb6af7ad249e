"""Signatures: botocore signs, we verify."""

import asyncio
import datetime

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from forebay.core.errors import ServiceError
from forebay.core.http import Request
from forebay.operations.credentials import Credential
from forebay.wire.authentication import Authenticator
from forebay.wire.signature import is_right, parse_signature

KEY = Credential("AKIDEXAMPLE", "wJalrXUtnFEMI", "111122223333", "arn:aws:iam::111122223333:user/example")


def signed(signer, method="POST", url="http://127.0.0.1:4566/", body=b"{}", headers=None, token=None, service="sqs"):
    credentials = Credentials(KEY.access_key, KEY.secret_key, token)
    request = AWSRequest(method=method, url=url, data=body, headers=headers or {})
    signer(credentials, service, "eu-west-1").add_auth(request)
    prepared = request.prepare()
    host, _, rest = prepared.url.removeprefix("http://").partition("/")
    path, _, query = ("/" + rest).partition("?")
    found = {
        name.lower(): value if isinstance(value, str) else value.decode() for name, value in prepared.headers.items()
    }
    return Request(method, path, query, found, body, host, "127.0.0.1", False)


def authenticator(*credentials, is_open=False, issued=()):
    async def find_issued(key):
        return dict(issued).get(key)

    known = {credential.access_key: credential for credential in credentials}
    return Authenticator(known, find_issued, default_account="000000000000", is_open=is_open)


def identify(authenticator, request):
    return asyncio.run(authenticator.identify(request))


def code_of(authenticator, request):
    with pytest.raises(ServiceError) as raised:
        identify(authenticator, request)
    return raised.value.code


def test_header_signature_is_right():
    request = signed(SigV4Auth, headers={"X-Amz-Target": "AmazonSQS.ListQueues", "Content-Type": "application/json"})
    assert is_right(request, parse_signature(request), KEY.secret_key)


@given(
    path=st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"], exclude_characters="?#\\"), max_size=20),
    query=st.dictionaries(st.text("abc -~+/é", min_size=1, max_size=5), st.text("abc -~+/é&=", max_size=5), max_size=3),
    body=st.binary(max_size=50),
)
def test_any_path_query_and_body_verify(path, query, body):
    from urllib.parse import quote, urlencode

    clean = "/".join(part for part in path.split("/") if part not in ("", ".", ".."))
    url = f"http://localhost:4566/{quote(clean)}" + (f"?{urlencode(query, quote_via=quote)}" if query else "")
    request = signed(SigV4Auth, url=url, body=body, service="lambda")
    assert is_right(request, parse_signature(request), KEY.secret_key)


def test_s3_header_and_presigned_signatures_are_right():
    url = "http://localhost:4566/bucket/a%20b/c%2Bd"
    request = signed(S3SigV4Auth, "PUT", url, b"content", service="s3")
    assert is_right(request, parse_signature(request), KEY.secret_key)
    presigned = signed(S3SigV4QueryAuth, "GET", url, b"", service="s3")
    assert parse_signature(presigned).is_presigned
    assert is_right(presigned, parse_signature(presigned), KEY.secret_key)


@pytest.mark.parametrize(
    "change",
    [
        {"body": b"{ }"},
        {"path": "/other"},
        {"query": "a=b"},
        {"method": "PUT"},
        {"host": "elsewhere:4566"},
    ],
)
def test_changed_request_is_refused(change):
    request = signed(SigV4Auth)._replace(**change)
    assert code_of(authenticator(KEY), request) == "InvalidSignatureException"


def test_known_key_is_checked_even_where_any_key_is_accepted():
    request = signed(SigV4Auth)._replace(body=b"other")
    assert code_of(authenticator(KEY, is_open=True), request) == "InvalidSignatureException"


def test_unknown_key_names_its_account_where_any_is_accepted():
    authorization = (
        "AWS4-HMAC-SHA256 Credential=444455556666/20260101/eu-west-1/sqs/aws4_request, "
        "SignedHeaders=host, Signature=" + "0" * 64
    )
    request = signed(SigV4Auth)
    request = request._replace(headers={**request.headers, "authorization": authorization})
    identity = identify(authenticator(is_open=True), request)
    assert (identity.account, identity.scope.region) == ("444455556666", "eu-west-1")


def test_unsigned_request_is_accepted_only_where_any_key_is():
    request = Request("POST", "/", "", {}, b"", "h", "127.0.0.1", False)
    assert identify(authenticator(is_open=True), request).account == "000000000000"
    assert code_of(authenticator(KEY), request) == "MissingAuthenticationToken"


def test_unknown_key_is_refused_where_credentials_are_configured():
    assert code_of(authenticator(), signed(SigV4Auth)) == "UnrecognizedClientException"
    assert code_of(authenticator(), signed(SigV4Auth, service="iam")) == "InvalidClientTokenId"
    assert code_of(authenticator(), signed(S3SigV4Auth, "GET", service="s3")) == "InvalidAccessKeyId"


def test_old_signature_is_refused(monkeypatch):
    from forebay.wire import authentication

    request = signed(SigV4Auth)
    now = datetime.datetime.now(datetime.UTC).timestamp()
    monkeypatch.setattr(authentication, "wall_seconds", lambda: now + 301)
    assert code_of(authenticator(KEY), request) == "InvalidSignatureException"
    s3_request = signed(S3SigV4Auth, "GET", "http://h/b", b"", service="s3")
    assert identify(authenticator(KEY), s3_request).account == KEY.account
    monkeypatch.setattr(authentication, "wall_seconds", lambda: now + 901)
    assert code_of(authenticator(KEY), s3_request) == "RequestTimeTooSkewed"


def test_expired_presigned_url_is_refused(monkeypatch):
    from forebay.wire import authentication

    request = signed(S3SigV4QueryAuth, "GET", "http://h/b/k", b"", service="s3")
    now = datetime.datetime.now(datetime.UTC).timestamp()
    monkeypatch.setattr(authentication, "wall_seconds", lambda: now + 3_700)
    assert code_of(authenticator(KEY), request) == "AccessDenied"


def test_issued_key_needs_its_session_token():
    temporary = Credential("ASIAEXAMPLEEXAMPLE00", KEY.secret_key, KEY.account, KEY.principal, session_token="tok")
    issued = [(temporary.access_key, temporary)]

    def request(token):
        credentials = Credentials(temporary.access_key, KEY.secret_key, token)
        made = AWSRequest(method="POST", url="http://h/", data=b"{}", headers={})
        SigV4Auth(credentials, "sqs", "eu-west-1").add_auth(made)
        headers = {name.lower(): value for name, value in made.headers.items()}
        return Request("POST", "/", "", headers, b"{}", "h", "127.0.0.1", False)

    assert identify(authenticator(KEY, issued=issued), request("tok")).account == KEY.account
    assert code_of(authenticator(KEY, issued=issued), request("other")) == "UnrecognizedClientException"


@pytest.mark.parametrize(
    "header", ["AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=x, Signature=0"]
)
def test_malformed_signature_is_refused(header):
    request = Request("POST", "/", "", {"authorization": header}, b"", "h", "127.0.0.1", False)
    assert code_of(authenticator(is_open=True), request) == "IncompleteSignature"


def test_declared_payload_must_be_the_body():
    request = signed(S3SigV4Auth, "PUT", "http://h/b/k", b"content", service="s3")
    request = request._replace(body=b"changed")
    assert code_of(authenticator(KEY), request) == "XAmzContentSHA256Mismatch"


@pytest.mark.parametrize(
    ("headers", "is_let_in"),
    [
        ({}, True),
        ({"origin": "http://localhost:3000"}, True),
        ({"origin": "http://127.0.0.1:4566"}, True),
        ({"sec-fetch-site": "same-origin"}, True),
        ({"origin": "https://elsewhere.example"}, False),
        ({"origin": "http://localhost.elsewhere.example"}, False),
        ({"origin": "null"}, False),
        ({"origin": "http://[odd"}, False),
        ({"sec-fetch-site": "cross-site"}, False),
    ],
)
def test_page_from_elsewhere_cannot_act_without_a_signature(headers, is_let_in):
    form = Request("POST", "/", "", headers, b"Action=DeleteQueue&QueueUrl=q", "127.0.0.1:4566", "127.0.0.1", False)
    if is_let_in:
        assert identify(authenticator(is_open=True), form).account == "000000000000"
    else:
        assert code_of(authenticator(is_open=True), form) == "MissingAuthenticationToken"
