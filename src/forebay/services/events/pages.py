"""Paging, with EventBridge's own answer to a token that it never gave."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from forebay.operations.pages import page_of
from forebay.services.events import limits
from forebay.services.events.errors import validation_error

T = TypeVar("T")


def page(
    items: Sequence[T], key: Callable[[T], str], token: str | None, limit: int | None
) -> tuple[list[T], str | None]:
    """Return the page of sorted items behind a token, and the token of the next page.

    Raises:
        ValidationException: the token is none of ours.
    """
    try:
        return page_of(items, key, token, limit or limits.PAGE_MAX)
    except ValueError:
        raise validation_error("Parameter NextToken is not valid.") from None
