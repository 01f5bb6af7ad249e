"""Karpenter: which nodes are made for pods, and which are taken away."""

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.scaling.manifests.karpenter import (
    Budget,
    ClaimTemplate,
    ClaimTemplateMeta,
    ClaimTemplateSpec,
    Disruption,
    NodeClassReference,
    NodePool,
    NodePoolSpec,
    Requirement,
)
from forebay.scaling.manifests.meta import LabelSelector, ObjectMeta, SelectorRequirement
from forebay.scaling.manifests.pods import Taint, Toleration, TopologySpreadConstraint
from forebay.scaling.manifests.problem import InvalidManifest
from forebay.scaling.policies import disruption
from forebay.scaling.policies.batching import with_pod
from forebay.scaling.policies.budgets import allowed
from forebay.scaling.policies.demand import Demand, PreferredTerm
from forebay.scaling.policies.instance_types import format_instance_types, kwok_instance_types, read_instance_types
from forebay.scaling.policies.node import NodeView, PodView
from forebay.scaling.policies.nodepools import Pool
from forebay.scaling.policies.placement import place
from forebay.scaling.policies.provisioning import node_labels, provision
from forebay.scaling.policies.rehousing import Rehousing
from forebay.scaling.policies.requirements import (
    ARCH,
    CAPACITY_TYPE,
    HOSTNAME,
    NODEPOOL,
    OS,
    ZONE,
    ValueSet,
    conflict,
    matches_labels,
    read_requirements,
    value_set,
)
from forebay.scaling.policies.resources import Amounts
from forebay.scaling.policies.unix_cron import parse_cron

GIB = 1 << 30
TYPES = kwok_instance_types()
_LINUX = (Requirement(OS, "In", ("linux",)), Requirement(ARCH, "In", ("amd64",)))
_ON_DEMAND = Requirement(CAPACITY_TYPE, "In", ("on-demand",))


def _pool(name="workers", requirements=(), taints=(), labels=None, **spec):
    reference = NodeClassReference("karpenter.kwok.sh", "KWOKNodeClass", "default")
    template = ClaimTemplate(
        ClaimTemplateSpec((*_LINUX, *requirements), reference, taints), ClaimTemplateMeta(labels or {})
    )
    return Pool(NodePool(ObjectMeta(name=name), NodePoolSpec(template, **spec)), TYPES)


def _pods(count, demand, prefix="pod", **rest):
    return [PodView(f"{prefix}-{index:03}", demand, float(index), **rest) for index in range(count)]


def _kinds(plan):
    return sorted((node.pool, node.choice()[0].name, len(node.pods)) for node in plan.new_nodes)


def test_cheapest_type_that_takes_all_is_chosen():
    plan = provision(_pods(3, Demand(Amounts(1000, GIB))), (), [_pool()])
    ((_, name, count),) = _kinds(plan)
    assert (name, count) == ("c-4x-amd64-linux", 3)
    # Spot is cheaper, so it is what kwok takes where a pool allows both.
    kind, offering = plan.new_nodes[0].choice()
    assert node_labels(plan.new_nodes[0], kind, offering, _pool())[CAPACITY_TYPE] == "spot"


def test_existing_nodes_come_before_new_ones():
    ready = NodeView("a", Amounts(2000, 8 * GIB), labels={OS: "linux"})
    plan = provision(_pods(3, Demand(Amounts(1000, GIB))), [ready], [_pool()])
    assert plan.nominations == {"pod-000": "a", "pod-001": "a"}
    assert [len(node.pods) for node in plan.new_nodes] == [1]


def test_initialised_nodes_come_before_those_in_flight():
    flying = NodeView("a", Amounts(1000, 8 * GIB), is_initialized=False, is_ready=False)
    ready = NodeView("b", Amounts(1000, 8 * GIB))
    plan = provision(_pods(2, Demand(Amounts(1000, GIB))), [flying, ready], [_pool()])
    assert plan.nominations == {"pod-000": "b", "pod-001": "a"}


def test_heavier_pools_come_first_then_names_backwards():
    pods = _pods(1, Demand(Amounts(1000, GIB)))
    assert _kinds(provision(pods, (), [_pool("a"), _pool("b")]))[0][0] == "b"
    assert _kinds(provision(pods, (), [_pool("a", weight=10), _pool("b")]))[0][0] == "a"


