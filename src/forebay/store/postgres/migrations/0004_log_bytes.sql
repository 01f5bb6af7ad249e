-- compatible: 1
-- The bytes of a stream's entries, kept with every change as their number is. Older nodes that still run do not keep
-- them: what these append meanwhile is not in the size that archives show.
ALTER TABLE stream ADD COLUMN data_bytes BIGINT NOT NULL DEFAULT 0;
UPDATE stream SET data_bytes = (SELECT coalesce(sum(octet_length(data)), 0) FROM entry WHERE stream = number)
    WHERE name IS NOT NULL;
