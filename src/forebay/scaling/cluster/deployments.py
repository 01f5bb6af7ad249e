"""Deployments: one replica set for each version of their pods, and the way from one version to the next.

The steps, their bounds and their words are those of Kubernetes' deployment controller (`pkg/controller/deployment`).
"""

import copy
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import msgspec

from forebay.scaling.cluster.kinds import DEPLOYMENTS, EMPTY, PODS, REPLICA_SETS, Object
from forebay.scaling.cluster.objects import (
    annotations_of,
    is_deleting,
    name_of,
    namespace_of,
    owner_reference,
    parse_instant,
    uid_of,
)
from forebay.scaling.cluster.world import World, condition_of, set_conditions
from forebay.scaling.policies.outcome import Condition, Event

_COMPONENT = "deployment-controller"
_REVISION = "deployment.kubernetes.io/revision"
_HASH = "pod-template-hash"
_SAFE_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


@dataclass(frozen=True)
class Rollout:
    """A deployment with its replica sets at one moment."""

    deployment: Object
    new: Object | None
    old: Sequence[Object]

    @property
    def wanted(self) -> int:
        """The number of replicas that the deployment wants."""
        return int(self.deployment["spec"].get("replicas", 1))

    @property
    def all(self) -> list[Object]:
        """All replica sets."""
        return [*self.old, *([self.new] if self.new else [])]

    def bounds(self) -> tuple[int, int]:
        """Return how many pods may be more and how many fewer than wanted."""
        strategy = cast("Object", self.deployment["spec"].get("strategy") or EMPTY)
        if strategy.get("type") == "Recreate":
            return 0, self.wanted
        rolling = cast("Object", strategy.get("rollingUpdate") or EMPTY)
        surge = resolve(rolling.get("maxSurge", "25%"), self.wanted, up=True)
        unavailable = resolve(rolling.get("maxUnavailable", "25%"), self.wanted, up=False)
        return surge, 1 if surge == 0 and unavailable == 0 else unavailable


