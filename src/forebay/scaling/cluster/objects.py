"""The store of objects: every write is one transaction that puts the object and appends the change to a log.

The position in that log is the `resourceVersion`, of the whole cluster and in order, so a watch is a reading of the log
from a position on. What is stored is also kept in memory (`Index`), following the commits of the store, because
controllers look at everything again and again.
"""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

import msgspec

from forebay.core.clock import Clock
from forebay.core.ids import Ids
from forebay.scaling.cluster.kinds import BY_PATH, EMPTY, EVENTS, NAMESPACES, NEW_EVENTS, PODS, Object, Resource
from forebay.scaling.cluster.status import already_exists, conflict, not_found
from forebay.store.commands import AppendLog, LogEntry
from forebay.store.contract import Store, Transaction
from forebay.store.records import Kind, key_parts, record_key

T = TypeVar("T")

OBJECT: Kind[Object] = Kind("kubernetes.object", dict[str, Any])
REVISION: Kind[int] = Kind("kubernetes.revision", int)
CHANGES = "kubernetes.changes"

# How long changes are kept for watches that come back; etcd's compaction in a cluster is at five minutes.
CHANGE_SECONDS = 3600
_CORE_GROUP = "core"
_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"

ADDED, MODIFIED, DELETED = "ADDED", "MODIFIED", "DELETED"


class Change(msgspec.Struct, frozen=True):
    """One entry of the log; `before` is what selectors saw of the object, where that has changed."""

    type: str
    resource: str
    object: Object
    before: Object | None = None


@dataclass(frozen=True)
class Deletion:
    """How an object is to be deleted: Kubernetes' DeleteOptions, as far as they matter here."""

    grace_seconds: int | None = None
    propagation: str = "Background"
    uid: str | None = None
    resource_version: str | None = None


def instant(seconds: float) -> str:
    """Return a moment as Kubernetes writes it, to the second."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def precise_instant(seconds: float) -> str:
    """Return a moment with microseconds, as leases and newer events write it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_instant(text: str | None) -> float | None:
    """Return the seconds since the epoch of a moment, or None where there is none."""
    return None if not text else datetime.fromisoformat(text).timestamp()


def name_of(thing: Object) -> str:
    """Return an object's name."""
    return thing["metadata"]["name"]


def namespace_of(thing: Object) -> str:
    """Return an object's namespace; empty for those that have none."""
    return thing["metadata"].get("namespace", "")


def uid_of(thing: Object) -> str:
    """Return an object's uid."""
    return thing["metadata"]["uid"]


def labels_of(thing: Object) -> Mapping[str, str]:
    """Return an object's labels."""
    return thing["metadata"].get("labels") or EMPTY


def annotations_of(thing: Object) -> Mapping[str, str]:
    """Return an object's annotations."""
    return thing["metadata"].get("annotations") or EMPTY


def is_deleting(thing: Object) -> bool:
    """Return whether an object's deletion has begun."""
    return "deletionTimestamp" in thing["metadata"]


def controller_of(thing: Object) -> Object | None:
    """Return the owner reference of the object's controller, or None."""
    references = cast("list[Object]", thing["metadata"].get("ownerReferences") or [])
    return next((reference for reference in references if reference.get("controller")), None)


