"""A whole node against hostile requests: never a 500, an exception, a hang, or an answer that its client cannot read.

Requests of all operations of all services, in every protocol, from valid to broken, and requests of no operation. The
count is printed; the floor that the project promises is 100,000 over all seeds. `FOREBAY_HOSTILE_REQUESTS` raises it.
"""

import asyncio
import importlib
import json
import os
import random
import resource
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree as ET

import cbor2
import pytest

from forebay.core.http import Request, Response
from forebay.node import CATALOG
from forebay.operations.table import _functions
from forebay.wire.answers import AnswerRenderer, UnwritableResponse
from tests.fault.hostile_cases import EXTRAS, SAM, WIDE
from tests.fault.hostile_requests import Maker, Sample, Wild, samples_of
from tests.fault.hostile_values import ANSWERS
from tests.fault.hostile_world import HOST, TEMPLATE, Findings, World, errors_kept, open_world, signed
from tests.postgres import PostgresServer, binaries
from tests.property.codecs.oracle import PAIRS, Side, request_for, side

TOTAL = int(os.environ.get("FOREBAY_HOSTILE_REQUESTS", "102000"))
SEEDS = 5
# A node and its world serve this many requests, so that what is deleted comes back and the store stays small.
LIFE = 2_500
BATCH = 16
WILD_SHARE = 0.12
SAMPLES = 4
MEMORY_MB_MAX = 600
# Of one batch; the costliest request takes a hundredth of it.
CPU_SECONDS_MAX = 3.0

# Operations that cost tens of milliseconds each (a template's translation, a deploy) get fewer requests.
HEAVY = {
    **dict.fromkeys(("CreateStack", "UpdateStack", "CreateChangeSet", "ExecuteChangeSet", "DeleteStack"), 0.5),
    **dict.fromkeys(("GetTemplateSummary", "ValidateTemplate", "ImportApi", "ReimportApi"), 0.7),
    **dict.fromkeys(("Invoke", "InvokeAsync", "InvokeWithResponseStream"), 0.02),
    **dict.fromkeys(("CreateEventSourceMapping", "UpdateEventSourceMapping"), 0.3),
}
RENDERER = AnswerRenderer()
TEMPLATES = TOTAL // 700
CAPABILITIES = ("CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND")
FORM = {"content-type": "application/x-www-form-urlencoded"}


def implemented(service: str) -> set[str]:
    return set(_functions(importlib.import_module(CATALOG[service]).SERVICE))


def all_samples(names: dict[str, dict[str, list[Any]]], seed: int) -> Iterator[Sample]:
    for service, protocol in PAIRS:
        if service not in CATALOG:
            continue
        side_ = side(service, protocol)
        for name in sorted(implemented(service)):
            found = samples_of(
                side_, side_.ours.operations[name], seed, names.get(service, {}), SAMPLES, EXTRAS.get(service, {})
            )
            assert found, f"no valid request of {service}.{name}"
            yield from found


def weight(sample: Sample) -> float:
    name = sample.operation.name
    # What removes the world makes the next requests shallow.
    return HEAVY.get(name, 0.4 if name.startswith(("Delete", "Remove")) else 1.0)


class Judge:
    """Looks at every answer; `bugs` are what must not be, by what they have in common."""

    def __init__(self) -> None:
        self.bugs: dict[str, str] = {}
        self.statuses: Counter[int] = Counter()
        self.done: set[str] = set()
        self.count = 0

    def look(self, name: str, request: Request, response: Response) -> None:
        self.count += 1
        self.statuses[response.status] += 1
        if response.status < 300:
            self.done.add(name)
        problem = _problem(name, request, response)
        if problem:
            self.report(f"{name}: {problem}", f"{_short(request)}\n  -> {str(response)[:600]}")

    def report(self, key: str, text: str) -> None:
        self.bugs.setdefault(key[:300], text)

    def take(self, findings: Findings) -> None:
        for text in findings.take():
            lines = text.strip().splitlines()
            where = [line.strip() for line in lines if line.strip().startswith("File ") and "forebay" in line]
            self.report(f"logged: {lines[-1][:160]} {where[-1] if where else ''}", text)

    def summary(self) -> str:
        return "\n\n".join(f"### {key}\n{text}" for key, text in self.bugs.items())


