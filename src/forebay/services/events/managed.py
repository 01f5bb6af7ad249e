"""The rules that AWS manages: one for each archive, listed with the bus's own and not to be changed.

They are not kept: an archive stands for its rule. Events reach archives without them (`rule_index`).
"""

import json

from forebay.api import events as api
from forebay.operations.call import Call
from forebay.services.events.archive import ARCHIVE, Archive
from forebay.services.events.bus import BusAddress
from forebay.services.events.event import REPLAY_NAME
from forebay.services.events.rule import RULE, Rule, load_rule, rule_key
from forebay.store.records import key_prefix, record_key

_PREFIX = "Events-Archive-"
MANAGED_BY = "prod.vhs.events.aws.internal"


def rules_of(call: Call, address: BusAddress) -> list[Rule]:
    """Return the rules of a bus by name, its archives' among them."""
    own = [rule for _, rule in call.reader.list(RULE, key_prefix(address.key()))]
    archives = [archive for _, archive in call.reader.list(ARCHIVE, key_prefix(address.account, address.region))]
    managed = [archive_rule(archive) for archive in archives if archive.bus == address.name]
    return sorted([*own, *managed], key=lambda rule: rule.name) if managed else own


def load_any_rule(call: Call, address: BusAddress, name: str) -> Rule:
    """Return a rule of a bus, which may be an archive's.

    Raises:
        ResourceNotFoundException: there is no such rule.
    """
    return _find_managed(call, address, name) or load_rule(call, address, name)


def check_own(call: Call, address: BusAddress, name: str, *, forces: bool | None = True) -> None:
    """Check that a rule is not one that AWS manages; `forces` is what a request says where it may say so.

    An archive's rule goes with the archive only, also by force.

    Raises:
        ManagedRuleException: it is.
    """
    if _find_managed(call, address, name) is None:
        return
    if not forces:
        raise api.ManagedRuleException(f"{name} is a managed rule. Set 'force' parameter to true to override.")
    # AWS's text is not known.
    raise api.ManagedRuleException(f"Rule {name} is managed by {MANAGED_BY} and can not be modified.")


def archive_rule(archive: Archive) -> Rule:
    """Return the rule that stands behind an archive, with the target that AWS shows."""
    pattern = {**json.loads(archive.pattern or "{}"), REPLAY_NAME: [{"exists": False}]}
    name = _PREFIX + archive.name
    template = (
        f'{{"archive-arn": "{archive.arn()}:{archive.log}", "event": <aws.events.event.json>, '
        '"ingestion-time": <aws.events.event.ingestion-time>}'
    )
    target = api.Target(
        id=name,
        arn=f"arn:aws:events:{archive.region}:::",
        input_transformer=api.InputTransformer(input_paths_map={}, input_template=template),
    )
    return Rule(
        account=archive.account,
        region=archive.region,
        bus=archive.bus,
        name=name,
        pattern=json.dumps(pattern, separators=(",", ":")),
        targets=(target,),
        managed_by=MANAGED_BY,
    )


def _find_managed(call: Call, address: BusAddress, name: str) -> Rule | None:
    if not name.startswith(_PREFIX) or call.reader.find(RULE, rule_key(address, name)) is not None:
        return None
    key = record_key(address.account, address.region, name.removeprefix(_PREFIX))
    archive = call.reader.find(ARCHIVE, key)
    return archive_rule(archive) if archive is not None and archive.bus == address.name else None
