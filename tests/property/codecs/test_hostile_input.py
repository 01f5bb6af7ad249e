"""Whatever a client sends, a codec answers with a structure or a ServiceError of status 4xx, never with anything else.

Valid requests of all operations are damaged in many cheap ways. The count is printed; the floor is 100,000.
"""

import os
import random
import time
from typing import Any

import pytest

from forebay.core.errors import ServiceError
from forebay.core.http import Request
from forebay.core.shapes import Shape
from tests.property.codecs.oracle import PAIRS, Side, labels_for, request_for, side
from tests.property.codecs.values import Unfit, Values

TOTAL = int(os.environ.get("FOREBAY_HOSTILE_REQUESTS", "110000"))
PIECES = (
    *(b"", b"null", b"{}", b"[]", b'""', b"0", b"1e400", b"-1", b"9" * 400, b"1.5", b"true", b'"AAA"', b"NaN"),
    *(b"\xff\xfe", b"\x00", b'"\\ud800"', b"\r\n", "雪".encode(), b"Infinity", b'"__type"'),
    *(b"{" * 50, b"[" * 2000, b'{"a":' * 2000, b"<a>" * 300, b"\x9f" * 500),
    *(b"&", b"=", b"%", b"%zz", b".1.", b"<", b"</", b"&#0;", b"<!DOCTYPE a>"),
    b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
    *(b"\xa1", b"\xbf", b"\xd8\x1c", b"\xfb\x7f\xf0", b"\xc1", b"\xc2\x58\xff", b"\x1b" + b"\xff" * 8),
)


def damaged(chance: random.Random, body: bytes) -> bytes:  # noqa: PLR0911  one way of damage a line
    at = chance.randint(0, len(body))
    match chance.randrange(8):
        case 0:
            return body[:at]
        case 1:
            return body[:at] + chance.choice(PIECES) + body[at:]
        case 2:
            return body[:at] + chance.choice(PIECES) + body[at + chance.randint(1, 8) :]
        case 3:
            return body[:at] + bytes((chance.randrange(256),)) + body[at + 1 :]
        case 4:
            end = chance.randint(at, len(body))
            return body[:at] + body[end:]
        case 5:
            end = min(len(body), at + chance.randint(1, 20))
            return body[:end] + body[at:end] * chance.randint(1, 3) + body[end:]
        case 6:
            return chance.choice(PIECES)
        case _:
            digits = [place for place, byte in enumerate(body) if 48 <= byte < 58]
            at = chance.choice(digits) if digits else at
            return body[:at] + chance.choice((b"9" * 30, b"-", b"x", b'"', b"null")) + body[at + 1 :]


def damaged_request(chance: random.Random, request: Request, labels: dict[str, str]) -> tuple[Request, dict[str, str]]:
    part = chance.randrange(10)
    if part == 0:
        query = damaged(chance, request.query.encode()).decode("latin-1")
        return request._replace(query=query), labels
    if part == 1 and request.headers:
        name = chance.choice(list(request.headers))
        value = damaged(chance, request.headers[name].encode()).decode("latin-1")
        return request._replace(headers={**request.headers, name: value}), labels
    if part == 2 and labels:
        name = chance.choice(list(labels))
        return request, {**labels, name: damaged(chance, labels[name].encode()).decode("latin-1")}
    return request._replace(body=damaged(chance, request.body)), labels


def valid_requests(side_: Side, seed: int) -> list[tuple[Any, Request, dict[str, str]]]:
    requests = []
    for name in side_.theirs.operation_names:
        operation = side_.theirs.operation_model(name)
        try:
            request = request_for(side_, operation, Values(seed).for_input(operation))
            requests.append((side_.ours.operations[name], request, labels_for(side_, name, request)))
        except (Unfit, AssertionError):
            continue
    return requests


def check(side_: Side, operation: Any, request: Request, labels: dict[str, str]) -> str:
    """Decode once and give what came of it; fails the test on anything but a structure or a 4xx."""
    try:
        shape = side_.codec.decode(operation, request, labels)
    except ServiceError as error:
        refusal = error
    except Exception as error:
        raise AssertionError(f"{operation.name} {error!r} for {labels} {request}") from error
    else:
        assert isinstance(shape, Shape)
        return ""
    assert 400 <= refusal.status < 500, f"{refusal!r} for {request}"
    assert side_.codec.encode_error(operation, refusal, "request-1").status < 500
    return refusal.code


def test_hostile_requests_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    chance = random.Random(20260707)
    started = time.perf_counter()
    codes: dict[str, int] = {}
    share = TOTAL // len(PAIRS) + 1
    count = 0
    for service, protocol in PAIRS:
        side_ = side(service, protocol)
        requests = valid_requests(side_, chance.randrange(2**31))
        for _ in range(share):
            operation, request, labels = chance.choice(requests)
            code = check(side_, operation, *damaged_request(chance, request, labels))
            codes[code] = codes.get(code, 0) + 1
            count += 1
    with capsys.disabled():
        seconds = time.perf_counter() - started
        refused = count - codes.get("", 0)
        # The floor that the project promises is seen in every run.
        print(f"\n{count} damaged requests over {len(PAIRS)} codecs in {seconds:.1f} s, {refused} refused")  # noqa: T201
    assert count >= min(TOTAL, 100_000)
    # Neither all nor none: the damage is real, and the requests were valid before.
    assert 0.2 < refused / count < 0.99


@pytest.mark.parametrize(("service", "protocol"), PAIRS)
def test_nesting_bombs_are_refused(service: str, protocol: str) -> None:
    side_ = side(service, protocol)
    bombs = [b"[" * 100_000, b'{"a":' * 100_000, b'{"a":[' * 400 + b"]}" * 400, b"<a>" * 100_000, b"\x9f" * 100_000]
    bombs += [b"a" + b".1" * 100_000 + b"=1", b"&".join(b"a%d=1" % n for n in range(100_000)), b"\xd8\x1c\x81" * 10_000]
    operations = list(side_.ours.operations.values())[:3]
    for operation in operations:
        for bomb in bombs:
            request = Request("POST", "/", "", {}, bomb, "localhost", "127.0.0.1", False)
            check(side_, operation, request, {})


def test_deep_attributes_are_refused() -> None:
    side_ = side("dynamodb", "json")
    deep = b'{"TableName":"abc","Item":{"a":' + b'{"M":{"a":' * 150 + b'{"S":"x"}' + b"}}" * 150 + b"}}"
    request = Request("POST", "/", "", {}, deep, "localhost", "127.0.0.1", False)
    assert check(side_, side_.ours.operations["PutItem"], request, {}) == "SerializationException"
