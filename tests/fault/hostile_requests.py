"""Requests that nobody should send, made from those that clients would: valid, near a real resource, broken.

A `Sample` is one valid request taken apart, so that it is cheap to put together again with one part changed. Values
are those of the world where a member is called after one of its resources (also ids and tokens out of answers).
"""

import base64
import copy
import json
import random
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import cbor2
from botocore.model import ListShape, Shape, StructureShape

from forebay.core.http import Request
from forebay.core.shapes import Operation
from tests.fault.hostile_values import (
    AUTHORIZATIONS,
    HEADERS,
    HOSTS,
    INDEXES,
    METHODS,
    NUMBERS,
    PATH_PIECES,
    QUERIES,
    TEXTS,
    TOKENS,
    VALUES,
)
from tests.fault.hostile_world import ACCOUNT, HOST, signed
from tests.property.codecs.oracle import Side, labels_for, request_for
from tests.property.codecs.test_hostile_input import PIECES, damaged
from tests.property.codecs.values import Unfit, Values

_LABEL = re.compile(r"\{([^}+]+)(\+?)\}")


@dataclass(frozen=True)
class Sample:
    """A valid request in parts. `tree` is the body of `kind` json, cbor or form (pairs); `body` any other."""

    side: Side
    operation: Operation
    labels: dict[str, str]
    request: Request
    kind: str
    tree: Any

    @property
    def name(self) -> str:
        """Which operation it is, in which protocol."""
        return f"{self.side.ours.name}.{self.operation.name} ({self.side.protocol})"


@dataclass(frozen=True)
class Parts:
    """A request about to be: a sample's parts, some of them changed."""

    sample: Sample
    labels: dict[str, str]
    pairs: list[tuple[str, str]]
    tree: Any
    request: Request


def samples_of(
    side_: Side,
    operation: Operation,
    seed: int,
    names: Mapping[str, list[Any]],
    count: int,
    extras: Mapping[str, dict[str, Any]],
) -> list[Sample]:
    """Return up to `count` valid requests of an operation, with the world's names where a member asks for one.

    `extras` are members that an operation needs although its model does not say so.
    """
    model = side_.theirs.operation_model(operation.name)
    found: list[Sample] = []
    if not operation.name.startswith(("Create", "Put", "Publish", "Import")):
        names = {name: _existing(values) for name, values in names.items()}
    for at in range(count * 2):
        chance = random.Random(seed * 1000 + at)
        try:
            params = Values(seed + at, full=side_.protocol != "json").for_input(model)
            if at % 2 == 0 and model.input_shape:
                # Few members, so that little but the mutation stands between the request and the operation's depths.
                params = only_required(model.input_shape, params) | extras.get(operation.name, {})
            params = named(chance, params, names, 1.0 if at % 2 == 0 else 0.9)
            request = request_for(side_, model, params)
            labels = labels_for(side_, operation.name, request)
        except (Unfit, AssertionError, ValueError, TypeError, AttributeError, KeyError):
            continue
        found.append(_taken_apart(side_, operation, labels, signed(request._replace(host=HOST), _scope(side_))))
        if len(found) == count:
            break
    return found


def _existing(values: list[Any]) -> list[Any]:
    """Leave out the names that nothing has yet."""
    return [value for value in values if not (isinstance(value, str) and value.startswith(("new", "/p/new")))]


def only_required(shape: Shape, value: Any) -> Any:
    """Return plain values without the members that their shape does not require, at any depth."""
    if isinstance(shape, StructureShape) and isinstance(value, dict):
        names = shape.required_members
        return {name: only_required(shape.members[name], value[name]) for name in names if name in value}
    if isinstance(shape, ListShape) and isinstance(value, list):
        return [only_required(shape.member, item) for item in value[: max(1, shape.metadata.get("min", 0))]]
    return value


def _scope(side_: Side) -> str:
    return side_.ours.signing_name


