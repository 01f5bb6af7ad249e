-- Items of tables, ordered by key. A rowid table with an index on the key, although it takes two steps to an item: rows
-- may be large, and in the tree of a table without row ids every inner page would hold whole rows (measured: writes and
-- reads by key cost 1.7 to 2.5 times as much, and more the larger the items are; only reads in order cost less).
-- `entries` says where indexes list the item; it is what its rows in `item_entry` are found and deleted by.
CREATE TABLE item (
    id INTEGER PRIMARY KEY,
    item_table INTEGER NOT NULL,
    partition_key BLOB NOT NULL,
    sort_key BLOB NOT NULL,
    size INTEGER NOT NULL,
    entries BLOB NOT NULL,
    data BLOB NOT NULL
);
CREATE UNIQUE INDEX item_key ON item (item_table, partition_key, sort_key);

-- Equals stand in the order of their items' keys. `item` is the item's row.
CREATE TABLE item_entry (
    item_table INTEGER NOT NULL,
    item_index INTEGER NOT NULL,
    partition_key BLOB NOT NULL,
    sort_key BLOB NOT NULL,
    item_partition BLOB NOT NULL,
    item_sort BLOB NOT NULL,
    item INTEGER NOT NULL,
    PRIMARY KEY (item_table, item_index, partition_key, sort_key, item_partition, item_sort)
) WITHOUT ROWID;

-- How many items a table (index -1) or an index lists, and their sizes together.
CREATE TABLE item_count (
    item_table INTEGER NOT NULL,
    item_index INTEGER NOT NULL,
    items INTEGER NOT NULL,
    size INTEGER NOT NULL,
    PRIMARY KEY (item_table, item_index)
) WITHOUT ROWID;
