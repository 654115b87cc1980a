-- What models said of entry signals, and which version of a model holds from when. `effective_ms` NULL: from the next
-- event on, which writes its moment there.

ALTER TABLE signals ADD COLUMN model_version TEXT;
ALTER TABLE signals ADD COLUMN scale REAL;
ALTER TABLE instances ADD COLUMN model TEXT;

CREATE TABLE model_versions (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    checksum TEXT NOT NULL,
    folder TEXT NOT NULL,
    loaded_ms INTEGER NOT NULL,
    effective_ms INTEGER,
    cause TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX model_versions_by_name ON model_versions (name, effective_ms);
