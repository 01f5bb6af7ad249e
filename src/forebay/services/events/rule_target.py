"""What a rule sends to one of its targets, and how: checked when the target is put, compiled when events flow."""

import json
from collections.abc import Callable, Mapping

import msgspec

from forebay.api import events as api
from forebay.core.arn import Arn
from forebay.delivery.contract import RetryPolicy, Throttle
from forebay.languages.input_transformer import InvalidTemplate, Reserved, Transformer
from forebay.languages.json_path import MISSING, InvalidJsonPath, JsonPath
from forebay.languages.json_tokens import InvalidJson, place_of, scan
from forebay.operations.universal import is_universal
from forebay.services.events import limits
from forebay.services.events.dead_letter import check_dead_letter
from forebay.services.events.errors import malformed_arn, validation_error
from forebay.services.events.event import Event
from forebay.services.events.throttle import throttle_of

# Those that EventBridge calls in a role's name only ("RoleArn is required for target ...").
_WITH_ROLE = frozenset({
    "states", "kinesis", "firehose", "ecs", "batch", "codebuild", "codepipeline", "sagemaker", "redshift-data",
    # Operations of the node.
    "scheduler",
})  # fmt: skip
_COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))

# The parameter of a delivery that holds what a target adds to the HTTP request, as JSON.
HTTP = "HttpParameters"

Shape = Callable[[Event, Reserved], str]
"""Make the payload of an event for a target."""


class RuleTarget(msgspec.Struct, frozen=True):
    """A target ready for events. `shape` None sends the event as it is."""

    arn: str
    shape: Shape | None
    retry: RetryPolicy
    dead_letter: str | None
    group: str | None
    http: Callable[[Event], str] | None = None
    # In whose name an operation of the node is run.
    role: str | None = None
    throttle: Throttle | None = None


def check_target(target: api.Target) -> None:
    """Check a target of a rule.

    Raises:
        ValidationException: in AWS's words where they are known.
    """
    arn = _read_arn(target.arn)
    given = [text for text in (target.input, target.input_path, target.input_transformer) if text is not None]
    if len(given) > 1:
        raise validation_error(
            f"Only one of Input, InputPath, or InputTransformer must be provided for target {target.id}."
        )
    if given and arn.service == "events" and arn.resource.startswith("event-bus/"):
        # AWS says so for buses of other accounts (PutTargets); an event that is not one cannot be put on any bus.
        raise validation_error(f"Input, InputPath, and InputTransformer are not supported for target {target.id}.")
    _check_input(target)
    if arn.service == "sqs":
        parameters = target.sqs_parameters
        if arn.resource.endswith(".fifo") and (parameters is None or not parameters.message_group_id):
            raise validation_error(f"Parameter(s) SqsParameters must be specified for target: {target.id}.")
    elif target.sqs_parameters is not None:
        raise validation_error(f"Parameter(s) SqsParameters not valid for target: {target.id}.")
    is_destination = arn.service == "events" and arn.resource.startswith("api-destination/")
    if (arn.service in _WITH_ROLE or is_destination) and target.role_arn is None:
        raise validation_error(f"RoleArn is required for target {target.arn}.")
    if arn.service == "logs" and target.role_arn is not None:
        raise validation_error(f"RoleArn is not supported for target {target.id}.")
    check_dead_letter(target.dead_letter_config, f" for target {target.id}")


def compile_target(target: api.Target, tags: Mapping[str, str]) -> RuleTarget:
    """Return a target that has been checked, ready for events; its rule's tags may preset a rate."""
    retry = target.retry_policy or api.RetryPolicy()
    attempts, age_seconds = retry.maximum_retry_attempts, retry.maximum_event_age_in_seconds
    dead_letter = target.dead_letter_config
    parameters = target.sqs_parameters
    return RuleTarget(
        arn=target.arn,
        shape=_shape(target),
        retry=RetryPolicy(
            limits.RETRY_ATTEMPTS if attempts is None else attempts,
            limits.EVENT_AGE_SECONDS if age_seconds is None else age_seconds,
        ),
        dead_letter=None if dead_letter is None else dead_letter.arn,
        group=None if parameters is None else parameters.message_group_id or None,
        http=None if target.http_parameters is None else _http(target.http_parameters),
        role=target.role_arn if is_universal(target.arn) else None,
        throttle=throttle_of(tags, target.id),
    )


def _read_arn(text: str) -> Arn:
    try:
        return Arn.parse(text)
    except ValueError:
        raise malformed_arn(text) from None


def _check_input(target: api.Target) -> None:
    if target.input is not None:
        _check_json(target.input, target.id)
    if target.input_path is not None:
        _read_path(target.input_path, "InputPath", target.id)
    transformer = target.input_transformer
    if transformer is None:
        return
    for path in (transformer.input_paths_map or {}).values():
        _read_path(path, "InputPathsMap", target.id)
    try:
        Transformer.parse(transformer.input_paths_map or {}, transformer.input_template)
    except InvalidTemplate as error:
        raise validation_error(error.text_for(target.id)) from None


def _check_json(text: str, target_id: str) -> None:
    """Check that a text is one JSON value, as Jackson would."""
    try:
        tokens = list(scan(text))
        place = None if tokens and not text[tokens[-1].end :].strip() else place_of(text, len(text))
    except InvalidJson as error:
        place = error.place
    if place is not None:
        raise validation_error(f"JSON syntax error in input for target {target_id}: {place}")


def _read_path(text: str, member: str, target_id: str) -> None:
    try:
        JsonPath.parse(text)
    except InvalidJsonPath:
        raise validation_error(f"Invalid {member} for target {target_id} : {text}.") from None


def _shape(target: api.Target) -> Shape | None:
    if target.input is not None:
        constant = target.input
        return lambda _event, _reserved: constant
    if target.input_path is not None:
        path = JsonPath.parse(target.input_path)
        return lambda event, _reserved: _found(path.find(event.document))
    if target.input_transformer is not None:
        given = target.input_transformer
        transformer = Transformer.parse(given.input_paths_map or {}, given.input_template)
        return lambda event, reserved: transformer.apply(event.document, reserved)
    return None


def _http(given: api.HttpParameters) -> Callable[[Event], str]:
    """Return what makes a target's HTTP parameters for an event; values that are paths are found in it."""

    def fill(text: str, event: Event) -> str:
        if not text.startswith("$."):
            return text
        try:
            found = JsonPath.parse(text).find(event.document)
        except InvalidJsonPath:
            return text
        return found if isinstance(found, str) else "" if found is MISSING else _COMPACT.encode(found)

    def make(event: Event) -> str:
        filled = api.HttpParameters(
            path_parameter_values=[fill(text, event) for text in given.path_parameter_values or ()],
            header_parameters={name: fill(text, event) for name, text in (given.header_parameters or {}).items()},
            query_string_parameters={
                name: fill(text, event) for name, text in (given.query_string_parameters or {}).items()
            },
        )
        return msgspec.json.encode(filled).decode()

    return make


def _found(value: object) -> str:
    return "null" if value is MISSING else _COMPACT.encode(value)
