"""A parameter of Parameter Store and its versions: names, selectors, values, labels, and where they stand."""

import re
from collections.abc import Mapping, Sequence

import msgspec

from forebay.api import ssm as api
from forebay.core.arn import Arn
from forebay.core.errors import ServiceError
from forebay.operations.call import Call
from forebay.services.ssm import limits
from forebay.store.records import Kind, key_prefix, record_key

_NAME = re.compile(r"[A-Za-z0-9_.\-/]+")
_LABEL = re.compile(r"[A-Za-z0-9_.\-]+")
_LABEL_BAD_STARTS = ("aws", "ssm")
KEY_DEFAULT = "alias/aws/ssm"
SECURE = "SecureString"


class Version(msgspec.Struct, frozen=True):
    """One version of a parameter. `opaque` stands for a secure value where it is not to be shown."""

    number: int
    value: str
    type: api.ParameterType
    modified_at: float
    modified_by: str
    tier: api.ParameterTier = "Standard"
    data_type: str = "text"
    description: str | None = None
    key_id: str | None = None
    allowed_pattern: str | None = None
    opaque: str = ""

    def shown(self, *, with_decryption: bool | None) -> str:
        """Return the value as it is answered."""
        return self.value if self.type != SECURE or with_decryption else self.opaque


class Parameter(msgspec.Struct, frozen=True):
    """A parameter with its latest version; the others stand beside it. `labels` name version numbers."""

    account: str
    region: str
    name: str
    latest: Version
    labels: Mapping[str, int] = {}
    tags: Mapping[str, str] = {}

    @property
    def arn(self) -> str:
        """The parameter's ARN."""
        slash = "" if self.name.startswith("/") else "/"
        return str(Arn.of("ssm", self.region, self.account, f"parameter{slash}{self.name}"))

    def labels_of(self, number: int) -> list[str]:
        """Return the labels of a version."""
        return sorted(label for label, version in self.labels.items() if version == number)

    def described(
        self, version: Version, *, with_decryption: bool | None, selector: str | None = None
    ) -> api.Parameter:
        """Return a version with its value in AWS's form."""
        return api.Parameter(
            name=self.name,
            type=version.type,
            value=version.shown(with_decryption=with_decryption),
            version=version.number,
            selector=selector,
            last_modified_date=version.modified_at,
            arn=self.arn,
            data_type=version.data_type,
        )

    def metadata(self) -> api.ParameterMetadata:
        """Return the latest version without its value in AWS's form."""
        latest = self.latest
        return api.ParameterMetadata(
            name=self.name,
            arn=self.arn,
            type=latest.type,
            key_id=latest.key_id,
            last_modified_date=latest.modified_at,
            last_modified_user=latest.modified_by,
            description=latest.description,
            allowed_pattern=latest.allowed_pattern,
            version=latest.number,
            tier=latest.tier,
            policies=[],
            data_type=latest.data_type,
        )

    def history(self, version: Version, *, with_decryption: bool | None) -> api.ParameterHistory:
        """Return a version with all that is known of it in AWS's form."""
        return api.ParameterHistory(
            name=self.name,
            type=version.type,
            key_id=version.key_id,
            last_modified_date=version.modified_at,
            last_modified_user=version.modified_by,
            description=version.description,
            value=version.shown(with_decryption=with_decryption),
            allowed_pattern=version.allowed_pattern,
            version=version.number,
            labels=self.labels_of(version.number),
            tier=version.tier,
            policies=[],
            data_type=version.data_type,
        )


PARAMETER = Kind("ssm.parameter", Parameter)
"""Records under account, region and name."""

OLDER = Kind("ssm.older_version", Version)
"""Versions before the latest, under account, region, name and number."""


def parameter_key(call: Call, name: str) -> str:
    """Return the key of a parameter of the caller's account and region."""
    return record_key(call.account, call.region, name)


def older_key(call: Call, name: str, number: int) -> str:
    """Return the key of a version before the latest."""
    return record_key(call.account, call.region, name, f"{number:010d}")


def older_versions(call: Call, name: str) -> Sequence[Version]:
    """Return the versions before the latest, the oldest first."""
    return [version for _, version in call.reader.list(OLDER, key_prefix(call.account, call.region, name))]


def find_parameter(call: Call, name: str) -> Parameter | None:
    """Return a parameter by name or ARN, or None."""
    found = call.reader.find(PARAMETER, parameter_key(call, name_of(name)))
    if found is None and name.startswith("arn:"):
        # The ARN of `a` is that of `/a`.
        return call.reader.find(PARAMETER, parameter_key(call, "/" + name_of(name)))
    return found


def load_parameter(call: Call, name: str) -> Parameter:
    """Return a parameter by name or ARN.

    Raises:
        ParameterNotFound: there is none; AWS's error has no text.
    """
    parameter = find_parameter(call, name)
    if parameter is None:
        raise api.ParameterNotFound
    return parameter


def put_parameter_record(call: Call, parameter: Parameter) -> None:
    """Keep a parameter."""
    call.records.put(PARAMETER, parameter_key(call, parameter.name), parameter)


def name_of(text: str) -> str:
    """Return the name in a name or ARN."""
    if not text.startswith("arn:"):
        return text
    try:
        resource = Arn.parse(text).resource
    except ValueError:
        return text
    path = resource.removeprefix("parameter/")
    # An ARN does not tell `/a` from `a`; a path has more than one level or begins with a slash.
    return f"/{path}" if "/" in path else path


