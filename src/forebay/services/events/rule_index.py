"""The rules and archives of each bus, compiled: what an event is matched against without a look into the store.

A bus is compiled when its first event comes, and kept up to date by the store's commits: before PutRule has answered,
its rule is here.
"""

from collections.abc import Iterator, Sequence

import msgspec

from forebay.languages.event_pattern import Fields, Mismatch, Pattern, RuleSet, explain_fields, parse_pattern
from forebay.services.events.archive import ARCHIVE, Archive, CompiledArchive, compile_archive
from forebay.services.events.bus import BUS, DEFAULT, BusAddress, EventBus
from forebay.services.events.bus_log import BusLog, log_of
from forebay.services.events.event import REPLAY_NAME, Event
from forebay.services.events.rule import RULE, Rule
from forebay.services.events.rule_target import RuleTarget, compile_target
from forebay.store.contract import Store, View
from forebay.store.records import key_parts, key_prefix, record_key


class CompiledRule(msgspec.Struct, frozen=True):
    """A rule ready for events. `pattern` None: it runs by its schedule only."""

    arn: str
    name: str
    is_enabled: bool
    pattern: Pattern | None
    targets: tuple[RuleTarget, ...]


class BusRules:
    """The compiled rules and archives of one bus, by the keys of their records; and its log, if it has one."""

    def __init__(self, bus_arn: str) -> None:
        self.bus_arn = bus_arn
        self.log: BusLog | None = None
        self.rules: dict[str, CompiledRule] = {}
        self._set: RuleSet[str] = RuleSet()
        self.archives: dict[str, CompiledArchive] = {}
        self._archives_set: RuleSet[str] = RuleSet()

    def put(self, key: str, rule: Rule) -> None:
        """Add a rule, or replace it."""
        compiled = compile_rule(rule)
        self.rules[key] = compiled
        if compiled.is_enabled and compiled.pattern is not None:
            self._set.add(key, compiled.pattern)
        else:
            self._set.remove(key)

    def remove(self, key: str) -> None:
        """Forget a rule."""
        self.rules.pop(key, None)
        self._set.remove(key)

    def fields_of(self, event: Event) -> Fields:
        """Return an event as far as the rules look at it, for `match` and `explain`."""
        return self._set.fields_of(event.document)

    def match(self, fields: Fields) -> list[CompiledRule]:
        """Return the enabled rules whose pattern an event matches."""
        return [self.rules[key] for key in self._set.match_fields(fields)]

    def put_archive(self, key: str, archive: Archive) -> None:
        """Add an archive, or replace it."""
        compiled = self.archives[key] = compile_archive(archive)
        if compiled.pattern is None:
            self._archives_set.remove(key)
        else:
            self._archives_set.add(key, compiled.pattern)

    def remove_archive(self, key: str) -> None:
        """Forget an archive; one that is not the bus's is no error."""
        self.archives.pop(key, None)
        self._archives_set.remove(key)

    def match_archives(self, event: Event) -> list[CompiledArchive]:
        """Return the archives that take an event.

        AWS's own rule behind each archive matches events without `replay-name` only: "Replayed events are not sent to
        an archive" (CreateArchive).
        """
        if not self.archives or REPLAY_NAME in event.document:
            return []
        matched = set(self._archives_set.match(event.document)) if len(self._archives_set) else frozenset[str]()
        return [archive for key, archive in self.archives.items() if archive.pattern is None or key in matched]

    def explain(
        self, fields: Fields, matched: Sequence[CompiledRule]
    ) -> Iterator[tuple[CompiledRule, Sequence[Mismatch]]]:
        """Yield the other rules with a pattern, and why it did not match; nothing for those that are disabled."""
        taken = {rule.arn for rule in matched}
        for rule in self.rules.values():
            if rule.pattern is not None and rule.arn not in taken:
                yield rule, explain_fields(rule.pattern, fields) if rule.is_enabled else ()


class RuleIndex:
    """Finds the compiled rules of a bus."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._buses: dict[str, BusRules] = {}
        # Counts changes, so that a bus is not compiled from rules that changed meanwhile.
        self._changes = 0
        store.watch(RULE, self._rule_changed)
        store.watch(BUS, self._bus_changed)
        store.watch(ARCHIVE, self._archive_changed)

    async def find(self, address: BusAddress) -> BusRules | None:
        """Return the rules of a bus, or None where there is no such bus."""
        key = address.key()
        found = self._buses.get(key)
        if found is not None:
            return found
        if address.name != DEFAULT and await self._store.find(BUS, key) is None:
            return None
        return await self._compile(address)

    async def _compile(self, address: BusAddress) -> BusRules:
        key = address.key()
        prefix = key_prefix(*key_parts(key)[:-1])

        def read(view: View) -> tuple[EventBus | None, Sequence[tuple[str, Rule]], Sequence[tuple[str, Archive]]]:
            records = view.records
            return records.find(BUS, key), records.list(RULE, key_prefix(key)), records.list(ARCHIVE, prefix)

        while True:
            changes = self._changes
            bus, records, archives = await self._store.view(read)
            if changes == self._changes:
                break
        rules = self._buses[key] = BusRules(address.arn())
        rules.log = log_of(bus)
        for rule_key, rule in records:
            rules.put(rule_key, rule)
        for archive_key, archive in archives:
            if archive.address().key() == key:
                rules.put_archive(archive_key, archive)
        return rules

    def _rule_changed(self, key: str, rule: Rule | None) -> None:
        self._changes += 1
        rules = self._buses.get(record_key(*key_parts(key)[:-1]))
        if rules is None:
            return
        if rule is None:
            rules.remove(key)
        else:
            rules.put(key, rule)

    def _archive_changed(self, key: str, archive: Archive | None) -> None:
        self._changes += 1
        if archive is None:
            for rules in self._buses.values():
                rules.remove_archive(key)
        elif (rules := self._buses.get(archive.address().key())) is not None:
            rules.put_archive(key, archive)

    def _bus_changed(self, key: str, bus: EventBus | None) -> None:
        self._changes += 1
        if bus is None:
            self._buses.pop(key, None)
        elif (rules := self._buses.get(key)) is not None:
            rules.log = log_of(bus)


def compile_rule(rule: Rule) -> CompiledRule:
    """Return a rule ready for events."""
    return CompiledRule(
        rule.arn(),
        rule.name,
        rule.is_enabled,
        parse_pattern(rule.pattern) if rule.pattern else None,
        tuple(compile_target(target, rule.tags) for target in rule.targets),
    )
