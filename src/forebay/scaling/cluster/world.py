"""What all controllers work with: the objects, time, chance, the node around them, and the recorder of events."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from forebay.core.clock import Clock
from forebay.core.ids import Ids
from forebay.operations.platform import Platform
from forebay.scaling.cluster.kinds import EMPTY, EVENTS, Object, Resource
from forebay.scaling.cluster.objects import (
    Index,
    Objects,
    Writer,
    instant,
    name_of,
    namespace_of,
    precise_instant,
    uid_of,
)
from forebay.scaling.policies.outcome import Condition, Event

_MESSAGE_MAX = 1024


class Recorder:
    """Writes events about objects; the same event again is counted, not repeated."""

    def __init__(self, objects: Objects, clock: Clock) -> None:
        self._objects = objects
        self._clock = clock

    async def record(
        self, resource: Resource, thing: Object, events: Sequence[Event], component: str, *, field_path: str = ""
    ) -> None:
        """Write events about an object, in one commit."""
        if events:
            made = self.made(resource, thing, events, component, field_path=field_path)
            await self._objects.write(lambda writer: put_events(writer, made))

    def made(
        self, resource: Resource, thing: Object, events: Sequence[Event], component: str, *, field_path: str = ""
    ) -> list[Object]:
        """Return events to be put in the transaction of what they tell of."""
        now = self._clock.now()
        return [_event(resource, thing, event, component, now, field_path) for event in events]


def put_events(writer: Writer, made: Sequence[Object]) -> None:
    """Put events, or count those that are there already."""
    for each in made:
        before = writer.find(EVENTS, namespace_of(each), name_of(each))
        if before is None:
            writer.create(EVENTS, each)
        else:
            again = {**before, "count": int(before.get("count", 1)) + 1, "lastTimestamp": each["lastTimestamp"]}
            writer.update(EVENTS, again, before)


def _event(
    resource: Resource, thing: Object, event: Event, component: str, now: float, field_path: str
) -> Object:  # fmt: skip
    marks = "\0".join((uid_of(thing), event.type, event.reason, event.message, component, field_path))
    digest = hashlib.sha256(marks.encode()).hexdigest()[:16]
    involved = {
        "kind": resource.kind,
        "namespace": namespace_of(thing),
        "name": name_of(thing),
        "uid": uid_of(thing),
        "apiVersion": resource.api_version,
        "resourceVersion": thing["metadata"].get("resourceVersion", ""),
    }
    if field_path:
        involved["fieldPath"] = field_path
    return {
        "apiVersion": "v1",
        "kind": "Event",
        # Events about what lies in no namespace lie in the default one.
        "metadata": {"name": f"{name_of(thing)}.{digest}", "namespace": namespace_of(thing) or "default"},
        "involvedObject": involved,
        "reason": event.reason,
        "message": event.message[:_MESSAGE_MAX],
        "type": event.type,
        "count": 1,
        "firstTimestamp": instant(now),
        "lastTimestamp": instant(now),
        "eventTime": precise_instant(now) if component == "default-scheduler" else None,
        "source": {"component": component},
        "reportingComponent": component,
        "reportingInstance": "",
    }


@dataclass(frozen=True)
class World:
    """The cluster as its controllers see it."""

    platform: Platform
    objects: Objects
    recorder: Recorder

    @property
    def index(self) -> Index:
        """The objects in memory."""
        return self.objects.index

    @property
    def clock(self) -> Clock:
        """The node's clock."""
        return self.platform.clock

    @property
    def ids(self) -> Ids:
        """The source of ids."""
        return self.platform.ids

    def now(self) -> float:
        """Return the time in seconds since the epoch."""
        return self.platform.clock.now()


def condition_of(thing: Object, kind: str) -> Object:
    """Return a condition of an object's status, empty where it has none of that type."""
    status = cast("Object", thing.get("status") or EMPTY)
    conditions = cast("list[Object]", status.get("conditions") or [])
    return next((each for each in conditions if each.get("type") == kind), EMPTY)


def is_condition_true(thing: Object, kind: str) -> bool:
    """Return whether a condition holds."""
    return condition_of(thing, kind).get("status") == "True"


def set_conditions(status: Object, conditions: Sequence[Condition], now: float, *, updated: bool = False) -> None:
    """Put conditions into a status; the time of transition changes only where the status of one does."""
    kept = cast("list[Object]", status.setdefault("conditions", []))
    for condition in conditions:
        old = next((each for each in kept if each["type"] == condition.type), None)
        new: Object = {
            "type": condition.type,
            "status": condition.status,
            "reason": condition.reason,
            "message": condition.message,
            "lastTransitionTime": instant(now),
        }
        if old is not None and old["status"] == condition.status:
            new["lastTransitionTime"] = old.get("lastTransitionTime", instant(now))
        if updated:
            is_same = old is not None and {**old, "lastUpdateTime": None} == {**new, "lastUpdateTime": None}
            new["lastUpdateTime"] = old["lastUpdateTime"] if old is not None and is_same else instant(now)
        if not condition.reason:
            del new["reason"], new["message"]
        if old is None:
            kept.append(new)
        else:
            kept[kept.index(old)] = new