def split_selector(text: str) -> tuple[str, str | None]:
    """Part a name or ARN from the version number or label behind its colon."""
    head, marker, base = text.partition(":parameter")
    if not marker or not text.startswith("arn:"):
        # What only begins like an ARN names nothing, with or without a selector.
        head, marker, base = "", "", text
    name, colon, selector = base.partition(":")
    return head + marker + name, selector if colon else None


def check_name(name: str) -> None:
    """Check a new parameter's name.

    Raises:
        ServiceError: ValidationException, AccessDeniedException or HierarchyLevelLimitExceededException.
    """
    first = name.strip("/").split("/", 1)[0].lower()
    if first.startswith("aws"):
        raise ServiceError.of("AccessDeniedException", f"No access to reserved parameter name: {name}.")
    if _NAME.fullmatch(name) is None or first.startswith("ssm") or not first or name.endswith("/") or "//" in name:
        raise _invalid(
            'Parameter name: can\'t be prefixed with "ssm" (case-insensitive). If formed as a path, it can consist of '
            "sub-paths divided by slash symbol; each sub-path can be formed as a mix of letters, numbers and the "
            "following 3 symbols .-_"
        )
    if "/" in name and not name.startswith("/"):
        raise _invalid("Parameter name must be a fully qualified name.")
    if len(name) > limits.NAME_CHARACTERS_MAX:
        raise _invalid(f"Parameter name can't be longer than {limits.NAME_CHARACTERS_MAX} characters.")
    if name.count("/") > limits.HIERARCHY_LEVELS_MAX:
        text = f"The hierarchy can have a maximum of {limits.HIERARCHY_LEVELS_MAX} levels."
        raise api.HierarchyLevelLimitExceededException(text)


def check_path(path: str) -> None:
    """Check the path of a hierarchy.

    Raises:
        ServiceError: ValidationException.
    """
    if not path.startswith("/") or _NAME.fullmatch(path) is None:
        raise _invalid(
            "The parameter doesn't meet the parameter name requirements. The parameter name must begin with a forward "
            'slash "/". It can\'t be prefixed with \\"aws\\" or \\"ssm\\" (case-insensitive). It must use only '
            "letters, numbers, or the following symbols: . (period), - (hyphen), _ (underscore). Special characters "
            'are not allowed. All sub-paths, if specified, must use the forward slash symbol "/". Valid example: '
            "/get/parameters2-/by1./path0_."
        )


def tier_for(value: str, asked: api.ParameterTier | None, current: api.ParameterTier | None) -> api.ParameterTier:
    """Return the tier a value takes.

    Raises:
        ServiceError: ValidationException, the value is too long for its tier.
    """
    tier = asked or current or "Standard"
    if current == "Advanced" and tier == "Standard":
        raise _invalid("This parameter uses the advanced-parameter tier. You can't downgrade it to the standard tier.")
    if tier == "Intelligent-Tiering":
        tier = "Advanced" if len(value) > limits.STANDARD_VALUE_CHARACTERS_MAX else current or "Standard"
    if tier == "Standard" and len(value) > limits.STANDARD_VALUE_CHARACTERS_MAX:
        raise _invalid(
            "Standard tier parameters support a maximum parameter value of 4096 characters. To create a larger "
            "parameter value, upgrade the parameter to use the advanced-parameter tier. For more information, see "
            "https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html"
        )
    if len(value) > limits.ADVANCED_VALUE_CHARACTERS_MAX:
        raise _invalid("Advanced tier parameters support a maximum parameter value of 8192 characters.")
    return tier


def check_value(value: str, allowed_pattern: str | None) -> None:
    """Check a value.

    Raises:
        ParameterPatternMismatchException: it does not match the pattern.
        ServiceError: ValidationException or InvalidAllowedPatternException.
    """
    if not value:
        raise _invalid(
            "1 validation error detected: Value '' at 'value' failed to satisfy constraint: Member must have length "
            "greater than or equal to 1."
        )
    if not allowed_pattern:
        return
    try:
        matches = re.search(allowed_pattern, value) is not None
    except re.error as error:
        raise api.InvalidAllowedPatternException(f"Invalid regular expression: {error}") from None
    if not matches:
        text = f"Parameter value, cannot be validated against allowedPattern: {allowed_pattern}"
        raise api.ParameterPatternMismatchException(text)


def is_valid_label(label: str) -> bool:
    """Return whether a label is one ("Labeling parameters", Systems Manager user guide)."""
    return (
        _LABEL.fullmatch(label) is not None
        and len(label) <= limits.LABEL_CHARACTERS_MAX
        and not label[0].isdecimal()
        and not label.lower().startswith(_LABEL_BAD_STARTS)
    )


def find_version(call: Call, parameter: Parameter, number: int) -> Version:
    """Return a version by number.

    Raises:
        ParameterVersionNotFound: there is none.
    """
    if number == parameter.latest.number:
        return parameter.latest
    version = call.reader.find(OLDER, older_key(call, parameter.name, number))
    if version is None:
        text = f"Systems Manager could not find version {number} of {parameter.name}. Verify the version and try again."
        raise api.ParameterVersionNotFound(text)
    return version


def select_version(call: Call, parameter: Parameter, selector: str | None) -> Version:
    """Return the version that a selector names: a number or a label; without one, the latest.

    Raises:
        ParameterVersionNotFound: there is none.
    """
    if selector is None:
        return parameter.latest
    if selector.isdecimal():
        return find_version(call, parameter, int(selector))
    if selector not in parameter.labels:
        text = f"Systems Manager could not find label {selector} of {parameter.name}. Verify the label and try again."
        raise api.ParameterVersionNotFound(text)
    return find_version(call, parameter, parameter.labels[selector])


def _invalid(text: str) -> ServiceError:
    return ServiceError.of("ValidationException", text)
