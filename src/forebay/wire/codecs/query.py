"""The Query protocol: parameters of a form or query string in, XML out.

A parameter's name is a path into the input: `Tag.1.Key` for a flattened list or map, `Tags.member.1.Key` and
`Attributes.entry.1.key` for others.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from forebay.core.convert import DEPTH_MAX, is_object, read_shape
from forebay.core.errors import ServiceError
from forebay.core.http import Request, Response
from forebay.core.schema import ListOf, MapOf, Member, Node, Structure, schema_of
from forebay.core.shapes import Empty, Operation, ServiceModel, Shape
from forebay.wire.codecs.errors import error_headers, json_plain
from forebay.wire.codecs.xml import element, escape, members_xml
from forebay.wire.routing import QUEUE_PATH

PARAMETERS_MAX = 20_000
_UNREADABLE = "MalformedInput"

# A parameter is a leaf; everything below a dot is a branch.
Tree = dict[str, Any]


class QueryCodec:
    """Codec of the Query protocol; `model` is None where the service could not be told."""

    def __init__(self, model: ServiceModel | None) -> None:
        self._model = model
        namespace = model.xml_namespace if model else None
        self._namespace = f' xmlns="{escape(namespace)}"' if namespace else ""
        # SQS's documents begin with a declaration, and its errors have an empty detail.
        self._is_sqs = model is not None and model.name == "sqs"
        self._declaration = '<?xml version="1.0"?>' if self._is_sqs else ""
        self._detail = "<Detail/>" if self._is_sqs else ""

    def decode(self, operation: Operation, request: Request, labels: Mapping[str, str]) -> Shape:  # noqa: ARG002  the contract's
        """Read the form and the query string, of which one is usually empty."""
        raw = _structure(operation.input, parameter_tree(request))
        if self._is_sqs:
            _add_queue(operation, request, raw)
            _add_empty(operation, raw)
        return read_shape(operation.input, raw, names="xml", coerce=True, malformed=_UNREADABLE)

    def encode(self, operation: Operation, output: Shape | None, request_id: str) -> Response:
        """Write the answer's element, the result's inside it, and the request's id."""
        result = ""
        if output is not None and operation.output is not Empty:
            result = members_xml(output, schema_of(operation.output).members)
            result = element(operation.result_wrapper, result) if operation.result_wrapper else result
        metadata = element("ResponseMetadata", element("RequestId", escape(request_id)))
        return self._response(200, element(f"{operation.name}Response", result + metadata, self._namespace), request_id)

    def encode_error(self, operation: Operation | None, error: ServiceError, request_id: str) -> Response:  # noqa: ARG002  the contract's
        """Write `ErrorResponse` with the code that the Query protocol has for the error."""
        if error.code == "UnknownOperationException":
            # There is no action at all; the answer has neither text nor id.
            return self._response(error.status, "<UnknownOperationException/>", request_id)
        parts = element("Type", error.fault) + element("Code", escape(error.query_code or error.code))
        parts += element("Message", escape(error.query_message or error.message))
        parts += "".join(
            element(name, escape(str(error.members[field])))
            for field, name in error.wire_names.items()
            if isinstance(error.members.get(field), str | int)
        )
        body = element("Error", parts + self._detail) + element("RequestId", escape(request_id))
        status = error.query_status or error.status
        answer = self._response(status, element("ErrorResponse", body, self._namespace), request_id)
        return answer._replace(headers=answer.headers + tuple(error_headers(error)))

    def _response(self, status: int, body: str, request_id: str) -> Response:
        headers = (("Content-Type", "text/xml"), ("x-amzn-RequestId", request_id))
        return Response(status, headers, (self._declaration + body).encode("utf-8"))


class QueryJsonCodec:
    """The Query protocol as it answers those who accept only JSON: the same members, without XML.

    AWS documents no form of it; errors are as SQS answers them.
    """

    def __init__(self, model: ServiceModel | None) -> None:
        self.decode = QueryCodec(model).decode

    def encode(self, operation: Operation, output: Shape | None, request_id: str) -> Response:
        """Write the answer as an object of the same names as the elements."""
        result = None if output is None else json_plain(output)
        answer = {f"{operation.name}Result": result, "ResponseMetadata": {"RequestId": request_id}}
        return self._response(200, {f"{operation.name}Response": answer}, request_id)

    def encode_error(self, operation: Operation | None, error: ServiceError, request_id: str) -> Response:  # noqa: ARG002  the contract's
        """Write the error's parts."""
        parts = {
            "Code": error.query_code or error.code,
            "Detail": None,
            "Message": error.query_message or error.message,
            "Type": error.fault,
        }
        return self._response(error.query_status or error.status, {"Error": parts, "RequestId": request_id}, request_id)

    @staticmethod
    def _response(status: int, body: object, request_id: str) -> Response:
        headers = (("Content-Type", "application/json"), ("x-amzn-RequestId", request_id))
        return Response(status, headers, msgspec.json.encode(body))


