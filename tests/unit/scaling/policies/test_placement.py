"""The scheduler and the replica set's choice of victims."""

import pytest

from forebay.scaling.manifests.meta import LabelSelector, ObjectMeta, SelectorRequirement
from forebay.scaling.manifests.pods import (
    Affinity,
    Container,
    NodeAffinity,
    NodeSelectorTerm,
    PodAffinity,
    PodAffinityTerm,
    PodSpec,
    PreferredNodeTerm,
    ResourceRequirements,
    Taint,
    Toleration,
    TopologySpreadConstraint,
)
from forebay.scaling.manifests.workloads import DisruptionBudgetSpec, PodDisruptionBudget
from forebay.scaling.policies.demand import Demand, read_demand
from forebay.scaling.policies.disruption_budget import BudgetedPod, allowance, may_evict
from forebay.scaling.policies.node import NodeView, PodView
from forebay.scaling.policies.placement import place
from forebay.scaling.policies.preemption import preempt
from forebay.scaling.policies.resources import Amounts, pod_requests
from forebay.scaling.policies.victims import Candidate, parse_deletion_cost, victims

GIB = 1 << 30


def _node(name, cpu=4000, memory=8 * GIB, **rest):
    return NodeView(name, Amounts(cpu, memory), **rest)


def _pods(count, demand, prefix="pod"):
    return [PodView(f"{prefix}-{index}", demand, float(index)) for index in range(count)]


def _spread(bound):
    counts: dict[str, int] = {}
    for node in bound.values():
        counts[node] = counts.get(node, 0) + 1
    return counts


def test_pods_spread_over_equal_nodes():
    found = place(_pods(4, Demand(Amounts(500, GIB))), [_node("a"), _node("b")])
    assert _spread(found.bound) == {"a": 2, "b": 2}


def test_pods_that_fit_nowhere_are_told_why():
    found = place(_pods(3, Demand(Amounts(3000, GIB))), [_node("a"), _node("b")])
    assert len(found.bound) == 2
    assert found.unschedulable == {
        "pod-2": "0/2 nodes are available: 2 Insufficient cpu. preemption: 0/2 nodes are available: "
        "2 No preemption victims found for incoming pod."
    }


def test_taints_and_selectors_keep_pods_off():
    nodes = [
        _node("tainted", taints=(Taint("gpu", "NoSchedule", "yes"),)),
        _node("other", labels={"zone": "b"}),
        _node("right", labels={"zone": "a"}),
        _node("away", labels={"zone": "a"}, is_unschedulable=True),
    ]
    demand = Demand(Amounts(100, GIB), selector={"zone": "a"})
    assert set(place(_pods(2, demand), nodes).bound.values()) == {"right"}
    alone = place(_pods(1, demand), [nodes[0], nodes[1], nodes[3]])
    assert alone.unschedulable["pod-0"].startswith(
        "0/3 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 1 node(s) had untolerated taint "
        "{gpu: yes}, 1 node(s) were unschedulable."
    )
    bearing = Demand(Amounts(100, GIB), tolerations=(Toleration("gpu", "Exists"),))
    assert place(_pods(1, bearing), [nodes[0]]).bound == {"pod-0": "tainted"}


def test_important_pods_come_first():
    low, high = Demand(Amounts(3000, GIB)), Demand(Amounts(3000, GIB), priority=1000)
    found = place([*_pods(1, low, "low"), *_pods(1, high, "high")], [_node("a")])
    assert found.bound == {"high-0": "a"}


def test_number_of_pods_is_bounded():
    found = place(_pods(3, Demand(Amounts(1, 1))), [_node("a", pods_max=2)])
    assert "1 Too many pods" in found.unschedulable["pod-2"]


