import pytest

from forebay.languages.json_path import MISSING, InvalidJsonPath, JsonPath
from tests.unit.languages.cases import cases_of


@pytest.mark.parametrize(("given", "expected"), cases_of("json_path"))
def test_path_leads_to_value(given, expected):
    found = JsonPath.parse(given["path"]).find(given["document"])
    if expected == {"$missing": True}:
        assert found is MISSING
    else:
        assert found == expected


@pytest.mark.parametrize(("given", "expected"), cases_of("json_path_errors"))
def test_unsupported_path_is_refused(given, expected):
    assert expected is False
    with pytest.raises(InvalidJsonPath):
        JsonPath.parse(given)
