"""Properties of the wrong kind, in CloudFormation's words."""

import pytest

from forebay.services.cloudformation.resources.schema import Schema, coerce, find_mismatch

SCHEMA = Schema(
    properties={
        "Name": "string",
        "Count": "integer",
        "Document": "json",
        "Tags": [{"Key": "string"}],
        "Map": {"*": "string"},
    }
)


@pytest.mark.parametrize(
    ("properties", "mismatch"),
    [
        ({"Name": 5, "Count": "7", "Document": [], "Tags": [{"Key": "a"}], "Map": {"a": "b"}}, None),
        ({"Document": "text", "Tags": None}, None),
        ({"Name": {"a": 1}}, "#/Name: expected type: String, found: JSONObject"),
        ({"Count": [1]}, "#/Count: expected type: Integer, found: JSONArray"),
        ({"Tags": [{"Key": "a"}, 5]}, "#/Tags/1: expected type: JSONObject, found: Integer"),
        ({"Map": "text"}, "#/Map: expected type: JSONObject, found: String"),
        ({"Map": {"a": {"b": True}}}, "#/Map/a: expected type: String, found: JSONObject"),
    ],
)
def test_mismatch_names_path_and_kinds(properties, mismatch):
    assert find_mismatch(SCHEMA, coerce(SCHEMA, properties)) == mismatch
