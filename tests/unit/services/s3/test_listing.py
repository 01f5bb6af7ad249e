from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from forebay.services.s3.listing import Page, walk

KEYS = st.lists(st.text("ab/", min_size=1, max_size=6), unique=True, max_size=12).map(sorted)


def page(keys: list[str], prefix: str, delimiter: str | None, after: str, limit: int) -> Page[str]:
    def scan(at: str) -> Iterator[tuple[str, str]]:
        return ((key, key) for key in keys if key.startswith(prefix) and key > at)

    return walk(scan, prefix=prefix, delimiter=delimiter, after=after, limit=limit)


def rolled_up(keys: list[str], prefix: str, delimiter: str) -> list[str]:
    found: list[str] = []
    for key in keys:
        if not key.startswith(prefix):
            continue
        head, mark, _ = key[len(prefix) :].partition(delimiter)
        name = prefix + head + mark
        if name not in found:
            found.append(name)
    return found


@given(KEYS, st.sampled_from(["", "a", "a/"]), st.integers(1, 4))
def test_pages_together_are_the_whole(keys: list[str], prefix: str, limit: int) -> None:
    seen: list[str] = []
    after = ""
    while True:
        found = page(keys, prefix, "/", after, limit)
        seen += sorted([key for key, _ in found.entries] + list(found.common_prefixes))
        assert len(found.entries) + len(found.common_prefixes) <= limit
        if not found.is_truncated:
            break
        after = found.last
    assert seen == rolled_up(keys, prefix, "/")


def test_page_without_delimiter_has_all_keys() -> None:
    found = page(["a/1", "a/2", "b"], "", None, "", 10)
    assert [key for key, _ in found.entries] == ["a/1", "a/2", "b"]
    assert not found.is_truncated


def test_empty_page_is_not_truncated() -> None:
    assert not page(["a"], "", None, "", 0).is_truncated
