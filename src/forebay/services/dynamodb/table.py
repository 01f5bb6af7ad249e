"""Tables and their indexes as they are kept, and the keys that they have."""

from typing import Literal

import msgspec

from forebay.core.arn import Arn
from forebay.languages.dynamodb.key_condition import KeyAttributes
from forebay.store.records import Kind, record_key

Projection = Literal["ALL", "KEYS_ONLY", "INCLUDE"]


class Throughput(msgspec.Struct, frozen=True):
    """Read and write units: provisioned, at most (on demand), or warm."""

    read: int | None = None
    write: int | None = None


class Index(msgspec.Struct, frozen=True):
    """A secondary index; `number` names it in the store."""

    name: str
    number: int
    partition: tuple[str, ...]
    sort: tuple[str, ...]
    is_global: bool
    projection: Projection = "ALL"
    non_key_attributes: tuple[str, ...] = ()
    status: str = "ACTIVE"
    is_backfilling: bool = False
    throughput: Throughput = Throughput()
    on_demand: Throughput | None = None
    warm: Throughput | None = None


class StreamSetting(msgspec.Struct, frozen=True):
    """The stream that a table writes to."""

    view_type: str
    label: str


class TimeToLive(msgspec.Struct, frozen=True):
    """The attribute that says when items expire; `number` is the index by which they are found."""

    attribute: str
    number: int
    is_enabled: bool = True
    changed_at: float = 0.0


class Encryption(msgspec.Struct, frozen=True):
    """Encryption settings, kept and shown."""

    type: str = "KMS"
    key_arn: str = ""


class Recovery(msgspec.Struct, frozen=True):
    """Point-in-time recovery: since when, and how far back."""

    since: float
    days: int = 35


class Restored(msgspec.Struct, frozen=True):
    """What a table was restored from."""

    at: float
    table_arn: str
    backup_arn: str | None = None
    in_progress: bool = False


class Table(msgspec.Struct, frozen=True):
    """A table. `number` names it in the store, `types` has the type of every key attribute."""

    account: str
    region: str
    name: str
    number: int
    id: str
    created_at: float
    partition: tuple[str, ...]
    sort: tuple[str, ...]
    types: dict[str, str]
    # In the order in which they were defined, which is the one in which they are shown.
    indexes: tuple[Index, ...] = ()
    billing_mode: str = "PROVISIONED"
    has_billing_summary: bool = False
    on_demand_since: float | None = None
    throughput: Throughput = Throughput()
    increased_at: float | None = None
    decreased_at: float | None = None
    decreases: tuple[float, ...] = ()
    on_demand: Throughput | None = None
    warm: Throughput | None = None
    table_class: str | None = None
    class_changed_at: float | None = None
    deletion_protection: bool = False
    encryption: Encryption | None = None
    stream: StreamSetting | None = None
    latest_stream_label: str | None = None
    ttl: TimeToLive | None = None
    recovery: Recovery | None = None
    restored: Restored | None = None
    tags: dict[str, str] = {}
    policy: str | None = None
    policy_revision: str | None = None
    # What goes on in the background: an import or a restore fills the table, which is then not usable yet.
    filling: str | None = None

    def key(self) -> str:
        """Return the key of the record."""
        return table_key(self.account, self.region, self.name)

    def arn(self) -> str:
        """Return the table's ARN."""
        return str(Arn.of("dynamodb", self.region, self.account, f"table/{self.name}"))

    def stream_arn(self) -> str | None:
        """Return the ARN of the latest stream."""
        return None if self.latest_stream_label is None else f"{self.arn()}/stream/{self.latest_stream_label}"

    def attributes(self) -> KeyAttributes:
        """Return the table's own key."""
        return KeyAttributes(self.partition, self.sort, self.types)

    def find_index(self, name: str) -> Index | None:
        """Return an index by its name."""
        return next((index for index in self.indexes if index.name == name), None)

    def status(self) -> str:
        """Return the status as DescribeTable says it."""
        if self.filling is not None:
            return "CREATING"
        return "ACTIVE" if all(index.status == "ACTIVE" for index in self.indexes) else "UPDATING"


TABLE = Kind("dynamodb.table", Table)


def table_key(account: str, region: str, name: str) -> str:
    """Return the key of a table's record."""
    return record_key(account, region, name)


class DroppedTable(msgspec.Struct, frozen=True):
    """What is left to do of a table that was deleted: its items."""

    number: int


class StreamRecord(msgspec.Struct, frozen=True):
    """A stream, which outlives its table's setting by a day."""

    account: str
    region: str
    table: str
    table_id: str
    label: str
    view_type: str
    created_at: float
    partition: tuple[str, ...]
    sort: tuple[str, ...]
    disabled_at: float | None = None

    def key(self) -> str:
        """Return the key of the record."""
        return record_key(self.account, self.region, self.table, self.label)

    def arn(self) -> str:
        """Return the stream's ARN."""
        return str(Arn.of("dynamodb", self.region, self.account, f"table/{self.table}/stream/{self.label}"))


STREAM = Kind("dynamodb.stream", StreamRecord)