def owner_reference(resource: Resource, owner: Object) -> Object:
    """Return the reference that makes `owner` the controller of another object."""
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "name": name_of(owner),
        "uid": uid_of(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def object_key(resource: Resource, namespace: str, name: str) -> str:
    """Return the key of an object's record."""
    kept = EVENTS if resource is NEW_EVENTS else resource
    return record_key(kept.group or _CORE_GROUP, kept.plural, namespace, name)


class Index:
    """All objects in memory, as fresh as this node's last commit. What it hands out is not to be changed."""

    def __init__(self) -> None:
        self._objects: dict[str, dict[tuple[str, str], Object]] = {}
        self.revision = 0

    def all(self, resource: Resource, namespace: str = "") -> list[Object]:
        """Return a kind's objects in order of namespace and name; of one namespace, where it is given."""
        found = self._objects.get(_kept_id(resource), {})
        return [found[key] for key in sorted(found) if not namespace or key[0] == namespace]

    def find(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """Return an object, or None."""
        return self._objects.get(_kept_id(resource), {}).get((namespace, name))

    def owned(self, resource: Resource, owner: Object) -> list[Object]:
        """Return the objects of a kind whose controller is `owner`."""
        uid = uid_of(owner)
        mine = self.all(resource, namespace_of(owner))
        return [each for each in mine if (controller_of(each) or EMPTY).get("uid") == uid]

    def take(self, key: str, value: Object | None) -> None:
        """Take over what a commit has changed."""
        group, plural, namespace, name = key_parts(key)
        kept = self._objects.setdefault(f"{group}/{plural}", {})
        if value is None:
            kept.pop((namespace, name), None)
        else:
            kept[namespace, name] = value

    def take_revision(self, value: int | None) -> None:
        """Take over the position of the last change."""
        self.revision = value or 0

    def clear(self) -> None:
        """Forget everything."""
        self._objects.clear()


def _kept_id(resource: Resource) -> str:
    kept = EVENTS if resource is NEW_EVENTS else resource
    return f"{kept.group or _CORE_GROUP}/{kept.plural}"


class Writer:
    """Writing objects inside a transaction. It may be run again on a conflict, so it touches nothing else."""

    def __init__(self, transaction: Transaction, now: float, ids: Ids) -> None:
        self._transaction = transaction
        self._ids = ids
        self.now = now

    def find(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """Return an object as it is in this transaction, to be changed freely."""
        return self._transaction.records.find(OBJECT, object_key(resource, namespace, name))

    def load(self, resource: Resource, namespace: str, name: str) -> Object:
        """Return an object.

        Raises:
            StatusError: there is none.
        """
        found = self.find(resource, namespace, name)
        if found is None:
            raise not_found(resource, name)
        return found

    def create(self, resource: Resource, thing: Object) -> Object:
        """Put a new object under its name, or under one made of its `generateName`.

        Raises:
            StatusError: the name is taken.
        """
        thing = copy.deepcopy(thing)
        metadata = thing["metadata"]
        if not metadata.get("name"):
            metadata["name"] = metadata["generateName"] + self._ids.token(5, _SUFFIX_LETTERS)
        if self.find(resource, namespace_of(thing), name_of(thing)) is not None:
            raise already_exists(resource, name_of(thing))
        metadata.setdefault("uid", self._ids.uuid())
        metadata["creationTimestamp"] = instant(self.now)
        if resource.has_generation:
            metadata["generation"] = 1
        return self._put(resource, thing, ADDED, None)

    def update(self, resource: Resource, thing: Object, before: Object) -> Object:
        """Put a changed object; `before` is what `find` returned. Nothing is written where nothing differs."""
        metadata, old = thing["metadata"], before["metadata"]
        for name in ("uid", "creationTimestamp", "resourceVersion", "generation"):
            if name in old:
                metadata[name] = old[name]
        if _substance(thing) == _substance(before):
            return before
        if resource.has_generation and _wanted(thing) != _wanted(before):
            metadata["generation"] = int(old.get("generation", 0)) + 1
        if _may_go(resource, thing):
            return self._remove(resource, thing)
        return self._put(resource, thing, MODIFIED, before)

    def delete(self, resource: Resource, thing: Object, deletion: Deletion) -> tuple[Object, bool]:
        """Delete an object, or begin to; return it as it is then and whether it is gone.

        Raises:
            StatusError: it is not the one that was meant.
        """
        metadata = thing["metadata"]
        if deletion.uid not in {None, metadata["uid"]}:
            text = f"Precondition failed: UID in precondition: {deletion.uid}, UID in object meta: {metadata['uid']}"
            raise conflict(resource, name_of(thing), text)
        if deletion.resource_version not in {None, metadata["resourceVersion"]}:
            raise conflict(resource, name_of(thing))
        changed = copy.deepcopy(thing)
        grace_seconds = _grace_seconds(resource, thing, deletion)
        finalizers = set(cast("list[str]", metadata.get("finalizers") or []))
        finalizers |= {"Foreground": {"foregroundDeletion"}, "Orphan": {"orphan"}}.get(deletion.propagation, set())
        if resource is NAMESPACES and changed["spec"].get("finalizers"):
            changed["status"] = {"phase": "Terminating"}
        elif grace_seconds == 0 and not finalizers:
            return self._remove(resource, changed), True
        _begin_deletion(changed, self.now, grace_seconds)
        if finalizers:
            changed["metadata"]["finalizers"] = sorted(finalizers)
        return self.update(resource, changed, thing), False

    def _put(self, resource: Resource, thing: Object, kind: str, before: Object | None) -> Object:
        position = self._log(resource, thing, kind, before)
        thing["metadata"]["resourceVersion"] = str(position)
        self._transaction.records.put(OBJECT, object_key(resource, namespace_of(thing), name_of(thing)), thing)
        return thing

    def _remove(self, resource: Resource, thing: Object) -> Object:
        position = self._log(resource, thing, DELETED, None)
        thing["metadata"]["resourceVersion"] = str(position)
        self._transaction.records.delete(OBJECT, object_key(resource, namespace_of(thing), name_of(thing)))
        return thing

    def _log(self, resource: Resource, thing: Object, kind: str, before: Object | None) -> int:
        seen = None if before is None else selectable(before)
        if seen is not None and seen == selectable(thing):
            seen = None
        data = msgspec.json.encode(Change(kind, _kept_id(resource), thing, seen))
        at_ms = int(self.now * 1000)
        entry = LogEntry(at_ms, data, at_ms + CHANGE_SECONDS * 1000)
        position = self._transaction.apply(AppendLog(CHANGES, (entry,)))
        self._transaction.records.put(REVISION, "revision", position)
        return position


class Objects:
    """The cluster's objects: read from memory, written in transactions."""

    def __init__(self, store: Store, clock: Clock, ids: Ids) -> None:
        self.index = Index()
        self.store = store
        self._clock = clock
        self._ids = ids

    async def open(self) -> None:
        """Load what is stored and follow the store from here on."""
        self.store.watch(OBJECT, self.index.take)
        self.store.watch(REVISION, lambda _key, value: self.index.take_revision(value))
        stored, revision = await self.store.view(
            lambda view: (view.records.list(OBJECT), view.records.find(REVISION, "revision"))
        )
        for key, value in stored:
            self.index.take(key, value)
        self.index.take_revision(revision)

    async def write(self, work: Callable[[Writer], T]) -> T:
        """Run `work` in a transaction; durable when it returns."""
        now = self._clock.now()
        return await self.store.transact(lambda transaction: work(Writer(transaction, now, self._ids)))

    async def change(self, resource: Resource, thing: Object, change: Callable[[Object], bool | None]) -> Object | None:
        """Let `change` change the latest version of an object, in place; None where it is gone or another's.

        `change` returns False when there is nothing to be changed after all. It may be run again.
        """

        def work(writer: Writer) -> Object | None:
            before = writer.find(resource, namespace_of(thing), name_of(thing))
            if before is None or uid_of(before) != uid_of(thing):
                return None
            changed = copy.deepcopy(before)
            return before if change(changed) is False else writer.update(resource, changed, before)

        return await self.write(work)

    async def delete(self, resource: Resource, thing: Object, deletion: Deletion | None = None) -> None:
        """Delete an object that may be gone already."""

        def work(writer: Writer) -> None:
            before = writer.find(resource, namespace_of(thing), name_of(thing))
            if before is not None and uid_of(before) == uid_of(thing):
                writer.delete(resource, before, deletion or Deletion())

        await self.write(work)

    async def create(self, resource: Resource, things: Sequence[Object]) -> list[Object]:
        """Create objects in one commit; those whose name is taken are left out of the answer."""

        def work(writer: Writer) -> list[Object]:
            made: list[Object] = []
            for thing in things:
                name = thing["metadata"].get("name")
                if not name or writer.find(resource, namespace_of(thing), name) is None:
                    made.append(writer.create(resource, thing))
            return made

        return await self.write(work) if things else []


def resource_by_id(kept_id: str) -> Resource:
    """Return the resource that a change in the log is of."""
    group, plural = kept_id.split("/")
    return next(each for (g, _, p), each in BY_PATH.items() if (g or _CORE_GROUP) == group and p == plural)


def selectable(thing: Object) -> Object:
    """Return what selectors look at: labels, and the fields by which clients select."""
    metadata = thing["metadata"]
    kept: Object = {"metadata": {name: metadata[name] for name in ("name", "namespace", "labels") if name in metadata}}
    for part, names in (("spec", ("nodeName", "restartPolicy", "schedulerName")), ("status", ("phase",))):
        values = cast("Object", thing.get(part) or EMPTY)
        kept[part] = {name: values[name] for name in names if name in values}
    return kept


def _substance(thing: Object) -> Object:
    """Return an object without what changes although nothing has: version, and times of field ownership."""
    metadata = {key: value for key, value in thing["metadata"].items() if key != "resourceVersion"}
    entries = cast("Iterable[Object]", metadata.get("managedFields") or ())
    metadata["managedFields"] = [{**entry, "time": None} for entry in entries]
    return {**thing, "metadata": metadata}


def _wanted(thing: Object) -> Object:
    return {key: value for key, value in thing.items() if key not in {"metadata", "status"}}


def _may_go(resource: Resource, thing: Object) -> bool:
    """Return whether a deletion that has begun is complete."""
    metadata = thing["metadata"]
    if "deletionTimestamp" not in metadata or metadata.get("finalizers"):
        return False
    if resource is NAMESPACES and thing["spec"].get("finalizers"):
        return False
    return resource is not PODS or metadata.get("deletionGracePeriodSeconds") == 0


def _begin_deletion(thing: Object, now: float, grace_seconds: int) -> None:
    metadata = thing["metadata"]
    until = instant(now + grace_seconds)
    # A second delete may shorten the grace, never extend it.
    metadata["deletionTimestamp"] = min(until, metadata.get("deletionTimestamp", until))
    shortest = min(grace_seconds, metadata.get("deletionGracePeriodSeconds", grace_seconds))
    metadata["deletionGracePeriodSeconds"] = shortest


def _grace_seconds(resource: Resource, thing: Object, deletion: Deletion) -> int:
    if resource is not PODS:
        return 0
    spec, status = thing["spec"], cast("Object", thing.get("status") or EMPTY)
    if not spec.get("nodeName") or status.get("phase") in {"Succeeded", "Failed"}:
        # Nothing runs that would have to be stopped (kubernetes: pod strategy, CheckGracefulDelete).
        return 0
    if deletion.grace_seconds is not None:
        return max(deletion.grace_seconds, 0)
    return int(spec.get("terminationGracePeriodSeconds", 30))


def is_namespaced_away(index: Index, resource: Resource, namespace: str) -> bool:
    """Return whether a namespace is missing that an object would have to lie in."""
    return resource.namespaced and index.find(NAMESPACES, "", namespace) is None
