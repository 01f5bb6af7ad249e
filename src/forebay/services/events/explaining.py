"""Which rules of a bus an event would match, and why the others would not: for people, without putting the event."""

from collections.abc import Mapping

from forebay.core.clock import Clock
from forebay.operations.call import Caller
from forebay.services.events.bus import BusAddress
from forebay.services.events.errors import no_bus, validation_error
from forebay.services.events.event import Event, read_document
from forebay.services.events.router import reason
from forebay.services.events.rule_index import RuleIndex


class Explaining:
    """Explains rules' verdicts."""

    def __init__(self, clock: Clock, index: RuleIndex) -> None:
        self._clock = clock
        self._index = index

    async def explain(self, caller: Caller, query: Mapping[str, str]) -> object:
        """Answer `/_forebay/events/explain`: a verdict of each rule of `bus` (or of `rule` alone) on `event`.

        What the event lacks of an envelope is filled in; a text without `detail` is a detail.

        Raises:
            ValidationException: the event is no JSON object.
            ResourceNotFoundException: there is no such bus.
        """
        given = read_document(query.get("event", ""))
        if given is None:
            raise validation_error("Parameter Event is not valid.")
        envelope: dict[str, object] = {
            "version": "0",
            "id": "",
            "account": caller.account,
            "region": caller.region,
            "resources": [],
        }
        document = {**envelope, **(given if "detail" in given else {"detail": given})}
        address = BusAddress.read(query.get("bus") or None, caller.account, caller.region)
        rules = await self._index.find(address)
        if rules is None:
            raise no_bus(address.name)
        fields = rules.fields_of(Event("", "", document, self._clock.now()))
        matched = rules.match(fields)
        verdicts = [{"name": rule.name, "arn": rule.arn, "matches": True, "reason": ""} for rule in matched]
        verdicts += [
            {"name": rule.name, "arn": rule.arn, "matches": False, "reason": reason(rule, mismatches)}
            for rule, mismatches in rules.explain(fields, matched)
        ]
        wanted = query.get("rule")
        return {"rules": [one for one in verdicts if wanted in {None, one["name"]}]}