class Deployments:
    """Moves each deployment's replica sets to where they should be. A `Worker`."""

    name = "kubernetes.deployments"

    def __init__(self, world: World) -> None:
        self._world = world

    async def run_once(self) -> float:
        """Look at every deployment once."""
        due = float("inf")
        for deployment in self._world.index.all(DEPLOYMENTS):
            if not is_deleting(deployment):
                due = min(due, await self._sync(deployment))
        return due

    async def _sync(self, deployment: Object) -> float:
        rollout = self._look(deployment)
        if not deployment["spec"].get("paused"):
            await self._advance(rollout)
            await self._forget(self._look(deployment))
        return await self._tell(self._look(deployment))

    async def _advance(self, rollout: Rollout) -> None:
        """Take the next step towards the version that is wanted."""
        if rollout.new is None:
            await self._create(rollout)
            return
        await self._renumber(rollout, rollout.new)
        await (self._recreate(rollout) if self._is_recreated(rollout) else self._roll(rollout))

    def _look(self, deployment: Object) -> Rollout:
        sets = self._world.index.owned(REPLICA_SETS, deployment)
        sets.sort(key=lambda each: each["metadata"]["creationTimestamp"])
        new = next((each for each in sets if _template(each) == deployment["spec"]["template"]), None)
        return Rollout(deployment, new, [each for each in sets if each is not new])

    def _is_recreated(self, rollout: Rollout) -> bool:
        return (rollout.deployment["spec"].get("strategy") or EMPTY).get("type") == "Recreate"

    async def _create(self, rollout: Rollout) -> None:
        """Make the replica set of the version that is wanted, with as many pods as there is room for."""
        deployment = rollout.deployment
        if self._is_recreated(rollout) and rollout.old and any(_replicas(each) for each in rollout.old):
            await self._recreate(rollout)
            return
        surge, _ = rollout.bounds()
        room = rollout.wanted + surge - sum(_replicas(each) for each in rollout.old)
        replicas = max(0, min(rollout.wanted, room)) if rollout.old else rollout.wanted
        template = copy.deepcopy(deployment["spec"]["template"])
        digest = template_hash(deployment["spec"]["template"])
        labels = template.setdefault("metadata", {}).setdefault("labels", {})
        labels[_HASH] = digest
        selector = copy.deepcopy(deployment["spec"]["selector"])
        selector.setdefault("matchLabels", {})[_HASH] = digest
        revision = 1 + max((int(annotations_of(each).get(_REVISION, "0")) for each in rollout.old), default=0)
        made: Object = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": f"{name_of(deployment)}-{digest}",
                "namespace": namespace_of(deployment),
                "labels": dict(labels),
                "annotations": {
                    "deployment.kubernetes.io/desired-replicas": str(rollout.wanted),
                    "deployment.kubernetes.io/max-replicas": str(rollout.wanted + surge),
                    _REVISION: str(revision),
                },
                "ownerReferences": [owner_reference(DEPLOYMENTS, deployment)],
            },
            "spec": {"replicas": replicas, "selector": selector, "template": template},
        }
        if deployment["spec"].get("minReadySeconds"):
            made["spec"]["minReadySeconds"] = deployment["spec"]["minReadySeconds"]
        await self._world.objects.create(REPLICA_SETS, [made])
        await self._mark_revision(deployment, revision)
        if replicas:
            await self._tell_scaled(deployment, made["metadata"]["name"], 0, replicas)

    async def _renumber(self, rollout: Rollout, new: Object) -> None:
        """Give a version that has come back (an undo) the newest number."""
        newest = max((int(annotations_of(each).get(_REVISION, "0")) for each in rollout.old), default=0)
        if int(annotations_of(new).get(_REVISION, "0")) > newest:
            return

        def change(thing: Object) -> None:
            thing["metadata"].setdefault("annotations", {})[_REVISION] = str(newest + 1)

        await self._world.objects.change(REPLICA_SETS, new, change)
        await self._mark_revision(rollout.deployment, newest + 1)

    async def _mark_revision(self, deployment: Object, revision: int) -> None:
        def change(thing: Object) -> None:
            thing["metadata"].setdefault("annotations", {})[_REVISION] = str(revision)

        await self._world.objects.change(DEPLOYMENTS, deployment, change)

    async def _recreate(self, rollout: Rollout) -> None:
        for each in rollout.old:
            await self._scale(rollout, each, 0)
        uids = {uid_of(each) for each in rollout.old}
        everything = self._world.index.all(PODS, namespace_of(rollout.deployment))
        remaining = [
            pod for pod in everything for ref in pod["metadata"].get("ownerReferences") or () if ref["uid"] in uids
        ]
        if rollout.new is not None and not remaining:
            await self._scale(rollout, rollout.new, rollout.wanted)

    async def _roll(self, rollout: Rollout) -> None:
        """Take one step of a rolling update; without older pods, that is scaling."""
        new = rollout.new
        assert new is not None
        surge, unavailable = rollout.bounds()
        olds = [each for each in rollout.old if _replicas(each)]
        if not olds:
            await self._scale(rollout, new, rollout.wanted)
            return
        total = sum(_replicas(each) for each in rollout.all)
        if _replicas(new) < rollout.wanted:
            room = max(0, rollout.wanted + surge - total)
            await self._scale(rollout, new, _replicas(new) + min(room, rollout.wanted - _replicas(new)))
            new = self._world.index.find(REPLICA_SETS, namespace_of(new), name_of(new)) or new
        elif _replicas(new) > rollout.wanted:
            await self._scale(rollout, new, rollout.wanted)
        await self._shrink(rollout, olds, new, unavailable)

    async def _shrink(self, rollout: Rollout, olds: Sequence[Object], new: Object, unavailable: int) -> None:
        """Take pods from older versions: those that are of no use first, then as many as may be missing."""
        minimum = rollout.wanted - unavailable
        total = sum(_replicas(each) for each in (*olds, new))
        spare = total - minimum - (_replicas(new) - _available(new))
        if spare <= 0:
            return
        left = dict.fromkeys((name_of(each) for each in olds), 0)
        for each in olds:
            useless = max(0, min(_replicas(each) - _available(each), spare))
            left[name_of(each)] = _replicas(each) - useless
            spare -= useless
        available = sum(_available(each) for each in (*olds, new))
        more = min(spare, max(0, available - minimum))
        for each in olds:
            count = min(left[name_of(each)], more)
            more -= count
            await self._scale(rollout, each, left[name_of(each)] - count)

    async def _scale(self, rollout: Rollout, replica_set: Object, replicas: int) -> None:
        before = _replicas(replica_set)
        surge, _ = rollout.bounds()
        marks = {
            "deployment.kubernetes.io/desired-replicas": str(rollout.wanted),
            "deployment.kubernetes.io/max-replicas": str(rollout.wanted + surge),
        }
        if before == replicas and annotations_of(replica_set).items() >= marks.items():
            return

        def change(thing: Object) -> None:
            thing["spec"]["replicas"] = replicas
            thing["metadata"].setdefault("annotations", {}).update(marks)

        await self._world.objects.change(REPLICA_SETS, replica_set, change)
        if before != replicas:
            await self._tell_scaled(rollout.deployment, name_of(replica_set), before, replicas)

    async def _tell_scaled(self, deployment: Object, name: str, before: int, after: int) -> None:
        way = "up" if after > before else "down"
        text = f"Scaled {way} replica set {name} from {before} to {after}"
        event = Event("Normal", "ScalingReplicaSet", text)
        await self._world.recorder.record(DEPLOYMENTS, deployment, [event], _COMPONENT)

    async def _forget(self, rollout: Rollout) -> None:
        """Delete the oldest replica sets that hold nothing, past what the history keeps."""
        limit = rollout.deployment["spec"].get("revisionHistoryLimit", 10)
        empty = [each for each in rollout.old if not _replicas(each) and not _status(each).get("replicas")]
        for each in empty[: max(0, len(empty) - limit)]:
            await self._world.objects.delete(REPLICA_SETS, each)

    # --- status ---

    async def _tell(self, rollout: Rollout) -> float:
        now = self._world.now()
        deployment = self._world.index.find(DEPLOYMENTS, namespace_of(rollout.deployment), name_of(rollout.deployment))
        if deployment is None:
            return float("inf")
        due = float("inf")
        conditions, due = _conditions(rollout, now)

        def change(thing: Object) -> None:
            status = cast("Object", thing.get("status") or EMPTY)
            thing["status"] = _numbers(rollout, thing) | {"conditions": copy.deepcopy(status.get("conditions") or [])}
            set_conditions(thing["status"], conditions, now, updated=True)

        trial = copy.deepcopy(deployment)
        change(trial)
        if trial != deployment:
            await self._world.objects.change(DEPLOYMENTS, deployment, change)
        return due


