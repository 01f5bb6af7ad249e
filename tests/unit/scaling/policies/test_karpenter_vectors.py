"""Karpenter's decisions against the vectors restated from karpenter v1.14.1."""

from datetime import datetime

import pytest

from forebay.scaling.manifests.karpenter import (
    Budget,
    ClaimTemplate,
    ClaimTemplateSpec,
    NodeClassReference,
    NodePool,
    NodePoolSpec,
)
from forebay.scaling.manifests.meta import ObjectMeta
from forebay.scaling.policies import budgets
from forebay.scaling.policies.demand import Demand
from forebay.scaling.policies.disruption import balanced_score
from forebay.scaling.policies.instance_types import (
    InstanceType,
    Offering,
    aws_kube_reserved,
    kwok_instance_types,
)
from forebay.scaling.policies.node import PodView
from forebay.scaling.policies.nodepools import Pool
from forebay.scaling.policies.provisioning import provision
from forebay.scaling.policies.requirements import ARCH, CAPACITY_TYPE, ValueSet
from forebay.scaling.policies.resources import Amounts
from tests.unit.scaling.vectors import document, vectors

_OVERHEAD = Amounts(100, 10 << 20)


def _type(entry) -> InstanceType:
    return InstanceType(
        name=entry["name"],
        capacity=Amounts(entry["cpuMilli"], entry["memBytes"]),
        pods_max=entry.get("pods", 110),
        requirements={ARCH: ValueSet(frozenset({entry.get("arch", "amd64")}))},
        offerings=(Offering(entry["price"], {CAPACITY_TYPE: ValueSet(frozenset({"on-demand"}))}),),
        overhead=_OVERHEAD,
    )


def _pods(case) -> list[PodView]:
    groups = case.get("podGroups") or [{**pod, "count": 1} for pod in case["pods"]]
    found: list[PodView] = []
    for group in groups:
        demand = Demand(
            Amounts(group.get("cpuMilli", 0), group.get("memBytes", 0)),
            selector={ARCH: group["arch"]} if "arch" in group else {},
        )
        found += [PodView(f"pod-{len(found) + index:03}", demand) for index in range(group["count"])]
    return found


@pytest.mark.parametrize("case", vectors("karpenter", "binpack"))
def test_pods_are_packed_as_upstream_packs_them(case):
    table = case.get("instanceTypesInline") or document("karpenter")["binpack_instance_types"][case["instanceTypes"]]
    template = ClaimTemplate(ClaimTemplateSpec((), NodeClassReference("karpenter.kwok.sh", "KWOKNodeClass", "default")))
    pool = Pool(NodePool(ObjectMeta(name="default"), NodePoolSpec(template)), tuple(_type(entry) for entry in table))
    plan = provision(_pods(case), [], [pool])
    found = sorted((node.choice()[0].name, len(node.pods)) for node in plan.new_nodes)
    assert found == sorted((node["type"], node["pods"]) for node in case["expect"]["nodes"])
    assert len(plan.unschedulable) == case["expect"]["unschedulable"]
    if "offeredTypes" in case["expect"]:
        # The vector lists the offer by name; by price the chosen one comes first.
        offered = [kind.name for kind in plan.new_nodes[0].types]
        assert (offered[0], sorted(offered)) == (case["expect"]["nodes"][0]["type"], case["expect"]["offeredTypes"])


def _budget(entry) -> Budget:
    duration = f"{entry['durationSeconds']}s" if "durationSeconds" in entry else None
    return Budget(entry.get("nodes", "10%"), tuple(entry.get("reasons", ())), entry.get("schedule"), duration)


@pytest.mark.parametrize("case", vectors("karpenter", "budgets"))
def test_budgets_allow_what_upstream_s_allow(case):
    # No `now` is about a budget without a schedule.
    now = datetime.fromisoformat(case.get("now", "2000-01-01T00:00:00Z")).timestamp()
    found = [_budget(entry) for entry in case["budgets"]]
    for reason, expected in case["expect"].items():
        assert budgets.allowed(found, reason, case["nodes"], now) == expected, reason


@pytest.mark.parametrize("case", vectors("karpenter", "budget_active"))
def test_budget_is_active_for_its_duration(case):
    now = datetime.fromisoformat(case["nowUTC"]).timestamp()
    assert budgets.is_active(_budget(case), now) == case["expect"]


def test_kwok_types_are_upstream_s():
    ours = {kind.name: kind for kind in kwok_instance_types()}
    assert len(ours) == 144
    for entry in document("karpenter")["kwok_instance_types"]["linux_amd64"]:
        kind = ours[entry["name"]]
        assert (kind.capacity.cpu_milli, kind.capacity.memory_bytes) == (entry["cpu"] * 1000, entry["memGi"] << 30)
        assert kind.pods_max == entry["pods"]
        prices = {next(iter(o.requirements[CAPACITY_TYPE].values)): o.price for o in kind.offerings}
        assert prices == {
            "on-demand": pytest.approx(entry["onDemand"], rel=1e-12),
            "spot": pytest.approx(entry["spot"], rel=1e-12),
        }


def test_aws_overhead_is_as_published():
    for entry in document("karpenter")["aws_overhead"]["examples"]:
        reserved = aws_kube_reserved(entry["vcpu"], entry["pods"])
        assert reserved.cpu_milli == entry["kubeReservedCpuMilli"]
        assert reserved.memory_bytes == entry["kubeReservedMemMi"] << 20


@pytest.mark.parametrize("case", vectors("karpenter", "balanced_score"))
def test_balanced_weighs_savings_against_disruption(case):
    score = balanced_score(case["savings"], case["disruption"], case["totalCost"], case["totalDisruption"])
    assert score == pytest.approx(float(case["expect"]["score"]))
    assert (score >= 1 / case["k"]) == case["expect"]["approved"]
