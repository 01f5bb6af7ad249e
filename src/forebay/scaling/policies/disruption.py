"""Which nodes Karpenter takes away, and what it puts in their place: emptiness, drift, consolidation, expiry.

A round tries the methods in upstream's order and the first that acts ends it; whoever runs the rounds waits 15 s after
each decision and asks `is_still_valid` before acting. Source: karpenter v1.14, `pkg/controllers/disruption`.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from forebay.scaling.manifests.karpenter import Reason
from forebay.scaling.manifests.problem import InvalidManifest
from forebay.scaling.manifests.quantity import parse_duration
from forebay.scaling.policies.budgets import remaining
from forebay.scaling.policies.instance_types import InstanceType, Offering
from forebay.scaling.policies.node import NodeView, PodView
from forebay.scaling.policies.nodepools import Pool
from forebay.scaling.policies.provisioning import NewNode
from forebay.scaling.policies.rehousing import Rehousing
from forebay.scaling.policies.requirements import CAPACITY_TYPE, ValueSet, merged

ROUND_SECONDS = 10.0
VALIDATION_SECONDS = 15.0
# After a round without an action, consolidation is not tried again on an unchanged cluster for this long.
REVALIDATION_SECONDS = 300.0

_MULTI_NODE_MAX = 100
_SPOT_TO_SPOT_TYPES_MIN = 15
_BALANCED_SCORE_MIN = 0.5

Method = Literal["emptiness", "drift", "multi-node", "single-node"]


class Flags(msgspec.Struct, frozen=True):
    """Feature gates that matter here."""

    spot_to_spot_consolidation: bool = False


class ClusterView(msgspec.Struct, frozen=True):
    """Everything a round looks at. `changed_at` moves with every change of pods and nodes."""

    nodes: Sequence[NodeView]
    pools: Mapping[str, Pool]
    now: float
    pending: Sequence[PodView] = ()
    changed_at: float = math.inf
    # When multi- and single-node consolidation last found nothing to do.
    idle_since: Mapping[str, float] = {}


class Command(msgspec.Struct, frozen=True):
    """Nodes to take away and nodes to make first."""

    method: Method
    reason: Reason
    nodes: tuple[str, ...]
    replacements: tuple[NewNode, ...] = ()
    why: str = ""


class Round(msgspec.Struct, frozen=True):
    """What a round decides, and which methods found nothing though they looked."""

    command: Command | None
    idle: tuple[Method, ...] = ()


def decide(view: ClusterView, flags: Flags = Flags()) -> Round:  # noqa: B008 - frozen
    """Decide one round: the first method that acts wins it."""
    empty = _emptiness(view)
    if empty is not None:
        return Round(empty)
    drifted = _drift(view)
    if drifted is not None:
        return Round(drifted)
    idle: list[Method] = []
    for method in ("multi-node", "single-node"):
        if _is_idle(view, method):
            continue
        command = _multi_node(view, flags) if method == "multi-node" else _single_node(view, flags)
        if command is not None:
            return Round(command, tuple(idle))
        idle.append(method)
    return Round(None, tuple(idle))


def protection_seconds(annotation: str | None) -> float:
    """Read a pod's `karpenter.sh/do-not-disrupt`: `true` for ever, a Go duration from its start, else not at all."""
    if annotation == "true":
        return math.inf
    try:
        return max(0.0, parse_duration(annotation or "0"))
    except InvalidManifest:
        return 0.0


def is_still_valid(command: Command, view: ClusterView, flags: Flags = Flags()) -> bool:  # noqa: B008 - frozen
    """Tell whether a command holds after its wait: its nodes are still candidates, and the answer is the same.

    For consolidation that answer may need no more nodes, and none of other types than were found to be cheaper.
    """
    named = {node.name: node for node in candidates(view, command.reason)}
    if not all(name in named for name in command.nodes):
        return False
    chosen = [named[name] for name in command.nodes]
    if not _within_budgets(view, command.reason, chosen):
        return False
    if command.reason == "Empty":
        return all(node.is_empty for node in chosen)
    if command.reason == "Drifted":
        return True
    again = _consolidate(view, _rehousing(view), chosen, flags, command.method)
    if again is None or len(again.replacements) != len(command.replacements):
        return False
    allowed = {kind.name for node in command.replacements for kind in node.types}
    return not again.replacements or bool({kind.name for kind in again.replacements[0].types} & allowed)


def expired(view: ClusterView) -> list[str]:
    """Return the nodes whose time is up: expiry is forceful, budgets have no say."""
    return [node.name for node in view.nodes if node.pool and not node.is_deleting and node.expires_at <= view.now]