def _short(request: Request) -> str:
    return str(request._replace(body=request.body[:1500]))[:3000]


def _problem(name: str, request: Request, response: Response) -> str | None:
    try:
        RENDERER.render(response, request.method, "")
    except UnwritableResponse as error:
        return f"unwritable: {error}"
    if response.status >= 500 and not _is_documented(name, response):
        return f"status {response.status}"
    if request.method == "HEAD" or not response.body:
        return None
    content = next((value for key, value in response.headers if key.lower() == "content-type"), "")
    if name.startswith(("s3.GetObject", "wild")) and response.status < 300:
        # Content is whatever somebody put there.
        return None
    return _unreadable(content, response)


def _is_documented(name: str, response: Response) -> bool:
    """Tell whether an answer of 5xx names what is not there, or is what API Gateway says of its backend."""
    if response.status == 501:
        named = (b"NotImplemented", b"not implemented", b"is not part of Forebay")
        # The answer to HEAD has no body to say it in.
        return not response.body or any(text in response.body for text in named)
    if response.status == 503 and name == "wild":
        # The HTTP integration's port at which nobody listens.
        return response.body == b'{"message":"Service Unavailable"}'
    return False


def _unreadable(content: str, response: Response) -> str | None:
    try:
        if "json" in content:
            value = json.loads(response.body)
            if response.status >= 400 and not isinstance(value, dict):
                return "an error that is no object"
        elif "xml" in content:
            ET.fromstring(response.body)
        elif "cbor" in content:
            cbor2.loads(response.body)
    except Exception as error:
        return f"unreadable {content}: {error!r:.100}"
    return None


class Harvest(dict[str, list[Any]]):
    """Values out of answers by lower-case member name, the newest few of each."""

    def read(self, response: Response) -> None:
        content = next((value for key, value in response.headers if key.lower() == "content-type"), "")
        if "json" in content and 0 < len(response.body) < 20_000:
            self._take(json.loads(response.body), "")
        elif "xml" in content and 0 < len(response.body) < 20_000:
            for element in ET.fromstring(response.body).iter():
                self._keep(element.tag.rpartition("}")[2], element.text)

    def _take(self, value: Any, name: str) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                self._take(item, key)
        elif isinstance(value, list):
            for item in value[:3]:
                self._take(item, name)
        else:
            self._keep(name, value)

    def _keep(self, name: str, value: Any) -> None:
        # Names of resources come from the world; what only answers tell are ids, tokens and handles.
        key = name.lower()
        if (
            isinstance(value, str)
            and value
            and len(value) < 2048
            and key.endswith(("id", "token", "handle", "arn", "uuid"))
        ):
            kept = self.setdefault(key, [])
            kept.append(value)
            del kept[:-8]


async def volley(world: World, judge: Judge, harvest: Harvest, batch: list[tuple[str, Request]]) -> None:
    """Answer a batch at once, as a node with many clients does, and judge each."""

    async def one(name: str, request: Request) -> None:
        try:
            response = await world._application.handle(request)
        except Exception as error:
            judge.report(f"{name}: raised {error!r:.200}", _short(request))
            return
        judge.look(name, request, response)
        if response.status < 300 and not name.startswith(("s3.GetObject", "wild")):
            harvest.read(response)

    started = time.process_time()
    try:
        await world.settle([asyncio.ensure_future(one(name, request)) for name, request in batch])
    except AssertionError as error:
        judge.report(f"hang: {error}", _listed(batch))
    seconds = time.process_time() - started
    if seconds > CPU_SECONDS_MAX:
        judge.report(f"took {seconds:.1f} s of CPU", _listed(batch))
    # What the requests began (deploys, deliveries) goes on beside the next ones.
    world.step(10)
    judge.take(world.findings)


def _listed(batch: list[tuple[str, Request]]) -> str:
    return "\n".join(f"{name} {_short(request)[:400]}" for name, request in batch)


