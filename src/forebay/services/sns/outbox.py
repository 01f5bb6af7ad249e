"""The local outbox: mails of topics (and one-time passwords of phone numbers) as they were, or would have been, sent.

It is a log of the store, read by `forebay topics outbox`. Without an SMTP server it is the only place where mails go;
with one they are there as well, once the server has taken them.
"""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from forebay.operations.call import Caller
from forebay.store.commands import AppendLog, LogEntry, ReadLog
from forebay.store.contract import Store

_STREAM = "sns/outbox"
_KEPT_MS = 7 * 86_400_000
_READ_MAX = 1_000


class OutboxMessage(msgspec.Struct, frozen=True):
    """One message: what it is, to whom, and its text. `at` is in seconds since the epoch."""

    message_id: str
    at: float
    kind: Literal["email", "sms"]
    to: str
    sender: str
    subject: str
    text: str
    topic: str = ""


_decode = msgspec.json.Decoder(OutboxMessage).decode


class Outbox:
    """Writes and reads the outbox."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @staticmethod
    def append(message: OutboxMessage) -> AppendLog:
        """Return the command that keeps a message for a week."""
        at_ms = int(message.at * 1000)
        return AppendLog(_STREAM, (LogEntry(at_ms, msgspec.json.encode(message), at_ms + _KEPT_MS),))

    async def show(self, _caller: Caller, query: Mapping[str, str]) -> object:
        """Answer `/_forebay/sns/outbox`: the newest messages, oldest first; `to` and `limit` narrow them."""
        wanted, limit = query.get("to"), _limit(query.get("limit"))
        newest = ReadLog(_STREAM, _READ_MAX, newest_first=True)
        entries = await self._store.view(lambda view: view.ask(newest))
        messages = [_decode(entry.data) for entry in entries]
        found = [message for message in messages if wanted in {None, message.to}][:limit]
        shown: list[dict[str, Any]] = [msgspec.to_builtins(message) for message in reversed(found)]
        return {"messages": shown}


def text_message(message_id: str, at: float, to: str, text: str) -> OutboxMessage:
    """Return a text message for the outbox."""
    return OutboxMessage(message_id, at, "sms", to, "", "", text)


def _limit(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() and text else _READ_MAX
