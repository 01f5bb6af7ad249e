"""Paging as Step Functions does it: up to a thousand a page, and `InvalidToken` for what is none of ours."""

from typing import TypeVar

from forebay.api import stepfunctions as api
from forebay.operations.pages import decode_token, encode_token
from forebay.services.stepfunctions import limits
from forebay.store.records import Kind, RecordReader

T = TypeVar("T")


def page(
    reader: RecordReader, kind: Kind[T], prefix: str, token: str | None, limit: int | None
) -> tuple[list[T], str | None]:
    """Return a page of records in key order, and the token of the next page if there is one.

    Raises:
        InvalidToken: the token is not one of ours.
    """
    most = page_size(limit)
    found = reader.list(kind, prefix, after=token_text(token), limit=most + 1)
    more = encode_token(found[most - 1][0]) if len(found) > most else None
    return [value for _, value in found[:most]], more


def page_size(limit: int | None) -> int:
    """Return how many a page has; nothing and 0 mean the default."""
    return limit or limits.PAGE_DEFAULT


def token_text(token: str | None) -> str:
    """Return what a token holds.

    Raises:
        InvalidToken: it is not one of ours.
    """
    try:
        return decode_token(token) if token else ""
    except ValueError:
        raise api.InvalidToken("Invalid Token: 'Invalid token'") from None
