"""REST-XML, which S3 speaks: method and path say the operation, the body is XML or an object's bytes."""

from collections.abc import Mapping

from forebay.core.aws_chunked import is_aws_chunked, undo_aws_chunked
from forebay.core.convert import Reader
from forebay.core.errors import ServiceError
from forebay.core.http import Request, Response
from forebay.core.schema import Blob, Member, Schema, Text, schema_of
from forebay.core.shapes import Empty, Operation, ServiceModel, Shape
from forebay.wire.codecs.errors import error_headers
from forebay.wire.codecs.rest import Body, read_located, write_located
from forebay.wire.codecs.xml import (
    DECLARATION,
    element,
    escape,
    malformed_xml,
    member_xml,
    members_xml,
    parse_xml,
    raw_structure,
    raw_value,
    scalar_text,
)

_NAMESPACE = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
_XML = ("Content-Type", "application/xml")
# What S3 calls an answer's root where that is not the operation's name with `Result` (S3 API reference).
_ROOTS = {
    "AbortMultipartUpload": "AbortMultipartUploadResult",
    "DeleteObjects": "DeleteResult",
    "GetBucketLocation": "LocationConstraint",
    "GetBucketVersioning": "VersioningConfiguration",
    "GetObjectTagging": "Tagging",
    "GetBucketTagging": "Tagging",
    "GetBucketAcl": "AccessControlPolicy",
    "GetObjectAcl": "AccessControlPolicy",
    "GetBucketCors": "CORSConfiguration",
    "GetBucketNotificationConfiguration": "NotificationConfiguration",
    "GetBucketLifecycleConfiguration": "LifecycleConfiguration",
    "GetBucketWebsite": "WebsiteConfiguration",
    "GetObjectAttributes": "GetObjectAttributesResponse",
    "CreateMultipartUpload": "InitiateMultipartUploadResult",
    "CreateSession": "CreateSessionResult",
    "ListBuckets": "ListAllMyBucketsResult",
    "ListDirectoryBuckets": "ListAllMyDirectoryBucketsResult",
    "ListObjects": "ListBucketResult",
    "ListObjectsV2": "ListBucketResult",
    "ListObjectVersions": "ListVersionsResult",
    "ListParts": "ListPartsResult",
    "ListMultipartUploads": "ListMultipartUploadsResult",
    "UploadPartCopy": "CopyPartResult",
}


class RestXmlCodec:
    """Codec of REST-XML; `model` is None where the service could not be told."""

    def __init__(self, model: ServiceModel | None) -> None:
        self._model = model

    def decode(self, operation: Operation, request: Request, labels: Mapping[str, str]) -> Shape:
        """Read path, query, headers and body; bucket and key are labels, however the host was spelled."""
        request = _unframed(request)
        body = _body(schema_of(operation.input), request.body)
        return read_located(operation, request, labels, body, Reader("xml", coerce=True), "InvalidArgument")

    def encode(self, operation: Operation, output: Shape | None, request_id: str) -> Response:
        """Write headers and body; the status is the model's unless the output names one."""
        headers = [("x-amz-request-id", request_id)]
        if output is None or operation.output is Empty:
            return Response(operation.status, tuple(headers), b"")
        status, located = write_located(output)
        content_type, body = _content(operation, output)
        if content_type and not any(name.lower() == "content-type" for name, _ in located):
            headers.append(("Content-Type", content_type))
        if any(name == "Content-Range" for name, _ in located):
            # The model cannot say that a part of an object is answered with another status than the whole.
            status = 206
        return Response(status or operation.status, (*headers, *located), body)

    def encode_error(self, operation: Operation | None, error: ServiceError, request_id: str) -> Response:
        """Write S3's bare `Error`; an answer to HEAD has no body."""
        headers = (("x-amz-request-id", request_id), _XML, *error_headers(error))
        if operation is not None and operation.method == "HEAD":
            return Response(error.status, headers, b"")
        parts = element("Code", escape(error.code)) + element("Message", escape(error.message))
        parts += "".join(
            element(error.wire_names.get(name, name), escape(str(value)))
            for name, value in error.members.items()
            if isinstance(value, str | int) and name not in error.wire_headers
        )
        body = element("Error", parts + element("RequestId", escape(request_id)))
        return Response(error.status, headers, (DECLARATION + body).encode("utf-8"))


def _unframed(request: Request) -> Request:
    """Give the request with its body as the object's bytes, where an SDK has framed them."""
    if not is_aws_chunked(request):
        return request
    try:
        return undo_aws_chunked(request)
    except ValueError as error:
        text = f"The request body terminated unexpectedly: {error}."
        raise ServiceError.of("IncompleteBody", text) from None


def _body(schema: Schema, body: bytes) -> Body:
    """Give the body's members by field, as plain values by XML names."""
    member = schema.payload
    if member is None:
        if not body.strip() or not schema.body:
            return {}
        raw = raw_structure(schema.type, parse_xml(body))
        return {member.field: raw[member.xml] for member in schema.body if member.xml in raw}
    if isinstance(member.node, Blob):
        return {member.field: body} if body or member.required else {}
    if not body.strip() or member.event_stream:
        return {}
    return {member.field: _payload(member, body)}


def _payload(member: Member, body: bytes) -> object:
    if isinstance(member.node, Text):
        try:
            return body.decode("utf-8")
        except UnicodeDecodeError:
            raise malformed_xml() from None
    root = parse_xml(body)
    # The root's name is not looked at: S3 takes CompleteMultipartUpload under several.
    return raw_value(member.node, root)


def _content(operation: Operation, output: Shape) -> tuple[str | None, bytes]:
    schema = schema_of(type(output))
    payload = schema.payload
    if payload is None:
        root = _root(operation, output, schema)
        return (_XML[1], _document(root)) if root else (None, b"")
    value = getattr(output, payload.field)
    if value is None:
        return None, b""
    if isinstance(value, Shape):
        return _XML[1], _document(member_xml(payload, value))
    if isinstance(value, bytes):
        return "binary/octet-stream", value
    return "application/json", scalar_text(payload.node, value).encode("utf-8")


def _root(operation: Operation, output: Shape, schema: Schema) -> str:
    if not schema.body:
        return ""
    name = _ROOTS.get(operation.name, f"{operation.name}Result")
    if operation.name == "GetBucketLocation":
        # The region stands in the root itself, which the model cannot say.
        region = getattr(output, schema.body[0].field) or ""
        return element(name, escape(region), _NAMESPACE)
    return element(name, members_xml(output, schema.body), _NAMESPACE)


def _document(root: str) -> bytes:
    return (DECLARATION + root).encode("utf-8")
