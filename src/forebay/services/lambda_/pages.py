"""Paging, with Lambda's own answer to a marker that it never gave."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from forebay.operations.pages import page_of
from forebay.services.lambda_ import limits
from forebay.services.lambda_.errors import invalid

T = TypeVar("T")


def page(
    items: Sequence[T], key: Callable[[T], str], marker: str | None, limit: int | None, most: int = limits.PAGE_MAX
) -> tuple[list[T], str | None]:
    """Return the page of sorted items behind a marker, and the marker of the next page.

    Raises:
        InvalidParameterValueException: the marker is none of ours.
    """
    try:
        return page_of(items, key, marker, min(limit or most, most))
    except ValueError:
        raise invalid("Invalid Marker") from None
