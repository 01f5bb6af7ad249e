"""Names and ARNs of Step Functions' resources, parsed once at the edge."""

import re

import msgspec

from forebay.api import stepfunctions as api
from forebay.core.arn import Arn
from forebay.operations.call import Call
from forebay.services.stepfunctions import limits
from forebay.store.records import key_prefix, record_key

# CreateStateMachine: "A name must not contain white space, brackets, wildcard characters, special characters, control
# characters, surrogates or invalid characters".
_FORBIDDEN = re.compile(
    '[\\s<>{}\\[\\]?*"#%\\\\^|~`$&,;:/\\x00-\\x1f\\x7f-\\x9f\\ufffe\\uffff\\ud800-\\udfff\U0010ffff]'
)
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/.+")
_MACHINE = "stateMachine"
_ACTIVITY = "activity"


class MachineName(msgspec.Struct, frozen=True):
    """A state machine's place and name, with what an ARN may add: a version or alias, or the label of a Map state."""

    account: str
    region: str
    name: str
    qualifier: str | None = None
    label: str | None = None

    def key(self) -> str:
        """Return the key of the state machine's record."""
        return record_key(self.account, self.region, self.name)

    def prefix(self) -> str:
        """Return the beginning of the keys of what belongs to the state machine."""
        return key_prefix(self.account, self.region, self.name)

    def base(self) -> "MachineName":
        """Return the state machine itself."""
        return MachineName(self.account, self.region, self.name)

    def qualified(self, qualifier: str) -> "MachineName":
        """Return a version or alias of it."""
        return MachineName(self.account, self.region, self.name, qualifier)

    @property
    def version(self) -> int | None:
        """The number of the version that is named, or None."""
        return int(self.qualifier) if self.qualifier is not None and self.qualifier.isdecimal() else None

    def arn(self) -> str:
        """Return the ARN with all that it adds."""
        suffix = f":{self.qualifier}" if self.qualifier is not None else ""
        suffix = f"/{self.label}" if self.label is not None else suffix
        return str(Arn.of("states", self.region, self.account, f"{_MACHINE}:{self.name}{suffix}"))


class ExecutionName(msgspec.Struct, frozen=True):
    """An execution's place and name. `label` is of a Map state whose child it is; `express_id` of an Express one."""

    account: str
    region: str
    machine: str
    name: str
    label: str | None = None
    express_id: str | None = None

    def arn(self) -> str:
        """Return the ARN."""
        kind = "execution" if self.express_id is None else "express"
        machine = self.machine if self.label is None else f"{self.machine}/{self.label}"
        suffix = "" if self.express_id is None else f":{self.express_id}"
        return str(Arn.of("states", self.region, self.account, f"{kind}:{machine}:{self.name}{suffix}"))

    def key(self) -> str:
        """Return the key of the execution's rows, timers and history."""
        machine = self.machine if self.label is None else f"{self.machine}/{self.label}"
        suffix = () if self.express_id is None else (self.express_id,)
        return record_key(self.account, self.region, machine, self.name, *suffix)

    def machine_name(self) -> MachineName:
        """Return the state machine that it is of."""
        return MachineName(self.account, self.region, self.machine, None, self.label)


class ActivityName(msgspec.Struct, frozen=True):
    """An activity's place and name."""

    account: str
    region: str
    name: str

    def key(self) -> str:
        """Return the key of the activity's record."""
        return record_key(self.account, self.region, self.name)

    def arn(self) -> str:
        """Return the ARN."""
        return str(Arn.of("states", self.region, self.account, f"{_ACTIVITY}:{self.name}"))


class MapRunName(msgspec.Struct, frozen=True):
    """A map run's place and id."""

    account: str
    region: str
    machine: str
    label: str
    run_id: str

    def arn(self) -> str:
        """Return the ARN."""
        return str(Arn.of("states", self.region, self.account, f"mapRun:{self.machine}/{self.label}:{self.run_id}"))

    def key(self) -> str:
        """Return the key of the map run's row."""
        return record_key(self.account, self.region, self.machine, self.label, self.run_id)