def candidates(view: ClusterView, reason: Reason) -> list[NodeView]:
    """Return the nodes that may be disrupted for a reason at all, budgets aside."""
    return [node for node in view.nodes if _is_candidate(view, node, reason)]


def _is_candidate(view: ClusterView, node: NodeView, reason: Reason) -> bool:
    pool = view.pools.get(node.pool)
    if pool is None or not node.is_initialized or node.is_deleting or node.nominated_until > view.now:
        return False
    if node.is_held or node.protected_until > view.now:
        return False
    if reason == "Drifted":
        return node.is_drifted and node.is_evictable
    if node.consolidatable_at > view.now:
        return False
    if reason == "Empty":
        return True
    policy = pool.manifest.spec.disruption.consolidation_policy
    return policy != "WhenEmpty" and node.is_evictable


def balanced_score(savings: float, disruption: float, total_cost: float, total_disruption: float) -> float:
    """Return the share of a pool's cost that is saved over the share of its disruption that is spent."""
    if savings <= 0:
        return 0.0
    if disruption <= 0:
        return math.inf
    return (savings / total_cost) / (disruption / total_disruption)


def _budget_left(view: ClusterView, reason: Reason) -> dict[str, int]:
    """Return how many nodes of each pool may still go; nodes not initialised do not count, those going do."""
    totals, disrupting = Counter[str](), Counter[str]()
    for node in view.nodes:
        if node.pool and node.is_initialized:
            totals[node.pool] += 1
            disrupting[node.pool] += node.is_deleting or not node.is_ready
    return {
        name: remaining(pool.manifest.spec.disruption.budgets, reason, totals[name], disrupting[name], view.now)
        for name, pool in view.pools.items()
    }


def _within(nodes: Sequence[NodeView], left: dict[str, int]) -> list[NodeView]:
    """Return the nodes, in order, that budgets leave; a pool's share is used up as they are taken."""
    found: list[NodeView] = []
    for node in nodes:
        if left.get(node.pool, 0) > 0:
            left[node.pool] -= 1
            found.append(node)
    return found


def _within_budgets(view: ClusterView, reason: Reason, nodes: Sequence[NodeView]) -> bool:
    return len(_within(nodes, _budget_left(view, reason))) == len(nodes)


def _emptiness(view: ClusterView) -> Command | None:
    empty = [node for node in candidates(view, "Empty") if node.is_empty]
    chosen = _within(sorted(empty, key=lambda node: node.disruption_cost), _budget_left(view, "Empty"))
    if not chosen:
        return None
    held = len(empty) - len(chosen)
    why = f"{len(chosen)} empty" + (f", {held} more held back by the budget" if held else "")
    return Command("emptiness", "Empty", tuple(node.name for node in chosen), why=why)


def _drift(view: ClusterView) -> Command | None:
    if not any(node.is_drifted for node in view.nodes):
        return None
    left = _budget_left(view, "Drifted")
    rehousing = _rehousing(view)
    for node in sorted(candidates(view, "Drifted"), key=lambda node: (not node.is_empty, node.created_at)):
        if left.get(node.pool, 0) < 1:
            continue
        found = rehousing.without([node])
        if found.is_complete:
            return Command("drift", "Drifted", (node.name,), found.new_nodes, why="differs from its pool's template")
    return None


def _ordered(view: ClusterView) -> list[NodeView]:
    """Return candidates for consolidation, those that save most for what they disrupt first."""
    found = candidates(view, "Underutilized")
    return sorted(found, key=lambda node: -node.price / node.disruption_cost)


def _is_idle(view: ClusterView, method: str) -> bool:
    since = view.idle_since.get(method)
    return since is not None and since >= view.changed_at and view.now - since < REVALIDATION_SECONDS


def _multi_node(view: ClusterView, flags: Flags) -> Command | None:
    """Search by halving for the longest row of candidates that at most one cheaper node can take the place of."""
    row = _within(_ordered(view), _budget_left(view, "Underutilized"))[:_MULTI_NODE_MAX]
    rehousing = _rehousing(view)
    best: Command | None = None
    low, high = 1, len(row) - 1
    while low <= high:
        middle = (low + high) // 2
        command = _consolidate(view, rehousing, row[: middle + 1], flags, "multi-node")
        if command is not None:
            best, low = command, middle + 1
        else:
            high = middle - 1
    return best


