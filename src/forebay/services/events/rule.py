"""A rule as it is kept, with its targets, and what may be in one.

A rule and its targets (five at most) are one record, so they change together and are found with one look.
"""

import msgspec

from forebay.api import events as api
from forebay.core.arn import Arn
from forebay.languages.cron import Cron, InvalidSchedule, Rate, parse_schedule
from forebay.languages.event_pattern import InvalidPattern, Pattern, parse_pattern
from forebay.operations.call import Call
from forebay.services.events.bus import DEFAULT, BusAddress, load_bus
from forebay.services.events.errors import malformed_arn, no_rule, validation_error
from forebay.store.records import Kind, record_key

DISABLED = "DISABLED"


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule. `scheduled_from` is when its schedule began to run, in seconds since the epoch."""

    account: str
    region: str
    bus: str
    name: str
    state: api.RuleState = "ENABLED"
    pattern: str | None = None
    schedule: str | None = None
    scheduled_from: float = 0.0
    description: str | None = None
    role: str | None = None
    targets: tuple[api.Target, ...] = ()
    tags: dict[str, str] = {}
    managed_by: str | None = None

    @property
    def is_enabled(self) -> bool:
        """Whether the rule matches events and its schedule runs."""
        return self.state != DISABLED

    def address(self) -> BusAddress:
        """Return where the rule's bus is."""
        return BusAddress(self.account, self.region, self.bus)

    def key(self) -> str:
        """Return the key of the rule's record."""
        return rule_key(self.address(), self.name)

    def arn(self) -> str:
        """Return the rule's ARN, which names the bus unless that is the default one."""
        resource = f"rule/{self.name}" if self.bus == DEFAULT else f"rule/{self.bus}/{self.name}"
        return str(Arn.of("events", self.region, self.account, resource))


class RuleCount(msgspec.Struct, frozen=True):
    """How many rules a bus has, kept with every change."""

    rules: int


RULE = Kind("events.rule", Rule)
RULE_COUNT = Kind("events.rule_count", RuleCount)


def rule_key(bus: BusAddress, name: str) -> str:
    """Return the key of a rule's record."""
    return record_key(bus.key(), name)


def load_rule(call: Call, bus: BusAddress, name: str) -> Rule:
    """Return a rule inside a transaction or view.

    Raises:
        ResourceNotFoundException: there is no such rule, or no such bus.
    """
    rule = call.reader.find(RULE, rule_key(bus, name))
    if rule is None:
        load_bus(call, bus)
        raise no_rule(name, bus.name)
    return rule


def check_rule(request: api.PutRuleRequest, bus: BusAddress) -> None:
    """Check what a rule is to be.

    Raises:
        ValidationException: it has neither pattern nor schedule, or a schedule that is wrong or on a custom bus.
        InvalidEventPatternException: the pattern is none; the text says where it goes wrong.
    """
    schedule, pattern = request.schedule_expression, request.event_pattern
    if not schedule and not pattern:
        raise validation_error("Parameter(s) EventPattern or ScheduleExpression must be specified.")
    if schedule is not None and bus.name != DEFAULT:
        # Also where it is empty, as AWS does.
        raise validation_error("ScheduleExpression is supported only on the default event bus.")
    if schedule:
        _check_schedule(schedule)
    if pattern:
        read_pattern(pattern)
    if request.role_arn is not None:
        _check_role(request.role_arn)


def read_pattern(text: str) -> Pattern:
    """Return an event pattern that a caller gave.

    Raises:
        InvalidEventPatternException: the text is none.
    """
    try:
        return parse_pattern(text)
    except InvalidPattern as error:
        raise api.InvalidEventPatternException(f"Event pattern is not valid. Reason: {error.reason}") from None


def schedule_of(rule: Rule) -> Rate | Cron | None:
    """Return the schedule by which an enabled rule runs, if it has one."""
    return parse_schedule(rule.schedule) if rule.schedule and rule.is_enabled else None


def _check_schedule(text: str) -> None:
    try:
        parse_schedule(text)
    except InvalidSchedule:
        raise validation_error("Parameter ScheduleExpression is not valid.") from None


def _check_role(text: str) -> None:
    try:
        arn = Arn.parse(text)
    except ValueError:
        raise malformed_arn(text) from None
    if arn.service != "iam" or not arn.resource.startswith("role/"):
        raise malformed_arn(text)