def _numbers(rollout: Rollout, thing: Object) -> Object:
    replicas = sum(int(_status(each).get("replicas", 0)) for each in rollout.all)
    available = sum(_available(each) for each in rollout.all)
    numbers = {
        "replicas": replicas,
        "updatedReplicas": int(_status(rollout.new).get("replicas", 0)),
        "readyReplicas": sum(int(_status(each).get("readyReplicas", 0)) for each in rollout.all),
        "availableReplicas": available,
        "unavailableReplicas": max(0, sum(_replicas(each) for each in rollout.all) - available),
    }
    kept: Object = {name: number for name, number in numbers.items() if number}
    return {"observedGeneration": thing["metadata"].get("generation", 1), **kept}


def _conditions(rollout: Rollout, now: float) -> tuple[list[Condition], float]:
    _, unavailable = rollout.bounds()
    available = sum(_available(each) for each in rollout.all)
    if available >= rollout.wanted - unavailable:
        text = "Deployment has minimum availability."
        found = [Condition("Available", "True", "MinimumReplicasAvailable", text)]
    else:
        text = "Deployment does not have minimum availability."
        found = [Condition("Available", "False", "MinimumReplicasUnavailable", text)]
    new = rollout.new
    if new is None:
        return found, float("inf")
    name = f'ReplicaSet "{name_of(new)}"'
    is_complete = (
        int(_status(new).get("replicas", 0)) == rollout.wanted
        and _available(new) == rollout.wanted
        and not any(_status(each).get("replicas") for each in rollout.old)
    )
    if is_complete:
        text = f"{name} has successfully progressed."
        return [*found, Condition("Progressing", "True", "NewReplicaSetAvailable", text)], float("inf")
    old = condition_of(rollout.deployment, "Progressing")
    if old.get("reason") == "NewReplicaSetAvailable" and not any(_replicas(each) for each in rollout.old):
        # Scaling a version that is out already is no rollout.
        return found, float("inf")
    deadline = int(rollout.deployment["spec"].get("progressDeadlineSeconds") or 600)
    since = parse_instant(old.get("lastUpdateTime")) or now
    if now - since >= deadline and old:
        text = f"{name} has timed out progressing."
        return [*found, Condition("Progressing", "False", "ProgressDeadlineExceeded", text)], float("inf")
    return [*found, Condition("Progressing", "True", "ReplicaSetUpdated", f"{name} is progressing.")], (
        since + deadline - now
    )


def resolve(value: Any, total: int, *, up: bool) -> int:
    """Return a number that may be given as a percentage of a total."""
    if isinstance(value, str) and value.endswith("%"):
        share = int(value[:-1]) * total / 100
        return math.ceil(share) if up else math.floor(share)
    return int(value)


def template_hash(template: Object) -> str:
    """Return the short name of a pod template's content."""
    digest = hashlib.sha256(msgspec.json.encode(template, order="sorted")).digest()
    return "".join(_SAFE_LETTERS[byte % len(_SAFE_LETTERS)] for byte in digest[:10])


def _template(replica_set: Object) -> Object:
    """Return a replica set's template as the deployment wrote it."""
    template = copy.deepcopy(replica_set["spec"]["template"])
    template["metadata"]["labels"].pop(_HASH, None)
    return template


def _status(thing: Object | None) -> Object:
    return EMPTY if thing is None else cast("Object", thing.get("status") or EMPTY)


def _replicas(replica_set: Object) -> int:
    return int(replica_set["spec"].get("replicas", 0))


def _available(replica_set: Object) -> int:
    return int(_status(replica_set).get("availableReplicas", 0))
