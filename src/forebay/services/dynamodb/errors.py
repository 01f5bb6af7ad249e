"""Answers that several of DynamoDB's operations give."""

from forebay.api import dynamodb as api
from forebay.core.arn import Arn
from forebay.core.errors import ServiceError
from forebay.languages.dynamodb.errors import invalid
from forebay.operations.call import Call


def no_resource() -> ServiceError:
    """Return the answer of operations on items where there is no such table."""
    return api.ResourceNotFoundException("Requested resource not found")


def no_table(name: str) -> ServiceError:
    """Return the answer of operations on tables where there is no such table."""
    return api.ResourceNotFoundException(f"Requested resource not found: Table: {name} not found")


def key_mismatch() -> ServiceError:
    """Return the answer to a key that is not one of the table."""
    return invalid("The provided key element does not match the schema")


def empty_key(name: str, kind: str) -> ServiceError:
    """Return the answer to a key attribute without content."""
    word = "string" if kind == "S" else "binary"
    return invalid(
        "One or more parameter values are not valid. The AttributeValue for a key attribute "
        f"cannot contain an empty {word} value. Key: {name}"
    )


def not_implemented(what: str) -> ServiceError:
    """Return the answer that names what this DynamoDB does not do."""
    return ServiceError.of("NotImplemented", f"{what} is not implemented by Forebay.", 501)


def check_own(call: Call, arn: Arn) -> None:
    """Refuse what belongs to another account: policies that would allow it are kept, but not decided by."""
    if arn.account != call.account:
        text = f"User: {call.caller.principal} is not authorized to access this resource: {arn}"
        raise ServiceError.of("AccessDeniedException", text)
