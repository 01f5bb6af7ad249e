"""Operations on a function's versions: publish, list."""

from forebay.api import lambda_ as api
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.lambda_.address import load_function, parse_unqualified
from forebay.services.lambda_.errors import check_revision, invalid, not_implemented
from forebay.services.lambda_.function import VERSION, base64_digest, show
from forebay.services.lambda_.functions import UNSEEN
from forebay.services.lambda_.pages import page
from forebay.services.lambda_.releases import publish
from forebay.store.records import key_prefix


@operation
def publish_version(call: Call, request: api.PublishVersionRequest) -> api.FunctionConfiguration:
    """Make a version of the latest code and configuration; if neither has changed, return the newest version."""
    address = parse_unqualified(call, request.function_name)
    if request.publish_to:
        raise not_implemented("PublishTo of versions is not implemented by Forebay.")
    function = load_function(call, address)
    check_revision(request.revision_id, function.latest.revision)
    current = base64_digest(function.latest.code)
    if request.code_sha256 and request.code_sha256 != current:
        raise invalid(
            f"CodeSHA256 ({request.code_sha256}) is different from current CodeSHA256 in $LATEST ({current}). "
            "Please try again with the CodeSHA256 in $LATEST."
        )
    version = publish(call, function, request.description)
    return show(version, version.arn)


@operation(readonly=True)
def list_versions_by_function(
    call: Call, request: api.ListVersionsByFunctionRequest
) -> api.ListVersionsByFunctionResponse:
    """List a function's versions, the latest first and then by number."""
    address = parse_unqualified(call, request.function_name)
    function = load_function(call, address)
    published = [version for _, version in call.reader.list(VERSION, key_prefix(address.key))]
    versions = [function.latest, *published]
    items, marker = page(versions, lambda version: version.version.zfill(10), request.marker, request.max_items)
    return api.ListVersionsByFunctionResponse(
        versions=[show(version, version.arn, **UNSEEN) for version in items], next_marker=marker
    )