def test_limits_bound_what_is_made():
    limited = _pool(limits={"cpu": "4"}, requirements=(_ON_DEMAND,))
    plan = provision(_pods(10, Demand(Amounts(1900, GIB))), (), [limited])
    assert sum(node.choice()[0].capacity.cpu_milli for node in plan.new_nodes) <= 4000
    assert plan.unschedulable
    assert 'incompatible with nodepool "workers"' in next(iter(plan.unschedulable.values()))
    by_count = provision(_pods(300, Demand(Amounts(3000, GIB))), (), [_pool(limits={"nodes": "2"})])
    assert len(by_count.new_nodes) == 2


def test_taints_and_custom_labels_must_be_borne():
    pool = _pool(taints=(Taint("team", "NoSchedule", "a"),), labels={"team": "a"})
    refused = provision(_pods(1, Demand(Amounts(1, 1))), (), [pool])
    assert "did not tolerate taint (taint=team=a:NoSchedule)" in refused.unschedulable["pod-000"]
    bearing = Demand(Amounts(1, 1), selector={"team": "a"}, tolerations=(Toleration("team", value="a"),))
    assert not provision(_pods(1, bearing), (), [pool]).unschedulable
    other = Demand(Amounts(1, 1), selector={"team": "b"}, tolerations=(Toleration("team", "Exists"),))
    assert 'label "team"' in provision(_pods(1, other), (), [pool]).unschedulable["pod-000"]


def test_too_large_pods_are_told_so():
    plan = provision(_pods(1, Demand(Amounts(10**6, GIB))), (), [_pool()])
    assert "no instance type has enough resources" in plan.unschedulable["pod-000"]
    assert provision(_pods(1, Demand(Amounts(1, 1))), (), []).unschedulable["pod-000"] == "no nodepools found"


def test_preferences_are_given_up_one_by_one():
    preferred = PreferredTerm(10, (SelectorRequirement(ZONE, "In", ("nowhere",)),))
    terms = ((SelectorRequirement(ARCH, "In", ("riscv",)),), (SelectorRequirement(ARCH, "In", ("amd64",)),))
    demand = Demand(Amounts(1, 1), terms=terms, preferred=(preferred,))
    plan = provision(_pods(1, demand), (), [_pool()])
    assert [len(node.pods) for node in plan.new_nodes] == [1]


def test_min_values_must_be_met():
    varied = Requirement("karpenter.kwok.sh/instance-family", "Exists", min_values=3)
    narrow = Requirement("karpenter.kwok.sh/instance-family", "In", ("c", "s"), min_values=3)
    pods = _pods(1, Demand(Amounts(1, 1)))
    assert not provision(pods, (), [_pool(requirements=(varied,))]).unschedulable
    assert provision(pods, (), [_pool(requirements=(narrow,))]).unschedulable


def test_spread_over_zones_makes_a_node_in_each():
    constraint = TopologySpreadConstraint(1, ZONE, label_selector=LabelSelector({"app": "w"}))
    demand = Demand(Amounts(500, GIB), labels={"app": "w"}, spread=(constraint,))
    plan = provision(_pods(8, demand), (), [_pool()])
    zones = [next(iter(node.requirements[ZONE].values)) for node in plan.new_nodes]
    assert sorted(zones) == ["test-zone-a", "test-zone-b", "test-zone-c", "test-zone-d"]
    assert [len(node.pods) for node in plan.new_nodes] == [2, 2, 2, 2]


def test_spread_over_nodes_makes_one_for_each():
    constraint = TopologySpreadConstraint(1, HOSTNAME, label_selector=LabelSelector({"app": "w"}))
    demand = Demand(Amounts(100, GIB), labels={"app": "w"}, spread=(constraint,))
    plan = provision(_pods(3, demand), (), [_pool()])
    assert [len(node.pods) for node in plan.new_nodes] == [1, 1, 1]


def test_batch_ends_when_it_is_quiet_or_old():
    batch = with_pod(None, 100.0)
    assert batch.closes_at == 101.0
    for moment in range(1, 20):
        batch = with_pod(batch, 100.0 + moment * 0.9)
    assert batch.closes_at == 110.0


# --- Disruption ----------------------------------------------------------------------------------------------------


