"""One item's write as a decision: what the commit does to the item it finds, and what is answered.

The decisions are pure. Whatever an item's content makes of a request (a condition that does not hold, an update that
does not fit) is an answer with an error, which refuses the whole command.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from forebay.api import dynamodb as api
from forebay.core.errors import ServiceError
from forebay.languages.dynamodb.condition import Test
from forebay.languages.dynamodb.errors import invalid
from forebay.languages.dynamodb.scope import Values
from forebay.languages.dynamodb.update import CompiledUpdate
from forebay.languages.dynamodb.value import NESTING_MAX, depth_of, item_size
from forebay.languages.dynamodb.value import Item as Attributes
from forebay.operations.call import Call
from forebay.services.dynamodb import limits
from forebay.services.dynamodb.effects import Effects
from forebay.services.dynamodb.layout import Layout, decode_item, encode_item
from forebay.services.dynamodb.measures import TableMeasures
from forebay.store.items import Decide, Decision, Item, ItemKey, ItemWrite, WriteItems

CONDITION_FAILED = "The conditional request failed"


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What became of one item: its content before and after, or why nothing was done."""

    old: Item | None
    new: Item | None
    error: ServiceError | None = None


@dataclass(frozen=True)
class Guard:
    """A condition that the item must meet, with the request's values; `shows_item` gives the item if it does not."""

    test: Test
    values: Values
    shows_item: bool = False

    def failure(self, old: Item | None) -> ServiceError | None:
        """Return the error where the condition does not hold for the item that is there."""
        item: Attributes = {} if old is None else decode_item(old.data)
        if self.test(item, self.values):
            return None
        members: dict[str, Any] = {"item": item} if self.shows_item and old is not None else {}
        return api.ConditionalCheckFailedException(CONDITION_FAILED, **members)


class Write(NamedTuple):
    """An item's write that is ready to be committed; `key_values` has the attributes of its key, at least."""

    layout: Layout
    key: ItemKey
    key_values: Attributes
    decide: Decide
    # About how many bytes it keeps in memory until it is committed.
    weight: int = 0

    def item_write(self) -> ItemWrite:
        """Return it as the store takes it."""
        return ItemWrite(self.layout.number, self.key, self.decide)


def decide_plain_put(stored: Item) -> Decide:
    """Return the decision to put an item, whole, whatever is there."""
    return lambda old: Decision(stored, Outcome(old, stored))


def decide_put(stored: Item, guard: Guard | None, effects: Effects | None) -> Decide:
    """Return the decision to put an item, whole, in place of what is there."""

    def put_if(old: Item | None) -> Decision:
        error = None if guard is None else guard.failure(old)
        if error is not None:
            return _refusal(old, error)
        return Decision(stored, Outcome(old, stored), then=() if effects is None else effects.commands(old, stored))

    return put_if


def decide_delete(guard: Guard | None, effects: Effects | None) -> Decide:
    """Return the decision to delete the item that is there, if one is."""

    def delete(old: Item | None) -> Decision:
        error = None if guard is None else guard.failure(old)
        if error is not None:
            return _refusal(old, error)
        then = () if effects is None else effects.commands(old, None)
        return Decision(None, Outcome(old, None), is_kept=old is None, then=then)

    return delete


def decide_check(guard: Guard) -> Decide:
    """Return the decision to leave an item as it is, if it meets a condition."""

    def check(old: Item | None) -> Decision:
        error = guard.failure(old)
        return _refusal(old, error) if error is not None else Decision(answer=Outcome(old, old), is_kept=True)

    return check


@dataclass(frozen=True)
class Change:
    """An update with the request's values; `update` None only makes sure that the item is there."""

    update: CompiledUpdate | None
    values: Values


def decide_update(
    layout: Layout, key: tuple[ItemKey, Attributes], change: Change, guard: Guard | None, effects: Effects | None
) -> Decide:
    """Return the decision to change the item that is there, or to make one of its key and the changes."""
    item_key, key_values = key

    def update(old: Item | None) -> Decision:
        before = {} if old is None else decode_item(old.data)
        if guard is not None and not guard.test(before, guard.values):
            return _refusal(old, guard.failure(old))
        item = dict(key_values) if old is None else decode_item(old.data)
        try:
            if change.update is not None:
                change.update.apply(before, item, change.values)
            _check_depth(item, change)
            size = item_size(item) if old is None else old.size + _grown(before, item, change)
            if size > limits.ITEM_BYTES_MAX:
                return _refusal(old, invalid("Item size to update has exceeded the maximum allowed size"))
            new = Item(encode_item(item), size, layout.updated_entries(item, item_key))
        except ServiceError as error:
            return _refusal(old, error)
        if old is not None and new.data == old.data:
            return Decision(answer=Outcome(old, old), is_kept=True)
        return Decision(new, Outcome(old, new), then=() if effects is None else effects.commands(old, new))

    return update


def _check_depth(item: Attributes, change: Change) -> None:
    """Refuse maps and lists that an update has put too deep into each other."""
    for name in () if change.update is None else change.update.attributes:
        value = item.get(name)
        if value is not None and ("M" in value or "L" in value) and depth_of(value) > NESTING_MAX:
            raise invalid("Nesting Levels have exceeded supported limits: Attributes")


def _grown(before: Attributes, item: Attributes, change: Change) -> int:
    """Return by how much an item has grown, looking only at the attributes that were changed."""
    if change.update is None:
        return 0
    names = change.update.attributes
    was = item_size({name: before[name] for name in names if name in before})
    return item_size({name: item[name] for name in names if name in item}) - was


def _refusal(old: Item | None, error: ServiceError | None) -> Decision:
    return Decision(answer=Outcome(old, old, error), is_refused=True)


async def commit(call: Call, write: Write) -> Outcome:
    """Commit one item's write and return what became of it; an error is raised."""
    written = await call.run(WriteItems((write.item_write(),), weight=write.weight))
    outcome: Outcome = written.answers[0]
    if outcome.error is not None:
        if outcome.error.code == "ConditionalCheckFailedException":
            call.part(TableMeasures).failed(write.layout)
        raise outcome.error
    return outcome
