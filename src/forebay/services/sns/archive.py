"""Archives of FIFO topics: the entry of a message in its topic's log, and the place of a replay in it.

A topic with an archive policy appends each message to a log of its own, in the commit that takes it. A subscription
with a replay policy gets what lies there from its starting point on, in order, and then what is newly published; with
an ending point it gets nothing new.
"""

import msgspec

from forebay.core.decoding import new_json_decoder
from forebay.services.sns.message import Publication
from forebay.store.commands import AppendLog, LogEntry

REPLAY_TIMER = "sns.replay"

_DAY_MS = 86_400_000


class ReplayPlace(msgspec.Struct, frozen=True):
    """What a replay's timer holds: whose it is, and behind which position of the archive it goes on."""

    replay_id: str
    position: int = 0


_decode_place = msgspec.json.Decoder(ReplayPlace).decode
_decode_publication = new_json_decoder(Publication).decode


def archive_stream(archive: str) -> str:
    """Return the name of the log of a topic's archive."""
    return f"sns/archive/{archive}"


def archived(publication: Publication, archive: str, retention_days: int) -> AppendLog:
    """Return the command that archives a message."""
    at_ms = int(publication.at * 1000)
    entry = LogEntry(at_ms, msgspec.json.encode(publication), at_ms + retention_days * _DAY_MS)
    return AppendLog(archive_stream(archive), (entry,))


def read_archived(data: bytes) -> Publication:
    """Return an archived message as it is replayed."""
    return msgspec.structs.replace(_decode_publication(data), is_replayed=True)


def read_place(data: bytes) -> ReplayPlace:
    """Return what a replay's timer holds."""
    return _decode_place(data)