def _single_node(view: ClusterView, flags: Flags) -> Command | None:
    left, rehousing = _budget_left(view, "Underutilized"), _rehousing(view)
    for node in _interleaved(_ordered(view)):
        if left.get(node.pool, 0) > 0:
            command = _consolidate(view, rehousing, [node], flags, "single-node")
            if command is not None:
                return command
    return None


def _interleaved(nodes: Sequence[NodeView]) -> Iterator[NodeView]:
    """Yield nodes pool by pool in turn, so that no pool starves another."""
    queues: dict[str, list[NodeView]] = {}
    for node in nodes:
        queues.setdefault(node.pool, []).append(node)
    for turn in range(max(map(len, queues.values()), default=0)):
        for queue in queues.values():
            if turn < len(queue):
                yield queue[turn]


def _rehousing(view: ClusterView) -> Rehousing:
    return Rehousing(view.nodes, view.pending, list(view.pools.values()), view.now)


def _consolidate(
    view: ClusterView, rehousing: Rehousing, nodes: Sequence[NodeView], flags: Flags, method: Method
) -> Command | None:
    """Return the command that takes nodes away if their pods fit elsewhere, or on one cheaper node."""
    plan = rehousing.without(nodes)
    if len(plan.new_nodes) > 1 or not plan.is_complete:
        return None
    price = sum(node.price for node in nodes)
    if not plan.new_nodes:
        why = f"pods fit on the nodes that stay, saving {price:.4f}/h"
        return _approved(view, Command(method, "Underutilized", _names(nodes), why=why), nodes, price)
    replacement = _cheaper(plan.new_nodes[0], nodes, price, flags, method)
    if replacement is None:
        return None
    saved = price - replacement.price
    why = f"one {replacement.choice()[0].name} takes their pods, saving {saved:.4f}/h"
    return _approved(view, Command(method, "Underutilized", _names(nodes), (replacement,), why), nodes, saved)


def _cheaper(node: NewNode, nodes: Sequence[NodeView], price: float, flags: Flags, method: Method) -> NewNode | None:
    """Narrow a replacement to types that cost less than what they replace; None where none is left."""
    all_spot = all(old.capacity_type == "spot" for old in nodes)
    requirements = node.requirements
    if not all_spot and _may_be(requirements.get(CAPACITY_TYPE), "spot"):
        # On-demand to spot: the price of spot is what makes it cheaper, so it must be spot.
        spot = merged(requirements, {CAPACITY_TYPE: ValueSet(frozenset({"spot"}))})
        if any(_costs_less(kind.cheapest(spot), price) for kind in node.types):
            requirements = spot
    kinds = tuple(kind for kind in node.types if _costs_less(kind.cheapest(requirements), price))
    if method == "multi-node":
        # A type as dear as one that goes would only be bought again: those are left out.
        dearest = _price_of_same_type(nodes, kinds)
        kinds = tuple(kind for kind in kinds if _costs_less(kind.cheapest(requirements), dearest))
    if not kinds:
        return None
    found = msgspec.structs.replace(node, types=kinds, requirements=requirements)
    becomes_spot = all_spot and _may_be(requirements.get(CAPACITY_TYPE), "spot")
    if becomes_spot and (not flags.spot_to_spot_consolidation or len(kinds) < _SPOT_TO_SPOT_TYPES_MIN):
        return None
    return found


def _price_of_same_type(nodes: Sequence[NodeView], kinds: Sequence[InstanceType]) -> float:
    names = {kind.name for kind in kinds}
    return min((node.price for node in nodes if node.instance_type in names), default=math.inf)


def _costs_less(offering: Offering | None, price: float) -> bool:
    return offering is not None and offering.price < price


def _may_be(values: ValueSet | None, value: str) -> bool:
    return values is None or values.has(value)


def _approved(view: ClusterView, command: Command, nodes: Sequence[NodeView], saved: float) -> Command | None:
    """Ask the pools that are `Balanced` whether the savings are worth the disruption."""
    balanced = [
        node for node in nodes if view.pools[node.pool].manifest.spec.disruption.consolidation_policy == "Balanced"
    ]
    if not balanced:
        return command
    pool = balanced[0].pool
    members = [node for node in view.nodes if node.pool == pool]
    cost = sum(node.price for node in members)
    disruption = sum(node.disruption_cost for node in members)
    score = balanced_score(saved, sum(node.disruption_cost for node in nodes), cost, disruption)
    return command if score >= _BALANCED_SCORE_MIN else None


def _names(nodes: Sequence[NodeView]) -> tuple[str, ...]:
    return tuple(node.name for node in nodes)
