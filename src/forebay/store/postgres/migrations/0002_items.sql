-- compatible: 1
-- Items of tables, ordered by key. `entries` says where indexes list the item; it is what its rows in `item_entry` are
-- found and deleted by.
-- An index of PostgreSQL's cannot hold more than 2704 bytes a row, so a key that is too long is cut (long_keys.py): then
-- `full_key` has it whole, and `tail` its digest; for all others `tail` is empty.
CREATE TABLE item (
    item_table BIGINT NOT NULL,
    size BIGINT NOT NULL,
    partition_key BYTEA NOT NULL,
    sort_key BYTEA NOT NULL,
    tail BYTEA NOT NULL,
    full_key BYTEA,
    entries BYTEA NOT NULL,
    data BYTEA NOT NULL,
    PRIMARY KEY (item_table, partition_key, sort_key, tail)
) WITH (
    fillfactor = 85, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_cost_delay = 0, toast.autovacuum_vacuum_cost_delay = 0
);
-- Compressing costs more than it saves where items are updated all the time.
ALTER TABLE item ALTER COLUMN data SET STORAGE EXTERNAL;

-- Equals stand in the order of their items' keys.
CREATE TABLE item_entry (
    item_table BIGINT NOT NULL,
    item_index BIGINT NOT NULL,
    partition_key BYTEA NOT NULL,
    sort_key BYTEA NOT NULL,
    item_partition BYTEA NOT NULL,
    item_sort BYTEA NOT NULL,
    tail BYTEA NOT NULL,
    full_key BYTEA,
    PRIMARY KEY (item_table, item_index, partition_key, sort_key, item_partition, item_sort, tail)
) WITH (autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

-- How many items a table (index -1) or an index lists, and their sizes together: the sums of its rows.
CREATE TABLE item_count (
    item_table BIGINT NOT NULL,
    item_index BIGINT NOT NULL,
    slot BIGINT NOT NULL,
    items BIGINT NOT NULL,
    size BIGINT NOT NULL,
    PRIMARY KEY (item_table, item_index, slot)
) WITH (fillfactor = 25, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0.2);
