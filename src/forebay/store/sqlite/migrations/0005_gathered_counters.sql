-- Counters of queues that were changed by commits which changed many: four 64-bit numbers for each (queue, ready, delayed,
-- in flight), little end first. The latest row counts, before the queue's own; from time to time all go there.
CREATE TABLE queue_change (
    id INTEGER PRIMARY KEY,
    counters BLOB NOT NULL
);
