-- compatible: 1
-- Everything has the id of its resource (queue, stream, kind) as the leading key, so that it can be spread over
-- several databases by resource. Text that is compared is compared by code point (COLLATE "C").

-- Positions of messages and fences of timers. Not cached by sessions: a purge's watermark relies on what is taken
-- later being greater.
CREATE SEQUENCE position CACHE 1;

-- One row for each connection that writes: the last batch it committed. Updated in that batch's commit, so that after a
-- lost connection its successor can tell what became of a commit; deleting the row bars the predecessor for good.
CREATE SEQUENCE mark_id;
CREATE TABLE mark (
    id BIGINT PRIMARY KEY,
    batch BIGINT NOT NULL,
    opened_at TIMESTAMPTZ NOT NULL DEFAULT now()
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0);

-- The version of the control plane: one more with every commit that changes records.
CREATE TABLE control (
    id INT PRIMARY KEY CHECK (id = 1),
    version BIGINT NOT NULL,
    -- Deletions up to this version are no longer on record.
    forgotten_version BIGINT NOT NULL
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0);
INSERT INTO control VALUES (1, 0, 0);

-- The control plane. A deleted record stays for a while without a value, so that every node learns of it.
CREATE TABLE record (
    kind TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    value BYTEA,
    version BIGINT NOT NULL,
    -- The node that wrote it.
    node BIGINT NOT NULL,
    deleted_at TIMESTAMPTZ,
    PRIMARY KEY (kind, key)
);
CREATE INDEX record_version ON record (version);
CREATE INDEX record_deleted ON record (deleted_at) WHERE value IS NULL;

CREATE TABLE sequence (
    name TEXT COLLATE "C" PRIMARY KEY,
    value BIGINT NOT NULL
) WITH (fillfactor = 50);

