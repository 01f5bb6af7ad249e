-- The bytes of a stream's entries, kept with every change as their number is.
ALTER TABLE stream ADD COLUMN data_bytes INTEGER NOT NULL DEFAULT 0;
UPDATE stream SET data_bytes = (SELECT coalesce(sum(length(data)), 0) FROM entry WHERE stream = number)
    WHERE name IS NOT NULL;
