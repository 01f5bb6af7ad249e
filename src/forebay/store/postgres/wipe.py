"""Emptying the store. Records go as if each were deleted, so that other nodes learn of it; the rest just goes."""

from collections.abc import Sequence

from forebay.store.postgres.connection import Statement
from forebay.store.postgres.records import given_key
from forebay.store.postgres.session import Session

_TRUNCATE = Statement(
    "TRUNCATE queue_count, tenant_count, noisy_tenant, queue, message, message_group, duplicate, receive_attempt,"
    " stream, entry, timer, timer_count, item, item_entry, item_count, blob"
)
_KEYS = Statement(
    "SELECT kind, key FROM record WHERE value IS NOT NULL AND kind = ANY ($1::text[]) ORDER BY 1, 2", "text[]"
)
_DELETE = Statement(
    "UPDATE record SET value = NULL, version = (SELECT version + 1 FROM control), node = $1::int8, deleted_at = now()"
    " WHERE value IS NOT NULL",
    "int8",
)
_ADVANCE = Statement("UPDATE control SET version = version + 1")


def wipe(session: Session, node: int, watched: Sequence[str]) -> None:
    """Delete everything but the numbers already given; `watched` kinds of records tell their going."""
    session.flush()
    for kind, key in session.fetch(_KEYS, sorted(watched)):
        session.changes.append((kind, given_key(key), None))
    session.change(_DELETE, node)
    session.change(_ADVANCE)
    session.change(_TRUNCATE)
