import pytest

from forebay.services.s3.condition import (
    InvalidRange,
    NotModified,
    PreconditionFailed,
    byte_range,
    check_read_conditions,
    check_write_conditions,
    part_range,
)
from forebay.services.s3.object import ObjectVersion

VERSION = ObjectVersion(key="k", modified_at=1000.7, etag='"aa"', size=10, parts=(6, 4))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("bytes=0-3", (0, 4)),
        ("bytes=4-", (4, 10)),
        ("bytes=-3", (7, 10)),
        ("bytes=-30", (0, 10)),
        ("bytes=8-99", (8, 10)),
        ("bytes=5-4", None),
        ("bytes=0-1,3-4", None),
        ("items=0-1", None),
        ("bytes=-", None),
    ],
)
def test_byte_range(text: str | None, expected: tuple[int, int] | None) -> None:
    assert byte_range(text, 10) == expected


@pytest.mark.parametrize(("text", "size"), [("bytes=10-", 10), ("bytes=0-0", 0), ("bytes=-0", 10)])
def test_range_behind_the_end_is_refused(text: str, size: int) -> None:
    with pytest.raises(InvalidRange):
        byte_range(text, size)


def read(**given: object) -> None:
    conditions = {"match": None, "none_match": None, "modified_since": None, "unmodified_since": None, **given}
    check_read_conditions(VERSION, **conditions)


@pytest.mark.parametrize(
    "given",
    [
        {"match": '"aa"'},
        {"match": '"bb", "aa"'},
        {"match": "*", "unmodified_since": 1.0},
        {"none_match": '"bb"', "modified_since": 5000.0},
        {"modified_since": 999.0},
        {"unmodified_since": 1000.0},
    ],
)
def test_conditions_that_hold(given: dict[str, object]) -> None:
    read(**given)


@pytest.mark.parametrize("given", [{"match": '"bb"'}, {"unmodified_since": 999.0}])
def test_failed_preconditions(given: dict[str, object]) -> None:
    with pytest.raises(PreconditionFailed):
        read(**given)


@pytest.mark.parametrize("given", [{"none_match": '"aa"'}, {"modified_since": 1000.0}])
def test_not_modified(given: dict[str, object]) -> None:
    with pytest.raises(NotModified):
        read(**given)


def test_write_only_where_nothing_is() -> None:
    check_write_conditions(None, None, "*")
    check_write_conditions(ObjectVersion(key="k", modified_at=1, is_marker=True), None, "*")
    with pytest.raises(PreconditionFailed):
        check_write_conditions(VERSION, None, "*")


def test_part_of_an_object() -> None:
    assert part_range(VERSION, 2) == (6, 10)
