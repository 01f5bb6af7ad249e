-- A FIFO queue's messages that can be received have state -1 and, as `order_key`, the id of their group's row: they
-- stand in this index in the order of their group.
CREATE INDEX message_fifo ON message (order_key) WHERE state < 0;

ALTER TABLE queue ADD COLUMN is_fifo INTEGER NOT NULL DEFAULT 0;

-- One row for each message group of a FIFO queue that has messages. `id` is made like a message's, so that a purge's
-- watermark counts for groups too. `head` is the row of the first message that can be received; it is only kept up to
-- date while nothing is in flight, which is when the group is open.
CREATE TABLE message_group (
    id INTEGER PRIMARY KEY,
    queue INTEGER NOT NULL,
    name TEXT NOT NULL,
    ready INTEGER NOT NULL,
    delayed INTEGER NOT NULL,
    in_flight INTEGER NOT NULL,
    head INTEGER
);
CREATE UNIQUE INDEX message_group_name ON message_group (queue, name);
CREATE INDEX message_group_open ON message_group (head) WHERE in_flight = 0 AND head IS NOT NULL;

-- What a queue remembers of messages that were sent with a deduplication key.
CREATE TABLE duplicate (
    queue INTEGER NOT NULL,
    key TEXT NOT NULL,
    until_ms INTEGER NOT NULL,
    position INTEGER NOT NULL,
    message_id TEXT NOT NULL,
    PRIMARY KEY (queue, key)
) WITHOUT ROWID;
CREATE INDEX duplicate_end ON duplicate (until_ms);

-- What was answered to a receive attempt: positions and receive counts, as JSON.
CREATE TABLE receive_attempt (
    queue INTEGER NOT NULL,
    attempt TEXT NOT NULL,
    until_ms INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    receipts TEXT NOT NULL,
    PRIMARY KEY (queue, attempt)
) WITHOUT ROWID;
CREATE INDEX receive_attempt_end ON receive_attempt (until_ms);
