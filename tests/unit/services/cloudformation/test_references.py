from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.core.errors import ServiceError
from forebay.services.cloudformation.template.references import (
    Reference,
    check_references,
    dependencies,
    order,
    references_in,
)
from forebay.services.cloudformation.template.sections import Template, read_template


def template(resources: dict[str, Any], **sections: Any) -> Template:
    return read_template({"Resources": {name: {"Type": "T", **item} for name, item in resources.items()}, **sections})


def problem(resources: dict[str, Any], **sections: Any) -> str:
    with pytest.raises(ServiceError) as raised:
        check_references(template(resources, **sections))
    return raised.value.message


def test_references_are_found_in_every_form() -> None:
    value = {"a": [{"Ref": "A"}, {"Fn::Sub": ["${B} ${C.Arn} ${v}", {"v": {"Fn::GetAtt": "D.X"}}]}]}
    assert list(references_in(value)) == [
        Reference("A"),
        Reference("D", "X", "Fn::GetAtt"),
        Reference("B", None, "Fn::Sub"),
        Reference("C", "Arn", "Fn::Sub"),
    ]


def test_unknown_name_is_refused() -> None:
    assert problem({"A": {"Properties": {"p": {"Ref": "Gone"}}}}) == (
        "Template format error: Unresolved resource dependencies [Gone] in the Resources block of the template"
    )
    assert problem({"A": {}}, Outputs={"O": {"Value": {"Ref": "Gone"}}}) == (
        "Template format error: Unresolved resource dependencies [Gone] in the Outputs block of the template"
    )
    assert problem({"A": {"DependsOn": "Gone"}}) == (
        "Template format error: Unresolved resource dependencies [Gone] in the Resources block of the template"
    )


def test_attribute_of_an_unknown_resource_is_refused() -> None:
    text = "Template error: instance of Fn::GetAtt references undefined resource Gone"
    assert problem({"A": {"Properties": {"p": {"Fn::GetAtt": ["Gone", "Arn"]}}}}) == text


def test_unknown_condition_is_refused() -> None:
    text = "Template format error: Unresolved condition dependency C in the Resources block of the template"
    assert problem({"A": {"Condition": "C"}}) == text


def test_unknown_names_in_functions_are_refused_wherever_they_stand() -> None:
    hidden = {"Fn::If": ["Never", {"Fn::If": ["Gone", 1, 2]}, 3]}
    text = "Template error: unresolved condition dependency Gone in Fn::If"
    assert problem({"A": {"Properties": {"p": hidden}}}, Conditions={"Never": {"Fn::Equals": ["a", "b"]}}) == text
    lookup = {"Fn::FindInMap": ["Gone", "a", "b"]}
    text = "Template error: Mapping named 'Gone' is not present in the 'Mappings' section of template."
    assert problem({"A": {"Properties": {"p": [lookup]}}}) == text


def test_cycle_is_refused_with_its_members() -> None:
    cycle = {
        "A": {"Properties": {"p": {"Ref": "B"}}},
        "B": {"DependsOn": ["C"]},
        "C": {"Properties": {"p": {"Fn::Sub": "${A.Arn}"}}},
        "D": {"Properties": {"p": {"Ref": "A"}}},
        "E": {},
    }
    assert problem(cycle) == "Circular dependency between resources: [A, B, C]"


def test_dependencies_leave_out_what_is_not_kept() -> None:
    both = template({"A": {"Properties": {"p": {"Ref": "B"}}}, "B": {}})
    assert dependencies(both, ["A"]) == {"A": frozenset()}
    assert dependencies(both, ["A", "B"]) == {"A": frozenset({"B"}), "B": frozenset()}


@given(st.dictionaries(st.integers(0, 12), st.frozensets(st.integers(0, 12)), max_size=12))
def test_order_puts_each_after_those_it_needs(edges: dict[int, frozenset[int]]) -> None:
    # Edges to smaller numbers only: no cycle.
    graph = {str(n): frozenset(str(m) for m in needed if m < n and m in edges) for n, needed in edges.items()}
    ordered = order(graph)
    assert sorted(ordered) == sorted(graph)
    for name, needed in graph.items():
        assert all(ordered.index(other) < ordered.index(name) for other in needed)