def _node(name, pods=(), kind="c-4x-amd64-linux", **rest):
    chosen = next(each for each in TYPES if each.name == kind)
    offering = next(o for o in chosen.offerings if o.requirements[CAPACITY_TYPE].has("on-demand"))
    labels = {OS: "linux", ARCH: "amd64", CAPACITY_TYPE: "on-demand", NODEPOOL: "workers", ZONE: "test-zone-a"}
    return NodeView(
        name,
        chosen.allocatable,
        chosen.pods_max,
        labels,
        pods=tuple(pods),
        pool="workers",
        instance_type=kind,
        capacity_type="on-demand",
        price=offering.price,
        **rest,
    )


def _view(nodes, now=1000.0, **spec):
    pool = _pool(requirements=(_ON_DEMAND,), disruption=Disruption(**spec))
    return disruption.ClusterView(nodes, {"workers": pool}, now)


_FREE = (Budget("100%"),)
_SMALL = Demand(Amounts(500, GIB // 2))


def test_empty_nodes_go_within_the_budget():
    nodes = [_node(f"n{index}") for index in range(7)]
    found = disruption.decide(_view(nodes)).command
    assert found is not None
    assert (found.method, len(found.nodes)) == ("emptiness", 1)
    wide = disruption.decide(_view(nodes, budgets=_FREE)).command
    assert wide is not None
    assert len(wide.nodes) == 7


def test_nodes_that_go_use_the_budget_up():
    nodes = [_node("n0", is_deleting=True), *[_node(f"n{index}") for index in range(1, 7)]]
    assert disruption.decide(_view(nodes)).command is None


@pytest.mark.parametrize(
    "held",
    [
        {"is_protected": True},
        {"is_initialized": False},
        {"nominated_until": 1001.0},
        {"consolidatable_at": 1001.0},
        {"consolidatable_at": math.inf},
    ],
)
def test_held_nodes_stay(held):
    assert disruption.decide(_view([_node("n0", **held)], budgets=_FREE)).command is None


def test_pods_that_fit_elsewhere_make_a_node_needless():
    nodes = [_node("a", _pods(2, _SMALL, "a")), _node("b", _pods(3, _SMALL, "b"))]
    found = disruption.decide(_view(nodes, budgets=_FREE)).command
    assert found is not None
    assert (found.reason, found.replacements) == ("Underutilized", ())
    assert len(found.nodes) == 1
    assert disruption.is_still_valid(found, _view(nodes, budgets=_FREE))
    # A pod that has come meanwhile takes the room.
    busy = [_node("a", _pods(7, _SMALL, "a")), _node("b", _pods(7, _SMALL, "b"))]
    assert not disruption.is_still_valid(found, _view(busy, budgets=_FREE))


def test_a_cheaper_node_takes_the_place_of_a_large_one():
    nodes = [_node("a", _pods(2, _SMALL, "a"), "c-16x-amd64-linux")]
    found = disruption.decide(_view(nodes, budgets=_FREE)).command
    assert found is not None
    (replacement,) = found.replacements
    assert replacement.choice()[0].name == "c-2x-amd64-linux"
    assert replacement.price < nodes[0].price


def test_when_empty_moves_no_pod():
    nodes = [_node("a", _pods(2, _SMALL, "a"), "c-16x-amd64-linux")]
    assert disruption.decide(_view(nodes, budgets=_FREE, consolidation_policy="WhenEmpty")).command is None


def test_protected_pods_and_budgets_hold_their_node():
    for held in ({"is_protected": True}, {"is_evictable": False}):
        nodes = [_node("a", _pods(2, _SMALL, "a", **held), "c-16x-amd64-linux")]
        assert disruption.decide(_view(nodes, budgets=_FREE)).command is None


@pytest.mark.parametrize(
    ("annotation", "seconds"), [("true", math.inf), ("30m", 1800), ("false", 0), ("soon", 0), ("-5m", 0), (None, 0)]
)
def test_do_not_disrupt_is_for_ever_or_for_a_time(annotation, seconds):
    assert disruption.protection_seconds(annotation) == seconds


def test_protection_for_a_time_ends():
    for until, stays in ((1001.0, True), (999.0, False)):
        nodes = [_node("a", _pods(2, _SMALL, "a", protected_until=until), "c-16x-amd64-linux")]
        assert (disruption.decide(_view(nodes, budgets=_FREE)).command is None) == stays


def test_balanced_asks_whether_it_is_worth_it():
    # Little is saved, and half of the pool's pods are moved.
    nodes = [
        _node("a", _pods(3, _SMALL, "a"), "c-2x-amd64-linux"),
        _node("b", _pods(3, _SMALL, "b"), "c-16x-amd64-linux"),
    ]
    view = _view(nodes, budgets=_FREE, consolidation_policy="Balanced")
    found = disruption.decide(view).command
    assert found is not None
    assert "b" in found.nodes


def test_drifted_nodes_go_one_at_a_time_and_before_consolidation():
    nodes = [_node("a", _pods(2, _SMALL, "a"), is_drifted=True), _node("b", _pods(2, _SMALL, "b"), is_drifted=True)]
    found = disruption.decide(_view(nodes, budgets=_FREE)).command
    assert found is not None
    assert (found.method, len(found.nodes)) == ("drift", 1)


def test_expiry_asks_no_budget():
    nodes = [_node("a", expires_at=999.0), _node("b", expires_at=1001.0)]
    assert disruption.expired(_view(nodes, budgets=(Budget("0"),))) == ["a"]


def test_unchanged_cluster_is_not_asked_again():
    nodes = [_node("a", _pods(7, _SMALL, "a"))]
    view = disruption.ClusterView(nodes, _view(nodes, budgets=_FREE).pools, 1000.0, changed_at=900.0)
    idle = disruption.decide(view).idle
    assert idle == ("multi-node", "single-node")
    seen = dict.fromkeys(idle, 1000.0)
    later = disruption.ClusterView(nodes, view.pools, 1010.0, changed_at=900.0, idle_since=seen)
    assert disruption.decide(later).idle == ()
    much_later = disruption.ClusterView(nodes, view.pools, 1300.0, changed_at=900.0, idle_since=seen)
    assert disruption.decide(much_later).idle == ("multi-node", "single-node")


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 7), min_size=1, max_size=6),
    st.integers(0, 5),
    st.sets(st.integers(0, 5), min_size=1, max_size=3),
    st.sets(st.integers(0, 5), max_size=3),
)
def test_counting_answers_as_simulating_does(sizes, pending, asked, settling):
    nodes = [
        _node(f"n{index}", _pods(size, _SMALL, f"n{index}"), consolidatable_at=2000.0 if index in settling else 0.0)
        for index, size in enumerate(sizes)
    ]
    waiting = [PodView(f"new-{index}", _SMALL, 10_000.0 + index) for index in range(pending)]
    rehousing = Rehousing(nodes, waiting, [_pool(requirements=(_ON_DEMAND,))], 1000.0)
    gone = [nodes[index] for index in asked if index < len(nodes)]
    counted, simulated = rehousing.without(gone), rehousing._simulated(gone)
    assert counted.is_complete == simulated.is_complete
    assert [(node.choice()[0].name, len(node.pods)) for node in counted.new_nodes] == [
        (node.choice()[0].name, len(node.pods)) for node in simulated.new_nodes
    ]


