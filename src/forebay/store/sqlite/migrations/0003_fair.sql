-- A standard queue whose messages have groups has tenants: a row each in `message_group`, with `is_noisy` set (it is
-- NULL for the groups of FIFO queues). Their `head` is at or before the order key of their first ready message.
-- A message without a group has the group '' on such a queue.
ALTER TABLE queue ADD COLUMN has_tenants INTEGER NOT NULL DEFAULT 0;
ALTER TABLE message_group ADD COLUMN is_noisy INTEGER;
ALTER TABLE message_group ADD COLUMN sent_at INTEGER NOT NULL DEFAULT 0;

DROP INDEX message_group_open;
CREATE INDEX message_group_open ON message_group (head)
    WHERE in_flight = 0 AND head IS NOT NULL AND is_noisy IS NULL;
CREATE INDEX message_group_quiet ON message_group (head) WHERE is_noisy = 0 AND ready > 0;
CREATE INDEX message_group_noisy ON message_group (queue) WHERE is_noisy = 1;
CREATE INDEX message_tenant ON message (queue, group_id, order_key) WHERE state = 0 AND group_id IS NOT NULL;