def _taken_apart(side_: Side, operation: Operation, labels: dict[str, str], request: Request) -> Sample:
    content = request.headers.get("content-type", "")
    if side_.protocol == "query":
        pairs = parse_qsl(request.body.decode(), keep_blank_values=True)
        return Sample(side_, operation, labels, request, "form", pairs)
    if side_.protocol == "smithy-rpc-v2-cbor" and request.body:
        return Sample(side_, operation, labels, request, "cbor", cbor2.loads(request.body))
    if request.body[:1] in (b"{", b"[") and (side_.protocol == "json" or "json" in content or not content):
        try:
            return Sample(side_, operation, labels, request, "json", json.loads(request.body))
        except ValueError:
            pass
    return Sample(side_, operation, labels, request, "raw", None)


def named(chance: random.Random, value: Any, names: Mapping[str, list[Any]], share: float, member: str = "") -> Any:
    """Return a copy of plain values in which members called as in `names` have one of those values, mostly."""
    if member and chance.random() < share and (known := names.get(member.lower())):
        one = chance.choice(known)
        if isinstance(value, list) and not isinstance(one, list):
            return [one]
        if type(one) is type(value) or not isinstance(value, (dict, list)):
            return one
    if isinstance(value, dict):
        return {key: named(chance, item, names, share, key) for key, item in value.items()}
    if isinstance(value, list):
        return [named(chance, item, names, share, member) for item in value]
    return value