# --- What they stand on ----------------------------------------------------------------------------------------------


def test_malformed_budgets_allow_nothing():
    for nodes in ("ten", "-1", "101%", "1.5"):
        assert allowed([Budget(nodes)], "Empty", 100, 0.0) == 0
    assert allowed([Budget("5", schedule="* * * * *")], "Empty", 100, 0.0) == 0


_sets = st.builds(
    lambda operator, values: value_set(operator, tuple(values)),
    st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist"]),
    st.lists(st.sampled_from("abc"), min_size=1, max_size=3),
)


@settings(max_examples=80, deadline=None)
@given(_sets, _sets, st.sampled_from("abcd"))
def test_intersection_has_what_both_have(first, second, value):
    both = first.intersect(second)
    assert both.has(value) == (first.has(value) and second.has(value))
    assert first.meets(second) == (not both.is_empty)


@pytest.mark.parametrize(
    ("operator", "value", "has"),
    [
        ("Gt", "3", False),
        ("Gt", "4", True),
        ("Gte", "3", True),
        ("Lt", "3", False),
        ("Lte", "3", True),
        ("Gt", "x", False),
    ],
)
def test_bounds_compare_numbers(operator, value, has):
    assert value_set(operator, ("3",)).has(value) == has
    assert value_set(operator, ("3",)).intersect(ValueSet(frozenset({value}))).is_empty == (not has)


