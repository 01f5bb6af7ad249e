"""Formulas over triggers, as expr-lang evaluates them."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.scaling.manifests.keda import (
    Advanced,
    ScaledObject,
    ScaledObjectSpec,
    ScaleTarget,
    ScalingModifiers,
    Trigger,
)
from forebay.scaling.manifests.meta import ObjectMeta
from forebay.scaling.manifests.problem import InvalidManifest
from forebay.scaling.policies.expression import InvalidFormula, parse_formula
from forebay.scaling.policies.scaling_modifiers import read_modifiers

_VALUES = {"a": 4.0, "b": 10.0, "gone": None}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("(a + b) / 2", 7.0),
        ("a > 2 ? a + b : 1", 14.0),
        ("a > 5 ? 1 : b > 5 ? 2 : 3", 2.0),
        ("2 ** 3 ** 2", 512.0),
        ("-a + b", 6.0),
        ("b % a", 2.0),
        ("gone ?? a", 4.0),
        # ?? binds more tightly than anything else.
        ("gone ?? 5 + 1", 6.0),
        ("count([a, b], {# > 5}) > 0 ? 5 : 0", 5.0),
        ("count([a > 1, b > 20])", 1.0),
        ("max(a, b) - min([a, b])", 6.0),
        ("sum([a, b], # * 2)", 28.0),
        ("mean([a, b]) + median([a, b, 100])", 17.0),
        ("sum(filter([a, b], # > 5))", 10.0),
        ("any([a, b], # == 10) and not all([a, b], # > 5) ? ceil(a / 3) : floor(b / 3)", 2.0),
        ("4 in [a, b] ? 1 : 0", 1.0),
        ("let x = a * 2; x + 1", 9.0),
        ("int(b / 4) + round(2.5)", 5.0),
    ],
)
def test_formula_has_its_value(text, value):
    assert parse_formula(text).value(_VALUES) == value


@pytest.mark.parametrize(
    "text",
    ["", "a +", "(a", "a b", "unknown(a)", "a ? b", "[a, b", "count([a], {# > 1)", "a & b", "map([a])", "let = 1; 2"],
)
def test_what_is_no_formula_is_refused(text):
    with pytest.raises(InvalidFormula):
        parse_formula(text)


@pytest.mark.parametrize("text", ["a > b", "[a]", "gone", "gone + 1", "a + true", "a and b", "mean([])", "7.5 % 2"])
def test_formula_without_a_number_fails(text):
    with pytest.raises(InvalidFormula):
        parse_formula(text).value(_VALUES)


def test_nesting_is_bounded():
    with pytest.raises(InvalidFormula, match="nested too deeply"):
        parse_formula("(" * 200 + "a" + ")" * 200)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(InvalidFormula):
        parse_formula(text)


def _object(formula, target="2", names=("a", "b")):
    modifiers = ScalingModifiers(formula=formula, target=target, activation_target="1")
    triggers = tuple(Trigger("cron", name=name) for name in names)
    spec = ScaledObjectSpec(ScaleTarget("worker"), triggers, advanced=Advanced(scaling_modifiers=modifiers))
    return ScaledObject(ObjectMeta(name="orders"), spec)


def test_composite_is_never_negative_and_is_active_above_its_threshold():
    composite = read_modifiers(_object("a - b"))
    assert composite is not None
    assert composite.value({"a": 1.0, "b": 5.0}) == 0.0
    assert composite.value({"a": 5.0, "b": 1.0}) == 4.0
    assert (composite.is_active(1.0), composite.is_active(1.1)) == (False, True)


def test_division_by_zero_counts_as_nothing():
    composite = read_modifiers(_object("a / b"))
    assert composite is not None
    assert composite.value({"a": 1.0, "b": 0.0}) == 0.0


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (_object("a + c"), "unknown name c"),
        (_object("a +"), "error compiling formula"),
        (_object("a", target=""), "target is empty"),
        (_object("a", target="-1"), "must be greater than 0"),
        (_object("a", names=("a", "a")), "must be unique"),
        (_object("a", names=("a", "")), "name is required"),
    ],
)
def test_wrong_modifiers_are_refused(made, text):
    with pytest.raises(InvalidManifest, match=text):
        read_modifiers(made)
