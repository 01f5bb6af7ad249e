"""Paging over a list that is at hand: an opaque token names the last item of the page before."""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def page_of(items: Sequence[T], key: Callable[[T], str], token: str | None, limit: int) -> tuple[list[T], str | None]:
    """Return the page of `items` (sorted by `key`, which is unique) behind `token`, and the next token or None.

    Raises:
        ValueError: the token is not one of ours; callers answer with their service's own error.
    """
    after = decode_token(token) if token else None
    rest = list(items) if after is None else [item for item in items if key(item) > after]
    page = rest[:limit]
    return page, encode_token(key(page[-1])) if page and len(rest) > limit else None


def encode_token(text: str) -> str:
    """Return an opaque token that holds `text`."""
    return base64.urlsafe_b64encode(text.encode()).decode()


def decode_token(token: str) -> str:
    """Return what `encode_token` was given.

    Raises:
        ValueError: the token is not one of ours.
    """
    try:
        return base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError) as error:
        raise ValueError(f"not a token: {token}") from error
