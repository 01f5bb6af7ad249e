"""Reads the case files of this folder: a JSON array of {name, input, expected}."""

import json
from pathlib import Path

import pytest

CASES = Path(__file__).parent / "cases"


def cases_of(name: str) -> list[object]:
    """Return a file's cases as pytest parameters (input, expected), named by their names."""
    cases = json.loads((CASES / f"{name}.json").read_text())
    assert len({case["name"] for case in cases}) == len(cases), f"names repeat in {name}.json"
    return [pytest.param(case["input"], case["expected"], id=case["name"]) for case in cases]