def _add_queue(operation: Operation, request: Request, raw: Tree) -> None:
    """Take the queue from the path, to which clients of the Query protocol may post instead of naming it."""
    if "QueueUrl" in raw or not QUEUE_PATH.match(request.path):
        return
    if any(member.xml == "QueueUrl" for member in schema_of(operation.input).members):
        scheme = "https" if request.secure else "http"
        raw["QueueUrl"] = f"{scheme}://{request.host}{request.path}"


def _add_empty(operation: Operation, raw: Tree) -> None:
    """Add the lists and maps that are needed and not there: in a form, those that are empty leave no trace.

    So it is the operation that says what lacks; SQS has words of its own for an empty batch.
    """
    for member in schema_of(operation.input).members:
        if member.required and member.xml not in raw and isinstance(member.node, ListOf | MapOf):
            raw[member.xml] = [] if isinstance(member.node, ListOf) else {}


def parameter_tree(request: Request) -> Tree:
    """Give all parameters as a tree by the parts of their names; of a repeated one the last counts."""
    tree: Tree = {}
    for name, value in _parameters(request.query) + _parameters(_form(request)):
        _plant(tree, name, value)
    return tree


def _form(request: Request) -> str:
    if not request.body:
        return ""
    try:
        return request.body.decode("utf-8")
    except UnicodeDecodeError:
        raise ServiceError.of(_UNREADABLE, "The request is not valid UTF-8.") from None


def _parameters(text: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=PARAMETERS_MAX)
    except ValueError:
        raise ServiceError.of(_UNREADABLE, "The request's parameters cannot be read.") from None


def _plant(tree: Tree, name: str, value: str) -> None:
    *branches, leaf = name.split(".", DEPTH_MAX)
    for branch in branches:
        if not is_object(tree.get(branch)):
            # If a leaf of this name came before: what has parts counts for more.
            tree[branch] = {}
        tree = tree[branch]
    if not is_object(tree.get(leaf)):
        tree[leaf] = value


def _structure(type_: type[Shape], tree: Tree) -> Tree:
    raw: Tree = {}
    for member in schema_of(type_).members:
        # An empty flattened list goes by its own name, not by its entries'.
        branch = tree.get(member.xml, tree.get(member.wire))
        if branch is not None:
            raw[member.xml] = _member(member, branch)
    return raw


def _member(member: Member, branch: Any) -> Any:
    node = member.node
    if branch == "" and isinstance(node, ListOf | MapOf):
        return [] if isinstance(node, ListOf) else {}
    if member.flattened and isinstance(node, ListOf):
        items = _numbered(branch) if is_object(branch) and _is_numbered(branch) else [branch]
        return [_value(node.item, item) for item in items]
    if member.flattened and isinstance(node, MapOf) and is_object(branch):
        return _entries(node, branch)
    return _value(node, branch)


def _value(node: Node, branch: Any) -> Any:
    match node:
        case Structure() if is_object(branch):
            return _structure(node.type, branch)
        case ListOf() if is_object(branch):
            return [_value(node.item, item) for item in _numbered(_below(branch, node.item_name, "member"))]
        case MapOf() if is_object(branch):
            return _entries(node, _below(branch, "entry"))
        case ListOf() if branch == "":
            return []
        case MapOf() | Structure() if branch == "":
            return {}
        case _:
            return branch


def _below(branch: Tree, *names: str) -> Tree:
    nothing: Tree = {}
    found = next((branch[name] for name in names if name in branch), nothing)
    if not is_object(found):
        raise ServiceError.of(_UNREADABLE, "Start of list found where not expected")
    return found


def _entries(node: MapOf, branch: Tree) -> Tree:
    raw: Tree = {}
    # The only entry may do without a number (SetQueueAttributes, example in the API reference).
    for entry in [branch] if node.key_name in branch else _numbered(branch):
        # Without a name it has an empty one, which the operation refuses in words of its own.
        key = entry.get(node.key_name, "") if is_object(entry) else None
        if not is_object(entry) or not isinstance(key, str):
            raise ServiceError.of(_UNREADABLE, f"An entry of a map has no {node.key_name}.")
        # An entry without a value is a null, which the validator words.
        value = entry.get(node.value_name)
        raw[key] = None if value is None else _value(node.value, value)
    return raw


def _is_numbered(branch: Tree) -> bool:
    return all(key.isascii() and key.isdecimal() and len(key) < 10 for key in branch)


def _numbered(branch: Tree) -> list[Any]:
    if not _is_numbered(branch):
        raise ServiceError.of(_UNREADABLE, "A list's entries are not numbered.")
    return [branch[key] for key in sorted(branch, key=int)]
