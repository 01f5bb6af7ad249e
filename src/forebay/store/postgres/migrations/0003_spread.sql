-- compatible: 1
-- Resources may be spread over several databases (store/spread). This one's place among them, if it is one of several.
CREATE TABLE member (
    is_only_row BOOLEAN PRIMARY KEY DEFAULT true CHECK (is_only_row),
    store TEXT NOT NULL,
    place INT NOT NULL,
    places INT NOT NULL
);
-- Transactions over several databases that were decided to be committed: what stands here will be committed everywhere.
CREATE TABLE decision (
    name TEXT PRIMARY KEY
);
