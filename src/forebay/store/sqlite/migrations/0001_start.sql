-- Small numbers that must survive: how far positions have been reserved.
CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;

-- The control plane. A rowid table, because values (templates, policies) may be large.
CREATE TABLE record (
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (kind, key)
);

CREATE TABLE sequence (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;

-- Exact counters of a queue, written once a commit. Messages at or before `purged_through` are gone, though their
-- rows may still wait to be swept.
CREATE TABLE queue (
    number INTEGER PRIMARY KEY,
    ready INTEGER NOT NULL,
    delayed INTEGER NOT NULL,
    in_flight INTEGER NOT NULL,
    purged_through INTEGER NOT NULL,
    is_swept INTEGER NOT NULL
);
CREATE INDEX queue_unswept ON queue (number) WHERE is_swept = 0;

-- `id` is queue number * 2^42 + position: a queue's messages lie together, in order, without a further index.
-- `state`: 0 ready, 1 delayed, 2 in flight. `order_key` is like `id`, but moves back when a message was received often.
CREATE TABLE message (
    id INTEGER PRIMARY KEY,
    state INTEGER NOT NULL,
    order_key INTEGER NOT NULL,
    queue INTEGER NOT NULL,
    visible_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    receive_count INTEGER NOT NULL,
    first_received_at INTEGER,
    sent_at INTEGER NOT NULL,
    dead_letter_source INTEGER,
    message_id TEXT NOT NULL,
    group_id TEXT,
    deduplication_id TEXT,
    attributes BLOB NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX message_ready ON message (order_key) WHERE state = 0;
CREATE INDEX message_hidden ON message (queue, visible_at, state) WHERE state > 0;
CREATE INDEX message_expiry ON message (expires_at);

-- `disorder` is how far behind the latest time so far an entry's time ever was: with it, a range of times lies within a
-- range of positions.
-- A dropped stream has no name; its entries wait to be swept.
CREATE TABLE stream (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT UNIQUE,
    last_position INTEGER NOT NULL,
    latest_at INTEGER NOT NULL,
    disorder INTEGER NOT NULL,
    entries INTEGER NOT NULL
);
CREATE INDEX stream_dropped ON stream (number) WHERE name IS NULL;

CREATE TABLE entry (
    stream INTEGER NOT NULL,
    position INTEGER NOT NULL,
    at INTEGER NOT NULL,
    expires_at INTEGER,
    data BLOB NOT NULL
);
CREATE UNIQUE INDEX entry_position ON entry (stream, position);
CREATE INDEX entry_time ON entry (stream, at, position);
CREATE INDEX entry_expiry ON entry (expires_at) WHERE expires_at IS NOT NULL;

-- `ready_at` is the due time or, while it is claimed, the end of the lease. `epoch` is 0 while nobody claimed it.
CREATE TABLE timer (
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    ready_at INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    data BLOB NOT NULL
);
CREATE UNIQUE INDEX timer_key ON timer (kind, key);
CREATE INDEX timer_ready ON timer (kind, ready_at, key);

CREATE TABLE timer_count (
    kind TEXT PRIMARY KEY,
    total INTEGER NOT NULL
) WITHOUT ROWID;