-- Messages at or before `purged_through` are gone, though their rows may still wait to be swept. A standard queue has a
-- row only once it was purged.
CREATE TABLE queue (
    number BIGINT PRIMARY KEY,
    purged_through BIGINT NOT NULL,
    is_swept BOOLEAN NOT NULL,
    is_fifo BOOLEAN NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX queue_unswept ON queue (number) WHERE NOT is_swept;

-- Exact counters: a queue's numbers are the sums of its rows. Connections write different slots, so that none waits
-- for another's commit.
CREATE TABLE queue_count (
    queue BIGINT NOT NULL,
    slot BIGINT NOT NULL,
    ready BIGINT NOT NULL,
    delayed BIGINT NOT NULL,
    in_flight BIGINT NOT NULL,
    PRIMARY KEY (queue, slot)
) WITH (fillfactor = 25, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0.2);

-- The same for the tenants of standard queues (messages with a group), and when each has last sent something.
CREATE TABLE tenant_count (
    queue BIGINT NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    slot BIGINT NOT NULL,
    ready BIGINT NOT NULL,
    delayed BIGINT NOT NULL,
    in_flight BIGINT NOT NULL,
    sent_at BIGINT NOT NULL,
    PRIMARY KEY (queue, name, slot)
) WITH (fillfactor = 25, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0.2);

CREATE TABLE noisy_tenant (
    queue BIGINT NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (queue, name)
);

-- `state`: 0 ready (on a FIFO queue -1), 1 delayed, 2 in flight. `order_key` is the position, but moves back when a
-- message was received often; on a FIFO queue it is the id of the message's group. Bodies are bytes, because text in PostgreSQL cannot hold U+0000. Every change of state moves a row in an
-- index, so updates in place (HOT) are out of reach and pages are filled; vacuum comes early and unthrottled instead.
CREATE TABLE message (
    queue BIGINT NOT NULL,
    position BIGINT NOT NULL,
    order_key BIGINT NOT NULL,
    visible_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    sent_at BIGINT NOT NULL,
    first_received_at BIGINT,
    dead_letter_source BIGINT,
    receive_count INT NOT NULL,
    state SMALLINT NOT NULL,
    message_id TEXT NOT NULL,
    group_id TEXT COLLATE "C",
    deduplication_id TEXT COLLATE "C",
    attributes BYTEA NOT NULL,
    body BYTEA NOT NULL,
    PRIMARY KEY (queue, position)
) WITH (
    autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_insert_threshold = 100000, autovacuum_vacuum_insert_scale_factor = 0.2,
    autovacuum_vacuum_cost_delay = 0, toast.autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0.2
);
CREATE INDEX message_ready ON message (queue, order_key) WHERE state = 0;
CREATE INDEX message_tenant ON message (queue, group_id, order_key) WHERE state = 0 AND group_id IS NOT NULL;
CREATE INDEX message_fifo ON message (queue, order_key, position) WHERE state < 0;
CREATE INDEX message_hidden ON message (queue, visible_at) WHERE state > 0;
CREATE INDEX message_expiry ON message (expires_at);

-- One row for each message group of a FIFO queue that has messages. `head` is the first message that can be received; it
-- is only kept up to date while nothing is in flight, which is when the group is open. Ids come from the positions, so
-- that a purge's watermark counts for groups too.
CREATE TABLE message_group (
    queue BIGINT NOT NULL,
    id BIGINT NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    ready BIGINT NOT NULL,
    delayed BIGINT NOT NULL,
    in_flight BIGINT NOT NULL,
    head BIGINT,
    PRIMARY KEY (queue, id)
) WITH (
    autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0
);
CREATE UNIQUE INDEX message_group_name ON message_group (queue, name);
CREATE INDEX message_group_open ON message_group (queue, head) WHERE in_flight = 0 AND head IS NOT NULL;

-- What a queue remembers of messages that were sent with a deduplication key.
CREATE TABLE duplicate (
    queue BIGINT NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    until_ms BIGINT NOT NULL,
    position BIGINT NOT NULL,
    message_id TEXT NOT NULL,
    PRIMARY KEY (queue, key)
) WITH (autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX duplicate_end ON duplicate (until_ms);

-- What was answered to a receive attempt.
CREATE TABLE receive_attempt (
    queue BIGINT NOT NULL,
    attempt TEXT COLLATE "C" NOT NULL,
    until_ms BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    positions BIGINT[] NOT NULL,
    receive_counts BIGINT[] NOT NULL,
    PRIMARY KEY (queue, attempt)
) WITH (autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX receive_attempt_end ON receive_attempt (until_ms);

-- `disorder` is how far behind the latest time so far an entry's time ever was: with it, a range of times lies within a
-- range of positions. A dropped stream has no name; its entries wait to be swept.
CREATE TABLE stream (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name TEXT COLLATE "C" UNIQUE,
    last_position BIGINT NOT NULL,
    latest_at BIGINT NOT NULL,
    disorder BIGINT NOT NULL,
    entries BIGINT NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0.2);
CREATE INDEX stream_dropped ON stream (number) WHERE name IS NULL;

CREATE TABLE entry (
    stream BIGINT NOT NULL,
    position BIGINT NOT NULL,
    at BIGINT NOT NULL,
    expires_at BIGINT,
    data BYTEA NOT NULL,
    PRIMARY KEY (stream, position)
) WITH (autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX entry_time ON entry (stream, at, position);
CREATE INDEX entry_expiry ON entry (expires_at) WHERE expires_at IS NOT NULL;

-- `ready_at` is the due time or, while it is claimed, the end of the lease. `epoch` is 0 while nobody claimed it.
CREATE TABLE timer (
    kind TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    ready_at BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    data BYTEA NOT NULL,
    PRIMARY KEY (kind, key)
) WITH (
    autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0
);
CREATE INDEX timer_ready ON timer (kind, ready_at, key);

CREATE TABLE timer_count (
    kind TEXT COLLATE "C" NOT NULL,
    slot BIGINT NOT NULL,
    total BIGINT NOT NULL,
    PRIMARY KEY (kind, slot)
) WITH (fillfactor = 25, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0.2);

CREATE TABLE blob (
    name TEXT COLLATE "C" NOT NULL,
    part INT NOT NULL,
    data BYTEA NOT NULL,
    PRIMARY KEY (name, part)
);
-- Code and objects are mostly compressed already.
ALTER TABLE blob ALTER COLUMN data SET STORAGE EXTERNAL;