async def bombard(seed: int, count: int, judge: Judge, store: str = "memory:") -> None:
    chance = random.Random(seed)
    samples: list[Sample] = []
    while judge.count < count and len(judge.bugs) < 200:
        with errors_kept() as findings:
            async with open_world(findings, store) as world:
                samples = samples or list(all_samples(world.names, chance.randrange(2**31)))
                weights = [weight(sample) for sample in samples]
                harvest = Harvest()
                maker, wild = Maker(chance, harvest), Wild(chance, world.names)
                end = min(judge.count + LIFE, count)
                while judge.count < end and len(judge.bugs) < 200:
                    chosen = chance.choices(samples, weights, k=BATCH)
                    batch = [
                        (sample.name, maker.make(sample, world.names.get(sample.side.ours.name, {})))
                        for sample in chosen
                    ]
                    batch = [("wild", wild.make()) if chance.random() < WILD_SHARE else pair for pair in batch]
                    await volley(world, judge, harvest, batch)
            judge.take(findings)


def peak_mb() -> float:
    """Return the most memory that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@pytest.mark.parametrize("seed", range(SEEDS))
def test_node_withstands_hostile_requests(seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    judge = Judge()
    before_mb = peak_mb()
    started = time.perf_counter()
    asyncio.run(bombard(20260707 + seed, TOTAL // SEEDS, judge))
    seconds = time.perf_counter() - started
    with capsys.disabled():
        # The floor that the project promises is seen in every run.
        print(f"\n{judge.count} requests in {seconds:.1f} s: {dict(sorted(judge.statuses.items()))}")  # noqa: T201
    assert not judge.bugs, judge.summary()
    assert judge.count >= TOTAL // SEEDS
    # Neither all nor none: many reach an operation's depths, and the damage is real.
    assert 0.05 < sum(count for status, count in judge.statuses.items() if status < 300) / judge.count < 0.6
    # The process's peak may be another test's.
    assert peak_mb() < max(before_mb + 1, MEMORY_MB_MAX)


async def deploy_damaged(seed: int, count: int, judge: Judge) -> None:
    """Create, update and delete stacks whose templates are broken in a few places each."""
    chance = random.Random(seed)
    maker = Maker(chance, {})
    templates = [json.dumps(WIDE), json.dumps(SAM), json.dumps(TEMPLATE)]
    capabilities = {f"Capabilities.member.{at}": name for at, name in enumerate(CAPABILITIES, 1)}
    with errors_kept() as findings:
        async with open_world(findings) as world:
            for at in range(count):
                batch = []
                operation = chance.choice(
                    ("CreateStack", "CreateStack", "UpdateStack", "ValidateTemplate", "DeleteStack")
                )
                form = {"Action": operation, "Version": "2010-05-15", "StackName": f"s{at % 7}", **capabilities}
                form["TemplateBody"] = maker.document(chance.choice(templates))
                request = Request("POST", "/", "", FORM, urlencode(form).encode(), HOST, "127.0.0.1", False)
                batch.append((f"cloudformation.{operation}", signed(request, "cloudformation")))
                await volley(world, judge, Harvest(), batch)
                for _ in range(20):
                    # A deploy takes many steps of its worker, each woken by the one before it.
                    await asyncio.sleep(0)
                    world.step(10)
                judge.take(findings)


def test_damaged_templates_never_break_a_deploy() -> None:
    judge = Judge()
    asyncio.run(deploy_damaged(20260707, TEMPLATES, judge))
    assert not judge.bugs, judge.summary()
    # Some are whole enough to be deployed.
    assert judge.statuses[200] > judge.count // 10


DEEP = "[" * 2_000
# What was once answered with a 500.
SEEN: tuple[tuple[str, str, dict[str, object]], ...] = (
    (
        "lambda",
        "GetLayerVersionPolicy",
        {"LayerName": "arn::lambda:us-east-1:123456789012:layer:a", "VersionNumber": 1},
    ),
    ("cloudformation", "GetTemplate", {"ChangeSetName": "arn:nothing"}),
    (
        "cloudformation",
        "CreateStack",
        {"StackName": "a", "TemplateBody": '{"Transform":"AWS::Serverless-2016-10-31","Resources":"x"}'},
    ),
    ("ssm", "GetParameter", {"Name": "arn:"}),
    ("s3", "GetObject", {"Bucket": "bucket", "Key": "key", "ResponseContentDisposition": "\u96ea"}),
    ("s3", "PutBucketPolicy", {"Bucket": "bucket", "Policy": DEEP}),
    ("iam", "CreateRole", {"RoleName": "a", "AssumeRolePolicyDocument": DEEP}),
    ("sts", "AssumeRole", {"RoleArn": "arn:aws:iam::000000000000:role/role", "RoleSessionName": "ab", "Policy": DEEP}),
    ("events", "PutPermission", {"Policy": DEEP}),
    ("secretsmanager", "PutResourcePolicy", {"SecretId": "secret", "ResourcePolicy": DEEP}),
    ("logs", "PutResourcePolicy", {"policyName": "a", "policyDocument": DEEP}),
    ("lambda", "Invoke", {"FunctionName": "f", "Payload": DEEP.encode()}),
)


def test_what_was_once_a_failure_is_refused() -> None:
    async def main() -> None:
        with errors_kept() as findings:
            async with open_world(findings) as world:
                for service, name, params in SEEN:
                    protocol = next(protocol for known, protocol in PAIRS if known == service)
                    side_ = side(service, protocol)
                    asked = request_for(side_, side_.theirs.operation_model(name), params)._replace(host=HOST)
                    response = await world.answer(signed(asked, side_.ours.signing_name))
                    assert 400 <= response.status < 500, (name, response)
                    assert not findings.take(), name

    asyncio.run(main())


def test_engine_on_disk_withstands_them_too() -> None:
    judge = Judge()
    asyncio.run(bombard(20260808, TOTAL // 40, judge, "sqlite:"))
    assert not judge.bugs, judge.summary()


@pytest.mark.skipif(binaries() is None, reason="no PostgreSQL server on this machine")
def test_postgresql_withstands_them_too() -> None:
    judge = Judge()
    server = PostgresServer()
    server.start()
    try:
        asyncio.run(bombard(20260909, TOTAL // 40, judge, server.url))
    finally:
        server.remove()
    assert not judge.bugs, judge.summary()


def test_what_is_not_implemented_says_so_by_name() -> None:
    async def main() -> None:
        with errors_kept() as findings:
            async with open_world(findings) as world:
                asked = 0
                for service, protocol in PAIRS:
                    if service in CATALOG:
                        asked += await _ask_unimplemented(world, side(service, protocol))
                assert asked > 300
                assert not findings.take()

    asyncio.run(main())


async def _ask_unimplemented(world: World, side_: Side) -> int:
    asked = 0
    for name in sorted(set(side_.ours.operations) - implemented(side_.ours.name)):
        if side_.theirs.operation_model(name).deprecated:
            # Their successors have taken their paths.
            continue
        requests = [sample.request for sample in samples_of(side_, side_.ours.operations[name], 1, {}, 4, {})]
        answers = [(request, await world.answer(request)) for request in requests]
        # Those that the model does not let pass are told so first, as by any operation.
        named = [answer for answer in answers if answer[1].status != 400]
        assert named or not answers, (name, answers)
        for request, response in named:
            asked += 1
            assert response.status == 501, (name, response)
            assert name.encode() in response.body or request.method == "HEAD", (name, response)
            assert not _problem(name, request, response), response
    return asked


def test_answers_of_functions_are_never_more_than_a_502() -> None:
    judge = Judge()

    async def main() -> None:
        with errors_kept() as findings:
            async with open_world(findings) as world:
                (api_id,), (url_id,) = world.names["apigatewayv2"]["apiid"], world.names["lambda"]["urlid"]
                hosts = [(f"{api_id}.execute-api.localhost", f"/function{version}/x") for version in ("1.0", "2.0")]
                hosts.append((f"{url_id}.lambda-url.us-east-1.localhost", "/x"))
                bodies = [json.dumps(answer).encode() for answer in ANSWERS] + [
                    b"{",
                    b"\xff\xfe",
                    b"NaN",
                    b"x" * 100_000,
                ]
                for body in bodies:
                    for host, path in hosts:
                        request = Request(
                            "POST", path, "a=%ff", {"content-type": "text/plain"}, body, host, "::1", False
                        )
                        response = await world.answer(request)
                        # API Gateway says 500, a function URL 502 for what a function should not have answered.
                        if response.status not in (500, 502) or b"Internal Server Error" not in response.body:
                            judge.look("wild", request, response)
                        else:
                            judge.count += 1
                        judge.take(world.findings)

    asyncio.run(main())
    assert not judge.bugs, judge.summary()
    assert judge.statuses[200] > 10
