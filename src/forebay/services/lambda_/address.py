"""Which function a request names: by name, by partial or whole ARN, with or without a qualifier."""

import re

import msgspec

from forebay.core.arn import Arn
from forebay.operations.call import Call
from forebay.services.lambda_.errors import broken_constraint, function_not_found, invalid, not_found
from forebay.services.lambda_.function import FUNCTION, LATEST, VERSION, Function, Version, function_arn, version_key
from forebay.services.lambda_.limits import NAME_CHARACTERS_MAX
from forebay.store.records import record_key

_NAME = re.compile(
    r"(?:arn:(?:aws[a-zA-Z-]*)?:lambda:)?(?:([a-z]{2}(?:-[a-z]+)+-\d):)?(?:(\d{12}):)?(?:function:)?"
    r"([a-zA-Z0-9_.-]+)(?::(\$LATEST|[a-zA-Z0-9_-]+))?"
)


class FunctionAddress(msgspec.Struct, frozen=True):
    """A function and, perhaps, a qualifier: a version's number, an alias, or `$LATEST`."""

    account: str
    region: str
    name: str
    qualifier: str | None = None

    @property
    def key(self) -> str:
        """The key of the function's record."""
        return record_key(self.account, self.region, self.name)

    @property
    def function_arn(self) -> str:
        """The ARN without the qualifier."""
        return function_arn(self.account, self.region, self.name)

    @property
    def arn(self) -> str:
        """The ARN as the caller means it."""
        return self.function_arn if self.qualifier is None else f"{self.function_arn}:{self.qualifier}"

    @property
    def is_latest(self) -> bool:
        """Whether the version that can change is meant."""
        return self.qualifier is None or self.qualifier == LATEST


def parse_address(call: Call, text: str, qualifier: str | None = None) -> FunctionAddress:
    """Return the function that a `FunctionName` (and a `Qualifier`) names.

    Raises:
        InvalidParameterValueException: name and `Qualifier` contradict each other.
        ValidationException: the name is too long or no name at all.
        ResourceNotFoundException: it is in another region or account.
    """
    match = _NAME.fullmatch(text)
    if match is None:
        raise broken_constraint(
            text, "functionName", f"Member must satisfy regular expression pattern: {_NAME.pattern}"
        )
    region, account, name, inline = match.groups()
    if len(name) > NAME_CHARACTERS_MAX:
        limit = f"Member must have length less than or equal to {NAME_CHARACTERS_MAX}"
        raise broken_constraint(name, "functionName", limit)
    if inline and qualifier and inline != qualifier:
        raise invalid("The derived qualifier from the function name does not match the specified qualifier.")
    address = FunctionAddress(account or call.account, region or call.region, name, qualifier or inline)
    if address.region != call.region:
        raise not_found(f"Functions from '{address.region}' are not reachable in this region ('{call.region}')")
    if address.account != call.account:
        raise function_not_found(address.arn)
    return address


def parse_unqualified(call: Call, text: str) -> FunctionAddress:
    """Return the function that a name without a qualifier names, for operations on the whole function.

    Raises:
        InvalidParameterValueException: it has one; and as `parse_address`.
    """
    address = parse_address(call, text)
    if address.qualifier not in {None, LATEST}:
        raise invalid("This operation is permitted on Lambda functions only. Remove the qualifier from the name.")
    return msgspec.structs.replace(address, qualifier=None)


def address_of(arn: str) -> FunctionAddress | None:
    """Return the function that an ARN names, or None where it is no function's."""
    try:
        parsed = Arn.parse(arn)
    except ValueError:
        return None
    kind, _, rest = parsed.resource.partition(":")
    name, _, qualifier = rest.partition(":")
    if parsed.service != "lambda" or kind != "function" or not name:
        return None
    return FunctionAddress(parsed.account, parsed.region, name, qualifier or None)


def load_function(call: Call, address: FunctionAddress) -> Function:
    """Return a function inside a transaction or view.

    Raises:
        ResourceNotFoundException: there is none.
    """
    function = call.reader.find(FUNCTION, address.key)
    if function is None:
        raise function_not_found(address.arn)
    return function


def load_number(call: Call, address: FunctionAddress, function: Function) -> Version:
    """Return the version that a qualifier names by number, or the latest one.

    Raises:
        ResourceNotFoundException: there is none.
    """
    if address.is_latest:
        return function.latest
    assert address.qualifier is not None
    version = None
    if address.qualifier.isdecimal():
        version = call.reader.find(VERSION, version_key(address.key, address.qualifier))
    if version is None:
        raise function_not_found(address.arn)
    return version