def test_spread_constraint_holds_the_skew():
    constraint = TopologySpreadConstraint(1, "zone", label_selector=LabelSelector({"app": "w"}))
    demand = Demand(Amounts(100, GIB // 8), labels={"app": "w"}, spread=(constraint,))
    nodes = [
        _node("a1", labels={"zone": "a"}),
        _node("a2", labels={"zone": "a"}),
        _node("b1", cpu=250, labels={"zone": "b"}),
    ]
    found = place(_pods(6, demand), nodes)
    counts = _spread(found.bound)
    # Two fit into zone b, so zone a may have one more.
    assert (counts["b1"], counts.get("a1", 0) + counts.get("a2", 0)) == (2, 3)
    assert "1 node(s) didn't match pod topology spread constraints" not in found.bound
    assert "node(s) didn't match pod topology spread constraints" in found.unschedulable["pod-5"]


def test_anti_affinity_holds_in_both_directions():
    term = PodAffinityTerm("kubernetes.io/hostname", LabelSelector({"app": "w"}))
    alone = Demand(Amounts(100, GIB), labels={"app": "w"}, anti_affinity=(term,))
    found = place(_pods(3, alone), [_node("a"), _node("b")])
    assert sorted(found.bound.values()) == ["a", "b"]
    plain = Demand(Amounts(100, GIB), labels={"app": "w"})
    taken = _node("a", pods=(PodView("first", alone),))
    assert "existing pods anti-affinity" in place(_pods(1, plain), [taken]).unschedulable["pod-0"]


def test_affinity_follows_the_first():
    term = PodAffinityTerm("zone", LabelSelector({"app": "w"}))
    demand = Demand(Amounts(1000, GIB), labels={"app": "w"}, affinity=(term,))
    nodes = [_node("a", labels={"zone": "a"}), _node("b", labels={"zone": "b"}), _node("a2", labels={"zone": "a"})]
    zones = {node.name: node.labels["zone"] for node in nodes}
    found = place(_pods(6, demand), nodes)
    assert len(found.bound) == 6
    assert len({zones[name] for name in found.bound.values()}) == 1


def test_preferred_nodes_are_taken_first():
    spec = PodSpec(
        (Container("w", resources=ResourceRequirements({"cpu": "100m", "memory": "64Mi"})),),
        affinity=Affinity(
            node_affinity=NodeAffinity(
                preferred_during_scheduling_ignored_during_execution=(
                    PreferredNodeTerm(100, NodeSelectorTerm((SelectorRequirement("disk", "In", ("ssd",)),))),
                )
            )
        ),
    )
    nodes = [_node("hdd"), _node("ssd", labels={"disk": "ssd"})]
    assert place(_pods(1, read_demand(spec)), nodes).bound == {"pod-0": "ssd"}


def test_host_ports_are_taken_once():
    demand = Demand(Amounts(100, GIB), host_ports=(8080,))
    found = place(_pods(2, demand), [_node("a")])
    assert "didn't have free ports" in found.unschedulable["pod-1"]


def test_pod_affinity_is_read_from_manifests():
    far = PodAffinity((PodAffinityTerm("kubernetes.io/hostname", LabelSelector({"app": "w"})),))
    demand = read_demand(PodSpec((Container("w"),), affinity=Affinity(pod_anti_affinity=far)), {"app": "w"})
    assert demand.has_topology
    assert len(place(_pods(2, demand), [_node("a")]).bound) == 1


def test_requests_are_those_of_all_containers_or_of_the_largest_init():
    def container(cpu, **rest):
        return Container("c", resources=ResourceRequirements({"cpu": cpu}), **rest)

    spec = PodSpec(
        (container("1"), container("500m")),
        init_containers=(container("200m", restart_policy="Always"), container("2")),
        overhead={"cpu": "50m"},
    )
    # The sidecar runs beside both: 200m + max(1500m, 2000m) + 50m.
    assert pod_requests(spec).cpu_milli == 2250
    limited = PodSpec((Container("c", resources=ResourceRequirements({}, {"cpu": "1"})),))
    assert pod_requests(limited).cpu_milli == 1000


def _candidate(name, **rest):
    return Candidate(name, **{"node": "n1", "ready_since": 0.0, "created_at": 0.0, **rest})


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"node": ""}, {"phase": "Pending", "is_ready": False}),
        ({"phase": "Pending", "is_ready": False}, {"phase": "Unknown"}),
        ({"is_ready": False}, {"deletion_cost": -5}),
        ({"deletion_cost": -1}, {"deletion_cost": 0, "restarts": 9}),
        ({"node": "crowded"}, {"node": "n1", "ready_since": 990.0}),
        ({"ready_since": 990.0}, {"ready_since": 0.0, "restarts": 5}),
        ({"restarts": 2}, {"created_at": 999.0}),
        ({"created_at": 999.0}, {}),
    ],
)
def test_victims_are_ordered_as_kubernetes_orders_them(first, second):
    pods = [_candidate("second", **second), _candidate("first", **first)]
    related = [pod.node for pod in pods] + ["crowded", "crowded"]
    assert [pod.name for pod in victims(pods, 1, related, 1000.0)] == ["first"]


