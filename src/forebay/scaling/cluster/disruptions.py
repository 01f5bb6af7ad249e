"""Karpenter's disruption controller: a round every ten seconds, a wait, a second look, and then nodes go.

Rounds, budgets and costs are the policy's. A command that waits is kept in memory: after a restart the next round
comes to it again.
"""

import asyncio
import math
from dataclasses import dataclass

from forebay.scaling.cluster.kinds import NODE_CLAIMS, NODE_POOLS, NODES, Object
from forebay.scaling.cluster.node_claims import pods_on
from forebay.scaling.cluster.objects import Deletion, name_of
from forebay.scaling.cluster.provisioning import COMPONENT, Nominations, create_claim
from forebay.scaling.cluster.views import Views
from forebay.scaling.cluster.world import World, is_condition_true, set_conditions
from forebay.scaling.policies.disruption import (
    ROUND_SECONDS,
    VALIDATION_SECONDS,
    ClusterView,
    Command,
    decide,
    expired,
    is_still_valid,
)
from forebay.scaling.policies.outcome import Condition, Event


@dataclass
class UnderWay:
    """A command and how far it is."""

    command: Command
    valid_at: float
    replacements: tuple[str, ...] = ()
    is_launched: bool = False


class Disruptions:
    """Takes nodes away that are not needed. A `Worker`."""

    name = "kubernetes.disruptions"

    def __init__(self, world: World, views: Views, nominations: Nominations) -> None:
        self._world = world
        self._views = views
        self._nominations = nominations
        self._round_at = 0.0
        self._under_way: UnderWay | None = None
        self._idle_since: dict[str, float] = {}
        self._changed_at = -math.inf
        self._shape: object = None

    async def run_once(self) -> float:
        """Go on with the command under way, or look for the next one."""
        if not self._world.index.all(NODE_POOLS) or not self._world.index.all(NODE_CLAIMS):
            self._under_way = None
            return math.inf
        now = self._world.now()
        self._note_changes(now)
        await self._expire(now)
        if self._under_way is not None:
            wait = await self._go_on(self._under_way, now)
            if wait > 0:
                return min(wait, ROUND_SECONDS)
        if self._round_at > now:
            return self._round_at - now
        self._round_at = now + ROUND_SECONDS
        view = self._view(now)
        found = await asyncio.to_thread(decide, view)
        for method in found.idle:
            self._idle_since[method] = now
        if found.command is not None:
            self._under_way = UnderWay(found.command, now + VALIDATION_SECONDS)
            await self._tell(found.command)
            return VALIDATION_SECONDS
        return ROUND_SECONDS

    def _note_changes(self, now: float) -> None:
        """Note when pods or nodes last changed: consolidation is not tried again on what is the same."""
        claims = self._world.index.all(NODE_CLAIMS)
        shape = tuple(
            (name_of(claim), tuple(pod["metadata"]["uid"] for pod in pods_on(self._world, name_of(claim))))
            for claim in claims
        )
        if shape != self._shape:
            self._shape, self._changed_at = shape, now

    def _view(self, now: float) -> ClusterView:
        self._nominations.forget_past(now)
        nodes = self._views.nodes(now, self._nominations.until)
        pools = {pool.name: pool for pool in self._views.pools(nodes)}
        pending = self._views.pending(now)
        return ClusterView(nodes, pools, now, pending, self._changed_at, dict(self._idle_since))

    async def _expire(self, now: float) -> None:
        for name in expired(self._view(now)):
            claim = self._world.index.find(NODE_CLAIMS, "", name)
            if claim is not None:
                await self._world.recorder.record(
                    NODE_CLAIMS, claim, [Event("Normal", "Expired", "Expired")], COMPONENT
                )
                await self._world.objects.delete(NODE_CLAIMS, claim, Deletion())

    async def _go_on(self, under_way: UnderWay, now: float) -> float:
        """Take a command a step further; return how long to wait for the next, 0 when it is over."""
        command = under_way.command
        if not under_way.is_launched:
            if now < under_way.valid_at:
                return under_way.valid_at - now
            view = self._view(now)
            if not await asyncio.to_thread(is_still_valid, command, view):
                self._under_way = None
                return 0.0
            made = [await create_claim(self._world, node, view.pools[node.pool]) for node in command.replacements]
            under_way.replacements = tuple(name_of(claim) for claim in made if claim is not None)
            under_way.is_launched = True
        claims = [self._world.index.find(NODE_CLAIMS, "", name) for name in under_way.replacements]
        if any(claim is not None and not is_condition_true(claim, "Initialized") for claim in claims):
            # The old nodes go when the new ones can take their pods; changes of claims wake this worker.
            return ROUND_SECONDS
        for name in command.nodes:
            await self._delete(name, command)
        self._under_way = None
        return 0.0

    async def _delete(self, name: str, command: Command) -> None:
        claim = self._world.index.find(NODE_CLAIMS, "", name)
        if claim is None:
            return
        now = self._world.now()
        reason = Condition("DisruptionReason", "True", command.reason, command.reason)

        def change(thing: Object) -> None:
            set_conditions(thing["status"], [reason], now)

        await self._world.objects.change(NODE_CLAIMS, claim, change)
        await self._world.objects.delete(NODE_CLAIMS, claim, Deletion())

    async def _tell(self, command: Command) -> None:
        for name in command.nodes:
            node = self._world.index.find(NODES, "", name)
            if node is not None:
                text = f"Disrupting Node: {command.reason} ({command.why})"
                await self._world.recorder.record(
                    NODES, node, [Event("Normal", "DisruptionLaunching", text)], COMPONENT
                )
