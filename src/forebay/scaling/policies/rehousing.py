"""Where the pods of nodes would go if those nodes were away: the question behind every consolidation.

Asked for each node of a large cluster in turn, it is answered by counting where it can be: pods of one kind without
ties to others need only the room that is left for their kind. The answer is the one that `provision` gives.
"""

import math
from collections.abc import Mapping, Sequence

import msgspec

from forebay.scaling.policies.demand import Demand
from forebay.scaling.policies.node import NodeView, PodView
from forebay.scaling.policies.nodepools import Pool
from forebay.scaling.policies.provisioning import NewNode, may_run, provision


class Rehoused(msgspec.Struct, frozen=True):
    """New nodes that would be needed, and whether all moved pods have a place then."""

    new_nodes: tuple[NewNode, ...]
    is_complete: bool


class _Room(msgspec.Struct, frozen=True):
    """Places for pods of one kind, by node, and how many of them are on nodes that are settling."""

    by_node: Mapping[str, int]
    quiet: int
    settling: int


class Rehousing:
    """The cluster at one moment, asked again and again."""

    def __init__(
        self, nodes: Sequence[NodeView], pending: Sequence[PodView], pools: Sequence[Pool], now: float
    ) -> None:
        self._kept = [node for node in nodes if not node.is_deleting]
        self._pending = pending
        self._pools = pools
        self._settling = frozenset(node.name for node in self._kept if now < node.consolidatable_at < math.inf)
        self._has_topology = any(demand.has_topology for node in self._kept for demand in node.demands)
        self._pending_demands = frozenset(pod.demand for pod in pending)
        self._rooms = dict[Demand, _Room]()
        self._new = dict[tuple[Demand, int], Rehoused]()

    def without(self, nodes: Sequence[NodeView]) -> Rehoused:
        """Answer for nodes that go together; pods that wait look for places, too."""
        demands = self._pending_demands.union(*(node.demands for node in nodes))
        if len(demands) == 1 and not self._has_topology and not any(p.is_daemon for n in nodes for p in n.pods):
            (demand,) = demands
            if not demand.has_topology and not demand.preferred and len(demand.terms) < 2:
                return self._counted(nodes, demand)
        return self._simulated(nodes)

    def _counted(self, nodes: Sequence[NodeView], demand: Demand) -> Rehoused:
        room = self._room_for(demand)
        quiet, settling = room.quiet, room.settling
        for node in nodes:
            if node.name in self._settling:
                settling -= room.by_node.get(node.name, 0)
            else:
                quiet -= room.by_node.get(node.name, 0)
        moved, waiting = sum(len(node.pods) for node in nodes), len(self._pending)
        # Pods that are moved are older, so they come first; nodes that settle are open to those that wait only.
        homeless = max(0, moved - quiet) + max(0, waiting - max(0, quiet - moved) - settling)
        if not homeless:
            return Rehoused((), is_complete=True)
        found = self._new.get((demand, homeless))
        if found is None:
            pods = [PodView(f"moved-{index:05}", demand) for index in range(homeless)]
            plan = provision(pods, (), self._pools)
            found = self._new[demand, homeless] = Rehoused(plan.new_nodes, not plan.unschedulable)
        return found

    def _room_for(self, demand: Demand) -> _Room:
        found = self._rooms.get(demand)
        if found is None:
            by_node = {node.name: node.room_for(demand) for node in self._kept if may_run(demand, node)}
            settling = sum(count for name, count in by_node.items() if name in self._settling)
            found = self._rooms[demand] = _Room(by_node, sum(by_node.values()) - settling, settling)
        return found

    def _simulated(self, nodes: Sequence[NodeView]) -> Rehoused:
        gone = {node.name for node in nodes}
        kept = [node for node in self._kept if node.name not in gone]
        moved = [pod for node in nodes for pod in node.pods if not pod.is_daemon]
        if self._settling:
            moved = [msgspec.structs.replace(pod, is_moved=True) for pod in moved]
        plan = provision([*self._pending, *moved], kept, self._pools, self._settling)
        return Rehoused(plan.new_nodes, not any(pod.name in plan.unschedulable for pod in moved))
