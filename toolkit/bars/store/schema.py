"""Tables of the bars database."""

# `bars` has no key: an index would cost more than the bars themselves. `Batch.write` keeps (series_id, ts) unique, and
# DuckDB lets one process write at a time.
CREATE = """
CREATE SEQUENCE series_ids;
CREATE SEQUENCE import_ids;
CREATE TABLE series (
    series_id INTEGER PRIMARY KEY DEFAULT nextval('series_ids'),
    exchange VARCHAR NOT NULL,
    symbol VARCHAR NOT NULL,
    "interval" VARCHAR NOT NULL,
    origin VARCHAR NOT NULL DEFAULT 'official',
    UNIQUE (exchange, symbol, "interval", origin)
);
CREATE TABLE imports (
    import_id INTEGER PRIMARY KEY DEFAULT nextval('import_ids'),
    series_id INTEGER NOT NULL,
    kind VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    sha256 VARCHAR NOT NULL,
    rows_new BIGINT NOT NULL,
    rows_same BIGINT NOT NULL,
    rows_replaced BIGINT NOT NULL,
    first_ts TIMESTAMP_MS NOT NULL,
    last_ts TIMESTAMP_MS NOT NULL,
    imported_at TIMESTAMP_MS NOT NULL
);
CREATE TABLE bars (
    series_id INTEGER NOT NULL,
    ts TIMESTAMP_MS NOT NULL,
    open DOUBLE NOT NULL,
    high DOUBLE NOT NULL,
    low DOUBLE NOT NULL,
    close DOUBLE NOT NULL,
    volume DOUBLE NOT NULL,
    import_id INTEGER NOT NULL
);
CREATE TABLE replaced_bars (
    series_id INTEGER NOT NULL,
    ts TIMESTAMP_MS NOT NULL,
    open DOUBLE NOT NULL,
    high DOUBLE NOT NULL,
    low DOUBLE NOT NULL,
    close DOUBLE NOT NULL,
    volume DOUBLE NOT NULL,
    import_id INTEGER NOT NULL,
    replaced_by INTEGER NOT NULL
);
CREATE TABLE instruments (
    exchange VARCHAR NOT NULL,
    symbol VARCHAR NOT NULL,
    tick DOUBLE,
    lot DOUBLE,
    min_qty DOUBLE,
    min_notional DOUBLE,
    PRIMARY KEY (exchange, symbol)
);
"""
