"""Manifests are read whole: what a type does not have is named with its place."""

import pytest

from forebay.scaling.manifests.documents import read_manifest, read_text
from forebay.scaling.manifests.keda import ScaledObject
from forebay.scaling.manifests.problem import InvalidManifest
from forebay.scaling.manifests.quantity import (
    format_bytes,
    format_milli,
    format_seconds,
    parse_duration,
    parse_milli,
    parse_quantity,
    parse_whole,
)

_OBJECT = {
    "apiVersion": "keda.sh/v1alpha1",
    "kind": "ScaledObject",
    "metadata": {"name": "orders"},
    "spec": {"scaleTargetRef": {"name": "worker"}, "triggers": [{"type": "cpu"}]},
}


def _problems(**spec):
    read = read_manifest({**_OBJECT, "spec": {**_OBJECT["spec"], **spec}})
    return [(problem.gravity, problem.path) for problem in read.problems]


def test_defaults_are_keda_s():
    spec = read_manifest(_OBJECT).manifest.spec
    assert (spec.polling_interval, spec.cooldown_period, spec.max_replica_count) == (30, 300, 100)


def test_unknown_fields_are_named_with_their_place():
    behavior = {"scaleDown": {"polices": []}}
    found = _problems(
        colour="red",
        triggers=[{"type": "cpu", "metadata": {}, "mode": "fast"}],
        advanced={"horizontalPodAutoscalerConfig": {"behavior": behavior}},
    )
    assert sorted(found) == [
        ("error", "spec.advanced.horizontalPodAutoscalerConfig.behavior.scaleDown.polices"),
        ("error", "spec.colour"),
        ("error", "spec.triggers[0].mode"),
    ]


def test_fields_without_effect_are_warned_of():
    read, problems = read_text(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a, tty: true}], dnsPolicy: Default}"
    )
    assert problems == []
    assert {(problem.gravity, problem.path) for problem in read[0].problems} == {
        ("warning", "spec.containers[0].tty"),
        ("warning", "spec.dnsPolicy"),
    }


def test_nulls_are_absent_as_to_kubernetes():
    read = read_manifest({**_OBJECT, "metadata": {"name": "orders", "annotations": None, "labels": {"a": "b"}}})
    assert isinstance(read.manifest, ScaledObject)
    assert read.manifest.metadata.annotations == {}


def test_wrong_values_name_the_object_and_the_place():
    with pytest.raises(InvalidManifest, match=r"ScaledObject/orders: Expected `int`, got `str` - at `\$.spec.polling"):
        read_manifest({**_OBJECT, "spec": {**_OBJECT["spec"], "pollingInterval": "5"}})


def test_other_kinds_are_told_of_and_wrong_versions_are_errors():
    _, problems = read_text(
        "{apiVersion: v1, kind: Service, metadata: {name: a}}\n---\n"
        "{apiVersion: keda.sh/v2, kind: ScaledObject, metadata: {name: a}}\n---\njust text\n"
    )
    assert [problem.gravity for problem in problems] == ["warning", "error", "error"]


def test_lists_are_read_item_by_item():
    read, problems = read_text(
        "apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Namespace, metadata: {name: a}}]"
    )
    assert ([item.manifest.metadata.name for item in read], problems) == (["a"], [])


@pytest.mark.parametrize(
    ("text", "milli"), [("500m", 500), ("2", 2000), (2, 2000), (0.1, 100), ("1e3", 1_000_000), ("1500u", 2)]
)
def test_quantities_in_milli_units_round_up(text, milli):
    assert parse_milli(text) == milli


@pytest.mark.parametrize(
    ("text", "count"), [("1Gi", 1 << 30), ("1G", 10**9), ("128974848", 128974848), ("1.5Ki", 1536)]
)
def test_quantities_in_whole_units(text, count):
    assert parse_whole(text) == count


@pytest.mark.parametrize("text", ["", "1GB", "one", "1 Gi", "--1"])
def test_texts_that_are_no_quantities_are_refused(text):
    with pytest.raises(InvalidManifest):
        parse_quantity(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("1h30m", 5400), ("300ms", 0.3), ("0", 0), ("720h", 2_592_000), ("-1.5s", -1.5)]
)
def test_durations_are_go_s(text, seconds):
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "5 m", "5x", "m5"])
def test_texts_that_are_no_durations_are_refused(text):
    with pytest.raises(InvalidManifest, match="time: invalid duration"):
        parse_duration(text)


def test_numbers_are_written_as_kubernetes_prints_them():
    assert [format_milli(5000), format_milli(2500), format_bytes(1 << 30), format_bytes(1000)] == [
        "5",
        "2500m",
        "1Gi",
        "1000",
    ]
    assert [format_seconds(s) for s in (0, 45, 300, 5400, float("inf"))] == ["0s", "45s", "5m", "1h30m", "Never"]
