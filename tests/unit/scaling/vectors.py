"""The vectors beside the project: restated from upstream tests, read from there and not copied."""

import json
from pathlib import Path
from typing import Any

import pytest

_FOLDER = Path(__file__).resolve().parents[4] / "shared" / "vectors"


def vectors(name: str, table: str) -> list[Any]:
    """Return one table's cases, or a single skipped one where the vectors are absent."""
    path = _FOLDER / f"{name}_vectors.json"
    if not path.is_file():
        return [pytest.param({}, marks=pytest.mark.skip(reason=f"{path.name} is not beside the project"))]
    cases = json.loads(path.read_text())[table]
    return [pytest.param(case, id=str(case.get("name", index))) for index, case in enumerate(cases)]


def document(name: str) -> dict[str, Any]:
    """Return a whole file of vectors, or skip."""
    path = _FOLDER / f"{name}_vectors.json"
    if not path.is_file():
        pytest.skip(f"{path.name} is not beside the project")
    return json.loads(path.read_text())
