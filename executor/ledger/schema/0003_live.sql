-- What was sent to a venue and what it said; `client_id` is durable before anything is sent under it.

CREATE TABLE venue_orders (
    client_id TEXT PRIMARY KEY NOT NULL,
    order_id TEXT NOT NULL,
    trade_id TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('entry', 'exit', 'stop', 'target')),
    symbol TEXT NOT NULL,
    side TEXT NOT NULL CHECK (side IN ('buy', 'sell')),
    position TEXT NOT NULL CHECK (position IN ('long', 'short')),
    type TEXT NOT NULL CHECK (type IN ('market', 'limit', 'stop', 'target')),
    qty REAL NOT NULL,
    price REAL,
    trigger_price REAL,
    reduce_only INTEGER NOT NULL,
    seen TEXT NOT NULL
        CHECK (seen IN ('NEW', 'UNKNOWN', 'OPEN', 'FIRED', 'FILLED', 'CANCELLED', 'REFUSED', 'ABSENT')),
    cancelling INTEGER NOT NULL DEFAULT 0,
    filled REAL NOT NULL DEFAULT 0,
    fill_price REAL,
    fees TEXT,
    venue_id TEXT NOT NULL DEFAULT '',
    fired_id TEXT NOT NULL DEFAULT '',
    reason TEXT NOT NULL DEFAULT '',
    created_ms INTEGER NOT NULL,
    sent_ms INTEGER,
    known_ms INTEGER,
    changed_ms INTEGER
) STRICT;
CREATE INDEX venue_orders_by_trade ON venue_orders (trade_id);
CREATE INDEX venue_orders_working ON venue_orders (client_id) WHERE seen IN ('NEW', 'UNKNOWN', 'OPEN', 'FIRED');

-- How long each trade was without its stop at the venue; `until_ms` NULL: it is now.
CREATE TABLE unprotected (
    id INTEGER PRIMARY KEY,
    trade_id TEXT NOT NULL,
    from_ms INTEGER NOT NULL,
    until_ms INTEGER,
    why TEXT NOT NULL DEFAULT ''
) STRICT;

-- Each look at the venue: what differed and what was done.
CREATE TABLE reconciliations (
    id INTEGER PRIMARY KEY,
    ts_ms INTEGER NOT NULL,
    cause TEXT NOT NULL,
    secs REAL NOT NULL,
    symbol TEXT NOT NULL DEFAULT '',
    action TEXT NOT NULL DEFAULT '',
    text TEXT NOT NULL DEFAULT '',
    done INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Symbols on which nothing new is sent until somebody looks; `until_ms` NULL: it is so now.
CREATE TABLE symbol_halts (
    symbol TEXT PRIMARY KEY NOT NULL,
    from_ms INTEGER NOT NULL,
    until_ms INTEGER,
    reason TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What a fee was worth in the account's money, whatever it was paid in.
ALTER TABLE fills ADD COLUMN fee_money REAL;