def test_pods_of_about_one_age_are_alike():
    # Ages of 600 and 700 s have the same power of two; the first in place goes.
    pods = [_candidate("a", ready_since=300.0, created_at=300.0), _candidate("b", ready_since=400.0, created_at=400.0)]
    assert [pod.name for pod in victims(pods, 1, ["n1", "n1"], 1000.0)] == ["a"]


@pytest.mark.parametrize(
    ("text", "cost"), [(None, 0), ("100", 100), ("-3", -3), ("007", 0), ("1.5", 0), ("2147483648", 0), ("x", 0)]
)
def test_deletion_cost_is_read_or_counts_as_nothing(text, cost):
    assert parse_deletion_cost(text) == cost


def _budget(**spec):
    return PodDisruptionBudget(ObjectMeta(name="w"), DisruptionBudgetSpec(LabelSelector({"app": "w"}), **spec))


@pytest.mark.parametrize(
    ("spec", "left"),
    [
        ({"max_unavailable": 1}, 0),
        ({"max_unavailable": "50%"}, 1),
        ({"min_available": 2}, 1),
        ({"min_available": "60%"}, 0),
    ],
)
def test_budget_allows_what_its_status_says(spec, left):
    pods = [BudgetedPod(f"w-{index}", "default", {"app": "w"}, index > 0) for index in range(4)]
    assert allowance(_budget(**spec), pods).disruptions_allowed == left
    assert may_evict(pods[1], [_budget(**spec)], pods) == (left > 0)


def test_two_budgets_over_one_pod_refuse_it():
    pods = [BudgetedPod("w-0", "default", {"app": "w"})]
    assert not may_evict(pods[0], [_budget(max_unavailable=1), _budget(max_unavailable=1)], pods)
    assert may_evict(BudgetedPod("x", "default", {}), [_budget(max_unavailable=0)], pods)


# --- Preemption ------------------------------------------------------------------------------------------------------

_LOW = Demand(Amounts(1000, GIB))
_MIDDLE = Demand(Amounts(1000, GIB), priority=5)
_HIGH = Demand(Amounts(2000, GIB), priority=10)


def _names(found):
    return None if found is None else (found.node, sorted(victim.name for victim in found.victims))


def test_fewest_and_least_important_pods_make_room():
    nodes = [
        _node("a", pods=(*_pods(2, _MIDDLE, "m"), *_pods(2, _LOW, "l"))),
        _node("b", pods=tuple(_pods(4, _MIDDLE, "b"))),
    ]
    assert _names(preempt(PodView("h", _HIGH), nodes)) == ("a", ["l-0", "l-1"])


def test_the_older_of_equal_pods_stays():
    demand = Demand(Amounts(1000, GIB), priority=10)
    assert _names(preempt(PodView("h", demand), [_node("a", pods=tuple(_pods(4, _LOW)))])) == ("a", ["pod-3"])


def test_protected_pods_are_put_back_first():
    pods = (PodView("kept", _LOW, 9.0, is_evictable=False), *_pods(3, _LOW))
    demand = Demand(Amounts(1000, GIB), priority=10)
    assert _names(preempt(PodView("h", demand), [_node("a", pods=pods)])) == ("a", ["pod-2"])


@pytest.mark.parametrize(
    "demand",
    [
        Demand(Amounts(2000, GIB)),
        Demand(Amounts(2000, GIB), priority=10, preempts=False),
        Demand(Amounts(9000, GIB), priority=10),
        Demand(Amounts(2000, GIB), priority=10, selector={"zone": "a"}),
    ],
)
def test_nobody_goes_where_it_does_not_help(demand):
    assert preempt(PodView("h", demand), [_node("a", pods=tuple(_pods(4, _LOW)))]) is None


def test_pods_that_keep_others_away_make_room_too():
    term = PodAffinityTerm("kubernetes.io/hostname", LabelSelector({"app": "w"}))
    guard = PodView("guard", Demand(Amounts(100, GIB), labels={"app": "w"}, anti_affinity=(term,)))
    demand = Demand(Amounts(100, GIB), labels={"app": "w"}, priority=10)
    assert _names(preempt(PodView("h", demand), [_node("a", pods=(guard, *_pods(1, _LOW)))])) == ("a", ["guard"])
