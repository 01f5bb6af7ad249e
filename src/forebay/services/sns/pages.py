"""Paging: most lists of SNS have pages of one size."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from forebay.operations.pages import page_of
from forebay.services.sns import limits
from forebay.services.sns.errors import invalid_parameter

T = TypeVar("T")


def page(
    items: Sequence[T], key: Callable[[T], str], token: str | None, limit: int = limits.PAGE_MAX
) -> tuple[list[T], str | None]:
    """Return the page of sorted items behind a token, and the token of the next page.

    Raises:
        InvalidParameter: the token is none of ours.
    """
    try:
        return page_of(items, key, token, limit)
    except ValueError:
        raise invalid_parameter("NextToken") from None