class Maker:
    """Makes requests out of samples. `harvest` gives values out of answers by lower-case member name."""

    def __init__(self, chance: random.Random, harvest: Mapping[str, list[Any]]) -> None:
        self.chance = chance
        self.harvest = harvest

    def make(self, sample: Sample, names: Mapping[str, list[Any]]) -> Request:
        """Return a request like the sample: as it is, nearer to the world, or broken in one to three places."""
        parts = self._nearer(_parts(sample), names) if self.chance.random() < 0.5 else _parts(sample)
        times = self.chance.choice((0, 0, 1, 1, 1, 2, 3))
        if times and sample.kind in ("json", "cbor"):
            parts = replace(parts, tree=copy.deepcopy(parts.tree))
        late: list[Callable[[Request], Request]] = []
        for _ in range(times):
            parts = self._broken(parts, late)
        request = _put_together(parts)
        for change in late:
            request = change(request)
        return request

    def _nearer(self, parts: Parts, names: Mapping[str, list[Any]]) -> Parts:
        """Put names of the world and values of answers where members are called after them."""
        known = {**self.harvest, **names} if self.chance.random() < 0.5 else {**names, **self.harvest}
        tree = parts.tree
        if parts.sample.kind == "form":
            tree = [(name, self._known(name.rpartition(".")[2], value, known)) for name, value in tree]
        elif tree is not None:
            tree = named(self.chance, tree, known, 0.5)
        labels = {name: self._known(name, value, known) for name, value in parts.labels.items()}
        pairs = [(name, self._known(name, value, known)) for name, value in parts.pairs]
        return replace(parts, labels=labels, pairs=pairs, tree=tree)

    def _broken(self, parts: Parts, late: list[Callable[[Request], Request]]) -> Parts:
        """Break one part; what can be broken only in the whole request is put off to `late`."""
        dice = self.chance.random()
        sample, request = parts.sample, parts.request
        if dice < 0.08:
            return replace(parts, request=self._header(request))
        if dice < 0.14:
            late.append(self._late)
            return parts
        if dice < 0.34 and parts.labels:
            return replace(parts, labels=self._label(parts.labels))
        if dice < 0.54 and sample.side.protocol.startswith("rest"):
            return replace(parts, pairs=self._pair(parts.pairs))
        if parts.tree is None:
            return replace(parts, request=request._replace(body=damaged(self.chance, request.body)))
        return replace(parts, tree=self._pair(parts.tree) if sample.kind == "form" else self._tree(parts.tree))

    def _known(self, name: str, value: str, known: Mapping[str, list[Any]]) -> str:
        values = known.get(name.lower())
        return str(self.chance.choice(values)) if values and self.chance.random() < 0.6 else value

    def _header(self, request: Request) -> Request:
        chance = self.chance
        headers = dict(request.headers)
        kind = chance.randrange(4) if headers else 3
        if kind == 0:
            headers.pop(chance.choice(list(headers)), None)
        elif kind == 1:
            name = chance.choice(list(headers))
            headers[name] = damaged(chance, headers[name].encode("latin-1")).decode("latin-1")
        elif kind == 2:
            headers["authorization"] = chance.choice(AUTHORIZATIONS)
        else:
            name, value = chance.choice(HEADERS)
            headers[name] = value
        return request._replace(headers=headers)

    def _late(self, request: Request) -> Request:
        """Change what the parts do not show: raw bytes, method, host, raw path and query."""
        chance = self.chance
        match chance.randrange(6):
            case 0 | 1:
                return request._replace(body=damaged(chance, request.body))
            case 2:
                return request._replace(method=chance.choice(METHODS))
            case 3:
                return request._replace(host=chance.choice(HOSTS))
            case 4:
                return request._replace(path=ascii_path(damaged(chance, request.path.encode())))
            case _:
                return request._replace(query=chance.choice(QUERIES))

    def _label(self, labels: dict[str, str]) -> dict[str, str]:
        return {**labels, self.chance.choice(list(labels)): self.chance.choice(TEXTS)}

    def _pair(self, pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
        chance = self.chance
        pairs = list(pairs)
        if not pairs or chance.random() < 0.1:
            return [*pairs, (chance.choice(TEXTS[:60]), chance.choice(TEXTS))]
        at = chance.randrange(len(pairs))
        name, value = pairs[at]
        if (inner := self._inside(value)) is not None:
            pairs[at] = (name, inner)
            return pairs
        match chance.randrange(8):
            case 0:
                del pairs[at]
            case 1:
                pairs.append((name, chance.choice(TEXTS)))
            case 2:
                pairs[at] = (re.sub(r"\d+", lambda _: chance.choice(INDEXES), name), value)
            case 3:
                pairs[at] = (name + chance.choice((".1", ".member.1", ".entry.1.key", ".", "..", ".Name", ".x")), value)
            case 4:
                pairs += [(f"{name}.{index}", value) for index in range(chance.choice((3, 30, 300)))]
            case _:
                pairs[at] = (name, chance.choice(self._texts(name)))
        return pairs

    def _texts(self, member: Any) -> tuple[str, ...]:
        is_token = isinstance(member, str) and member.lower().endswith(("token", "marker", "handle"))
        return TOKENS if is_token else TEXTS

    def _tree(self, tree: Any) -> Any:  # noqa: C901  one way to break a place a line
        """Change one place of a tree, in place where it can be."""
        chance = self.chance
        places = list(_places(tree))
        if not places or chance.random() < 0.03:
            return copy.deepcopy(chance.choice((*VALUES, *TEXTS[:20])))
        holder, key = chance.choice(places)
        old = holder[key]
        if isinstance(old, str) and (inner := self._inside(old)) is not None:
            holder[key] = inner
            return tree
        match chance.randrange(10):
            case 0:
                del holder[key]
            case 1:
                holder[key] = chance.choice(([old], {"a": old}, str(old), [old, old], [old] * 30, None))
            case 2 if isinstance(old, list) and old:
                holder[key] = old * chance.choice((2, 11, 101))
            case 2 if isinstance(old, str):
                holder[key] = old * 2 if chance.random() < 0.5 else old[:-1]
            case 3 if isinstance(holder, dict):
                holder[chance.choice((key.upper(), key.lower(), key + " ", "", "\0", "__type", "x" * 300))] = old
            case 4 | 5 | 6 if isinstance(old, (int, float)):
                holder[key] = chance.choice(NUMBERS)
            case 4 | 5 | 6 | 7:
                holder[key] = chance.choice(self._texts(key))
            case _:
                holder[key] = copy.deepcopy(chance.choice(VALUES))
        return tree

    def document(self, text: str) -> str:
        """Change one to four places of a JSON document."""
        return self._inside(text) or text

    def _inside(self, text: str) -> str | None:
        """Change one place of a document that is the text of a member (a template, pattern, policy), mostly."""
        if text[:1] not in ("{", "[") or self.chance.random() < 0.2:
            return None
        try:
            tree = json.loads(text)
        except (ValueError, RecursionError):
            return None
        for _ in range(self.chance.choice((1, 1, 1, 2, 4))):
            tree = self._tree(tree) if isinstance(tree, (dict, list)) else tree
        return json.dumps(tree)


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield tree, key
        yield from _places(value)


def _parts(sample: Sample) -> Parts:
    pairs = parse_qsl(sample.request.query, keep_blank_values=True)
    return Parts(sample, sample.labels, pairs, sample.tree, sample.request)


def _put_together(parts: Parts) -> Request:
    sample, labels, request = parts.sample, parts.labels, parts.request
    if labels is not sample.labels:
        template = sample.operation.uri.partition("?")[0]

        def fill(label: re.Match[str]) -> str:
            return quote(labels.get(label[1], ""), safe="/~" if label[2] else "~", errors="surrogatepass")

        request = request._replace(path=_LABEL.sub(fill, template))
    if sample.request.query or parts.pairs:
        request = request._replace(query=urlencode(parts.pairs, errors="surrogatepass"))
    if parts.tree is not sample.tree:
        request = request._replace(body=_body(sample.kind, parts.tree))
    return request


def _body(kind: str, tree: Any) -> bytes:
    if kind == "form":
        return urlencode(tree, errors="surrogatepass").encode()
    if kind == "cbor":
        try:
            return cbor2.dumps(tree)
        except (cbor2.CBOREncodeError, UnicodeEncodeError, OverflowError):
            return b"\xbf\xff"
    return json.dumps(tree, default=_as_text).encode()


def _as_text(value: Any) -> str:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else repr(value)


def ascii_path(data: bytes) -> str:
    """Return bytes as the server would hand them on in a path: printable ASCII that begins with a slash."""
    text = "".join(chr(byte) for byte in data if 33 <= byte < 127 and byte not in b"?#")
    return "/" + text.lstrip("/") if not text.startswith("/") else text


class Wild:
    """Makes requests that belong to no operation: paths, ingress, the node's own API."""

    def __init__(self, chance: random.Random, names: Mapping[str, Mapping[str, list[Any]]]) -> None:
        self.chance = chance
        self._names = names

    def make(self) -> Request:
        """Return a request of one of the kinds."""
        make = self.chance.choice(
            (self._paths, self._api, self._api, self._api, self._control, self._presigned, self._form)
        )
        request = make()
        if self.chance.random() < 0.2:
            name, value = self.chance.choice(HEADERS)
            request = request._replace(headers={**request.headers, name: value})
        if self.chance.random() < 0.1:
            request = request._replace(headers={**request.headers, "authorization": self.chance.choice(AUTHORIZATIONS)})
        return request

    def _blank(
        self, path: str, method: str | None = None, query: str = "", body: bytes = b"", host: str = HOST
    ) -> Request:
        return Request(method or self.chance.choice(METHODS), path, query, {}, body, host, "127.0.0.1", False)

    def _path(self, most: int = 6) -> str:
        return "/" + "/".join(self.chance.choices(PATH_PIECES, k=self.chance.randint(0, most)))

    def _paths(self) -> Request:
        request = self._blank(self._path(), query=self.chance.choice(QUERIES), body=self.chance.choice(PIECES))
        if self.chance.random() < 0.5:
            scope = self.chance.choice(("lambda", "apigateway", "s3", "sqs", "iam", "execute-api", "states", "nothing"))
            request = signed(request, scope)
        return request._replace(host=self.chance.choice(HOSTS)) if self.chance.random() < 0.3 else request

    def _api(self) -> Request:
        """Return a request to the world's HTTP API."""
        chance = self.chance
        api_id = self._names["apigatewayv2"]["apiid"][0]
        path = chance.choice(("/queue", "/bus/a/b", "/bus/%00/%ff", "/receive", "/proxy/a", "/dev/queue", "/dev", ""))
        if chance.random() < 0.3:
            path += self._path(3)
        body = chance.choice((b'{"message":"x"}', b'{"message":{"a":[1,null]}}', b'{"a":1}', b"[1]", *PIECES))
        if chance.random() < 0.3:
            body = damaged(chance, b'{"message":"' + b"x" * 50 + b'"}')
        query = chance.choice(
            ("", "n=5", "n=99999999999", "n=x", "time=x", "time=2026-01-01T00:00:00Z", "a=%0d%0a", *QUERIES)
        )
        host = f"{api_id}.execute-api.localhost:4566"
        if chance.random() < 0.3:
            path, host = f"/_aws/execute-api/{api_id}{path}", HOST
        headers = {"x-type": chance.choice(("t", "", "\xff", "a" * 200, "x\ty"))}
        if chance.random() < 0.5:
            headers["content-type"] = chance.choice(
                ("application/json", "text/plain", "application/x-www-form-urlencoded")
            )
        return self._blank(path or "/", query=query, body=body, host=host)._replace(headers=headers)

    def _control(self) -> Request:
        chance = self.chance
        name = chance.choice(
            (
                "health",
                "ready",
                "version",
                "clock",
                "clock",
                "trace",
                "events",
                "sqs/peek",
                "sqs/redrive",
                "sqs/x",
                "x/y",
                "",
            )
        )
        if chance.random() < 0.1:
            name += self._path(2)
        query = chance.choice(
            (
                "queue=queue",
                "queue=queue&limit=-1",
                "queue=queue&limit=2",
                "queue=dead&limit=x",
                "queue=%00",
                "id=x",
                "id=%ff",
                "after=0",
                "after=-1",
                "after=" + "9" * 30,
                "after=0&wait=x",
                "account=%00&region=&queue=queue",
                *QUERIES,
            )
        )
        bodies = (
            b"{}",
            b'{"advance":1}',
            b'{"advance":-1}',
            b'{"advance":1e300}',
            b'{"freeze":"x"}',
            b'{"freeze":NaN}',
            b'{"advance":null}',
            b'{"resume":false}',
            b'{"freeze":true,"advance":1}',
            b'{"x":1}',
            b"[]",
            *PIECES,
        )
        path = "/metrics" if chance.random() < 0.1 else f"/_forebay/{name}"
        return self._blank(path, query=query, body=chance.choice(bodies))

    def _presigned(self) -> Request:
        path = self.chance.choice(("/bucket/key", "/bucket", "/", "/2015-03-31/functions/f", "/_aws/lambda-url/code/x"))
        query = damaged(self.chance, QUERIES[-1].encode()).decode("latin-1")
        query = "".join(character for character in query if "!" <= character <= "~" and character != "#")
        return self._blank(path, query=query)

    def _form(self) -> Request:
        """Return a form post as HTML pages and old clients make them, to any path."""
        chance = self.chance
        pairs = [
            (
                chance.choice(("Action", "Version", "QueueUrl", "a.1", "AttributeName.1", *TEXTS[:30])),
                chance.choice(("ListQueues", "2012-11-05", "SendMessage", *TEXTS)),
            )
            for _ in range(chance.randint(1, 6))
        ]
        body = urlencode(pairs, errors="surrogatepass").encode()
        request = self._blank(chance.choice(("/", f"/{ACCOUNT}/queue", self._path(2))), "POST", body=body)
        return request._replace(headers={"content-type": "application/x-www-form-urlencoded"})