def check_name(name: str) -> None:
    """Check the name of a state machine, execution or activity.

    Raises:
        InvalidName: it has characters that names must not have.
    """
    if len(name) > limits.NAME_CHARACTERS_MAX or _FORBIDDEN.search(name):
        raise api.InvalidName(f"Invalid Name: '{name}'")


def check_role(arn: str) -> None:
    """Check that an ARN is one of a role.

    Raises:
        InvalidArn: it is not.
    """
    if _ROLE.fullmatch(arn) is None:
        raise api.InvalidArn(f"Invalid Role Arn: '{arn}'")


def machine_name(text: str) -> MachineName:
    """Parse the ARN of a state machine, a version, an alias or a labelled Map state.

    Raises:
        InvalidArn: it is none of these.
    """
    arn = _states_arn(text)
    kind, _, rest = arn.resource.partition(":")
    if kind != _MACHINE:
        raise _wrong_type(kind)
    name, _, qualifier = rest.partition(":")
    name, slash, label = name.partition("/")
    if not name or (slash and not label) or (":" in rest and not qualifier) or ":" in qualifier:
        raise api.InvalidArn(f"Invalid Arn: 'Invalid ARN prefix: {text}'")
    return MachineName(arn.account, arn.region, name, qualifier or None, label or None)


def unlabelled(text: str) -> MachineName:
    """Parse the ARN of a state machine, a version or an alias.

    Raises:
        InvalidArn: it is none of these.
        ValidationException: it names a Map state by its label.
    """
    machine = machine_name(text)
    if machine.label is not None:
        raise api.ValidationException(
            "This operation does not support state machine ARNs that are qualified with a Map state label.",
            reason="API_DOES_NOT_SUPPORT_LABELED_ARNS",
        )
    return machine


def execution_name(text: str) -> ExecutionName:
    """Parse the ARN of an execution.

    Raises:
        InvalidArn: it is not one.
    """
    arn = _states_arn(text)
    kind, _, rest = arn.resource.partition(":")
    if kind not in {"execution", "express"}:
        raise _wrong_type(kind)
    parts = rest.split(":")
    if len(parts) != (2 if kind == "execution" else 3) or not all(parts):
        raise api.InvalidArn(f"Invalid Arn: 'Invalid ARN prefix: {text}'")
    machine, _, label = parts[0].partition("/")
    express_id = parts[2] if kind == "express" else None
    return ExecutionName(arn.account, arn.region, machine, parts[1], label or None, express_id)


def standard_execution_name(text: str) -> ExecutionName:
    """Parse the ARN of an execution of a Standard state machine.

    Raises:
        InvalidArn: it is none, or of an Express one.
    """
    execution = execution_name(text)
    if execution.express_id is not None:
        raise _wrong_type("express")
    return execution


def activity_name(text: str) -> ActivityName:
    """Parse the ARN of an activity.

    Raises:
        InvalidArn: it is not one.
    """
    arn = _states_arn(text)
    kind, _, name = arn.resource.partition(":")
    if kind != _ACTIVITY or not name:
        raise _wrong_type(kind)
    return ActivityName(arn.account, arn.region, name)


def map_run_name(text: str) -> MapRunName:
    """Parse the ARN of a map run.

    Raises:
        InvalidArn: it is not one.
    """
    arn = _states_arn(text)
    kind, _, rest = arn.resource.partition(":")
    machine, _, run = rest.partition("/")
    label, _, run_id = run.partition(":")
    if kind != "mapRun" or not (machine and label and run_id):
        raise _wrong_type(kind)
    return MapRunName(arn.account, arn.region, machine, label, run_id)


def own_machine(call: Call, name: str) -> MachineName:
    """Return the name of a state machine in the caller's account and region."""
    return MachineName(call.account, call.region, name)


def _states_arn(text: str) -> Arn:
    try:
        arn = Arn.parse(text)
    except ValueError:
        raise api.InvalidArn(f"Invalid Arn: 'Invalid ARN prefix: {text}'") from None
    if arn.service != "states" or not arn.region or not arn.account:
        raise api.InvalidArn(f"Invalid Arn: 'Invalid ARN prefix: {text}'")
    return arn


def _wrong_type(kind: str) -> api.InvalidArn:
    return api.InvalidArn(f"Invalid Arn: 'Resource type not valid in this context: {kind}'")
