"""The scheduler: binds pending pods to nodes, or says why it cannot. The choice is the policy's."""

import asyncio
import copy
from collections.abc import Mapping, Sequence
from typing import cast

from forebay.scaling.cluster.kinds import PODS, Object
from forebay.scaling.cluster.local_node import LocalNode
from forebay.scaling.cluster.objects import Writer, is_deleting, name_of, namespace_of, uid_of
from forebay.scaling.cluster.views import Views, is_pending, pod_key
from forebay.scaling.cluster.world import World, condition_of, put_events, set_conditions
from forebay.scaling.policies.node import NodeView, PodView
from forebay.scaling.policies.outcome import Condition, Event
from forebay.scaling.policies.placement import place
from forebay.scaling.policies.preemption import preempt

_COMPONENT = "default-scheduler"
_SETTLE_SECONDS = 1.0


class Scheduler:
    """Places pods. A `Worker`."""

    name = "kubernetes.scheduler"

    def __init__(self, world: World, views: Views) -> None:
        self._world = world
        self._views = views

    async def run_once(self) -> float:
        """Place all pods that wait."""
        now = self._world.now()
        pending = self._views.pending(now)
        if not pending:
            return float("inf")
        if not LocalNode.is_settled(self._world.index):
            # A pool has come or gone just now; the change of the node wakes this worker.
            return _SETTLE_SECONDS
        nodes = [node for node in self._views.nodes(now) if node.is_ready]
        found = await asyncio.to_thread(place, pending, nodes) if len(pending) > 200 else place(pending, nodes)
        pods = {pod_key(pod): pod for pod in self._world.index.all(PODS) if is_pending(pod)}
        await self._bind({key: node for key, node in found.bound.items() if key in pods}, pods)
        refused = {key: text for key, text in found.unschedulable.items() if key in pods}
        await self._refuse(refused, pods)
        waiting = [view for view in pending if view.name in refused]
        await self._preempt(max(waiting, key=lambda view: view.demand.priority, default=None), nodes, pods)
        return float("inf")

    async def _preempt(self, view: PodView | None, nodes: Sequence[NodeView], pods: Mapping[str, Object]) -> None:
        """Let less important pods make room for the most important one that waits; the others have their turn after."""
        if view is None or not any(pod.demand.priority < view.demand.priority for node in nodes for pod in node.pods):
            return
        everyone = {pod_key(pod): pod for pod in self._world.index.all(PODS)}
        if any(is_deleting(everyone[pod.name]) for node in nodes for pod in node.pods if pod.name in everyone):
            # Room is being made already.
            return
        found = preempt(view, nodes)
        if found is None:
            return
        subject = pods[view.name]

        def nominate(thing: Object) -> None:
            thing.setdefault("status", {})["nominatedNodeName"] = found.node

        await self._world.objects.change(PODS, subject, nominate)
        for victim in found.victims:
            pod = everyone[victim.name]
            text = f"Preempted by pod {uid_of(subject)} on node {found.node}"
            await self._world.recorder.record(PODS, pod, [Event("Normal", "Preempted", text)], _COMPONENT)
            await self._world.objects.delete(PODS, pod)

    async def _bind(self, bound: Mapping[str, str], pods: Mapping[str, Object]) -> None:
        now = self._world.now()

        told = {
            key: self._world.recorder.made(PODS, pods[key], [_assigned(key, node)], _COMPONENT)
            for key, node in bound.items()
        }

        def work(writer: Writer) -> None:
            for key, node in bound.items():
                before = writer.find(PODS, namespace_of(pods[key]), name_of(pods[key]))
                if before is None or is_deleting(before) or before["spec"].get("nodeName"):
                    continue
                thing = {**before, "spec": {**before["spec"], "nodeName": node}}
                thing["metadata"] = dict(before["metadata"])
                thing["status"] = {**before.get("status", {})}
                thing["status"]["conditions"] = copy.deepcopy(thing["status"].get("conditions") or [])
                set_conditions(thing["status"], [Condition("PodScheduled", "True", "", "")], now)
                writer.update(PODS, thing, before)
                put_events(writer, told[key])

        if bound:
            await self._world.objects.write(work)

    async def _refuse(self, refused: Mapping[str, str], pods: Mapping[str, Object]) -> None:
        now = self._world.now()
        for key, text in refused.items():
            pod = pods[key]
            old = condition_of(pod, "PodScheduled")
            if old.get("message") == text and old.get("status") == "False":
                continue

            def change(thing: Object, text: str = text) -> None:
                status = cast("Object", thing.setdefault("status", {}))
                set_conditions(status, [Condition("PodScheduled", "False", "Unschedulable", text)], now)

            await self._world.objects.change(PODS, pod, change)
            await self._world.recorder.record(PODS, pod, [Event("Warning", "FailedScheduling", text)], _COMPONENT)


def _assigned(key: str, node: str) -> Event:
    return Event("Normal", "Scheduled", f"Successfully assigned {key} to {node}")
