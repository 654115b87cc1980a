-- What models said of entry signals, and which version of a model judges whose entries from when.

ALTER TABLE signals ADD COLUMN model_version TEXT;
ALTER TABLE signals ADD COLUMN scale REAL;

-- Rows are only added. `instances` is a JSON list; a row without a name says that nobody judges them any more.
-- `after_ms`: it is not taken up before; `effective_ms`: the event that took it up, NULL until then.
CREATE TABLE model_versions (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    checksum TEXT NOT NULL,
    folder TEXT NOT NULL,
    instances TEXT NOT NULL,
    loaded_ms INTEGER NOT NULL,
    after_ms INTEGER NOT NULL,
    effective_ms INTEGER,
    cause TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX model_versions_by_moment ON model_versions (effective_ms, id);