def test_undefined_labels_are_open_only_where_well_known():
    pool = read_requirements((), {"team": "a"})
    assert conflict(pool, read_requirements((), {ZONE: "a"})) is None
    assert conflict(pool, read_requirements((), {"other": "a"})) == "other"
    assert conflict(pool, read_requirements((SelectorRequirement("other", "NotIn", ("a",)),))) is None
    assert not matches_labels({}, read_requirements((), {"team": "a"}))
    assert matches_labels({}, read_requirements((SelectorRequirement("team", "DoesNotExist"),)))


def test_own_instance_types_have_kwok_s_format(tmp_path):
    path = tmp_path / "types.json"
    path.write_text(format_instance_types(TYPES))
    read = {kind.name: kind for kind in read_instance_types(path)}
    assert len(read) == 144
    for kind in TYPES:
        again = read[kind.name]
        assert (again.capacity, again.pods_max, again.overhead) == (kind.capacity, kind.pods_max, kind.overhead)
        assert [o.price for o in again.offerings] == [o.price for o in kind.offerings]
    path.write_text('[{"name": "a", "offerings": [{"Price": "dear"}]}]')
    with pytest.raises(InvalidManifest, match=r"types.json\[0\]: Expected `float`"):
        read_instance_types(path)


@pytest.mark.parametrize(
    ("schedule", "after", "hit"),
    [
        ("30 6 * * mon-fri", "2026-01-09T07:00", "2026-01-12T06:30"),
        ("0 0 29 2 *", "2026-03-01T00:00", "2028-02-29T00:00"),
        # Both days restricted: either will do.
        ("0 12 13 * fri", "2026-02-01T00:00", "2026-02-06T12:00"),
        ("*/20 8-9 1 jan,jul ?", "2026-01-01T08:40", "2026-01-01T09:00"),
        ("@weekly", "2026-01-07T00:00", "2026-01-11T00:00"),
        ("0 0 31 2 *", "2026-01-01T00:00", None),
    ],
)
def test_cron_is_unix_s(schedule, after, hit):
    found = parse_cron(schedule).next_after(datetime.fromisoformat(after).replace(tzinfo=UTC))
    assert found == (None if hit is None else datetime.fromisoformat(hit).replace(tzinfo=UTC))


@pytest.mark.parametrize("schedule", ["", "* * * *", "60 * * * *", "5-1 * * * *", "*/0 * * * *", "x * * * *"])
def test_what_is_no_schedule_is_refused(schedule):
    with pytest.raises(InvalidManifest):
        parse_cron(schedule)


_KINDS = st.lists(
    st.tuples(st.integers(1, 12), st.sampled_from([250, 900, 2000]), st.sampled_from([1, 3])), min_size=1, max_size=4
)


def _grouped_and_single(kinds):
    """Return the same pods twice: those of a kind with one demand, and each with a demand of its own."""
    grouped, single = [], []
    for index, (count, cpu, memory) in enumerate(kinds):
        shared = Demand(Amounts(cpu, memory * GIB))
        for number in range(count):
            name, created = f"p{index}-{number:02}", float(index * 100 + number)
            grouped.append(PodView(name, shared, created))
            single.append(PodView(name, Demand(Amounts(cpu, memory * GIB)), created))
    return grouped, single


@settings(max_examples=40, deadline=None)
@given(_KINDS, st.integers(0, 3), st.sampled_from([None, "8"]))
def test_equal_pods_at_once_are_provisioned_as_one_by_one(kinds, count, limit):
    nodes = [_node(f"n{index}") for index in range(count)]
    pool = _pool(limits={"cpu": limit} if limit else {}, requirements=(_ON_DEMAND,))
    first, second = (provision(pods, nodes, [pool]) for pods in _grouped_and_single(kinds))
    assert first.nominations == second.nominations
    assert first.unschedulable.keys() == second.unschedulable.keys()
    assert [[pod.name for pod in node.pods] for node in first.new_nodes] == [
        [pod.name for pod in node.pods] for node in second.new_nodes
    ]
    assert _kinds(first) == _kinds(second)


@settings(max_examples=40, deadline=None)
@given(_KINDS, st.integers(1, 4))
def test_equal_pods_at_once_are_placed_as_one_by_one(kinds, count):
    nodes = [_node(f"n{index}") for index in range(count)]
    first, second = (place(pods, nodes) for pods in _grouped_and_single(kinds))
    assert first.bound == second.bound
    assert first.unschedulable == second.unschedulable
