-- Floats may be NULL: that is NaN. Times are epoch milliseconds, UTC. `seq` is the event that wrote the row.

CREATE TABLE meta (
    key TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
) STRICT;

CREATE TABLE sessions (
    id INTEGER PRIMARY KEY,
    started_ms INTEGER NOT NULL,
    ended_ms INTEGER,
    pid INTEGER NOT NULL,
    version TEXT NOT NULL,
    ended_how TEXT
) STRICT;

CREATE TABLE deployments (
    id TEXT PRIMARY KEY NOT NULL,
    checksum TEXT NOT NULL,
    folder TEXT NOT NULL DEFAULT '',
    document TEXT NOT NULL,
    loaded_ms INTEGER NOT NULL,
    effective_from_ms INTEGER NOT NULL,
    previous TEXT,
    expected TEXT NOT NULL DEFAULT '{}',
    band TEXT,
    backtest TEXT,
    state TEXT NOT NULL CHECK (state IN ('loaded', 'active', 'retired'))
) STRICT;

CREATE TABLE instances (
    id TEXT PRIMARY KEY NOT NULL,
    deployment TEXT NOT NULL,
    strategy TEXT NOT NULL,
    symbol TEXT NOT NULL,
    exchange TEXT NOT NULL,
    base TEXT NOT NULL,
    interval TEXT NOT NULL,
    document TEXT NOT NULL,
    weight REAL,
    enabled INTEGER NOT NULL DEFAULT 1,
    note TEXT
) STRICT;

CREATE TABLE weights (
    effective_ms INTEGER NOT NULL,
    instance TEXT NOT NULL,
    weight REAL,
    cause TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (effective_ms, instance)
) STRICT, WITHOUT ROWID;

CREATE TABLE bars (
    exchange TEXT NOT NULL,
    symbol TEXT NOT NULL,
    base TEXT NOT NULL,
    ts INTEGER NOT NULL,
    open REAL,
    high REAL,
    low REAL,
    close REAL,
    volume REAL,
    filled INTEGER NOT NULL DEFAULT 0,
    source TEXT NOT NULL CHECK (source IN ('replay', 'stream', 'rest', 'store')),
    event INTEGER,
    recorded_ms INTEGER NOT NULL,
    PRIMARY KEY (exchange, symbol, base, ts)
) STRICT, WITHOUT ROWID;

CREATE TABLE corrections (
    id INTEGER PRIMARY KEY,
    exchange TEXT NOT NULL,
    symbol TEXT NOT NULL,
    base TEXT NOT NULL,
    ts INTEGER NOT NULL,
    open REAL,
    high REAL,
    low REAL,
    close REAL,
    volume REAL,
    seen_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    moment_ms INTEGER NOT NULL,
    wall_ms INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('bars', 'weights', 'act')),
    detail TEXT
) STRICT;

CREATE TABLE legs (
    leg TEXT PRIMARY KEY NOT NULL,
    instance TEXT NOT NULL,
    side INTEGER NOT NULL,
    state BLOB NOT NULL,
    signal BLOB,
    base_ms INTEGER NOT NULL,
    updated_seq INTEGER NOT NULL
) STRICT;

CREATE TABLE account (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    moment_ms INTEGER NOT NULL,
    money BLOB NOT NULL,
    clock BLOB NOT NULL,
    seq INTEGER NOT NULL
) STRICT;

CREATE TABLE signals (
    signal_id TEXT PRIMARY KEY NOT NULL,
    leg TEXT NOT NULL,
    instance TEXT NOT NULL,
    strategy TEXT NOT NULL,
    symbol TEXT NOT NULL,
    side TEXT NOT NULL,
    t INTEGER NOT NULL,
    ts_ms INTEGER NOT NULL,
    price REAL,
    decision TEXT NOT NULL CHECK (decision IN ('accepted', 'vetoed', 'rejected')),
    reason INTEGER NOT NULL,
    "end" INTEGER NOT NULL DEFAULT 0,
    closed_ms INTEGER,
    expires_ms INTEGER,
    ignored INTEGER NOT NULL DEFAULT 0,
    prediction REAL,
    seq INTEGER NOT NULL
) STRICT;
CREATE INDEX signals_by_time ON signals (ts_ms);
CREATE INDEX signals_live ON signals (leg) WHERE "end" = 0;

CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    seq INTEGER NOT NULL,
    ts_ms INTEGER NOT NULL,
    instance TEXT NOT NULL,
    strategy TEXT NOT NULL,
    symbol TEXT NOT NULL,
    side TEXT NOT NULL,
    reason INTEGER NOT NULL,
    asked REAL,
    given REAL,
    price REAL,
    weight REAL,
    equity REAL,
    gross REAL,
    net REAL,
    open_trades INTEGER NOT NULL
) STRICT;
CREATE INDEX audit_by_time ON audit (ts_ms);

CREATE TABLE orders (
    order_id TEXT PRIMARY KEY NOT NULL,
    trade_id TEXT NOT NULL,
    instance TEXT NOT NULL,
    symbol TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('entry', 'exit', 'stop', 'target')),
    side TEXT NOT NULL CHECK (side IN ('buy', 'sell')),
    type TEXT NOT NULL,
    qty REAL,
    price REAL,
    status TEXT NOT NULL CHECK (status IN ('NEW', 'OPEN', 'CLOSED', 'CANCELLED', 'REJECTED')),
    reason TEXT NOT NULL DEFAULT '',
    created_ms INTEGER NOT NULL,
    closed_ms INTEGER,
    venue_order_id TEXT NOT NULL DEFAULT '',
    seq INTEGER NOT NULL
) STRICT;
CREATE INDEX orders_by_trade ON orders (trade_id);
CREATE INDEX orders_working ON orders (order_id) WHERE status IN ('NEW', 'OPEN');

CREATE TABLE fills (
    fill_id TEXT PRIMARY KEY NOT NULL,
    order_id TEXT NOT NULL,
    trade_id TEXT NOT NULL,
    ts_ms INTEGER NOT NULL,
    price REAL,
    qty REAL,
    fee REAL,
    fee_currency TEXT NOT NULL DEFAULT '',
    seq INTEGER NOT NULL
) STRICT;
CREATE INDEX fills_by_trade ON fills (trade_id);

CREATE TABLE trades (
    trade_id TEXT PRIMARY KEY NOT NULL,
    leg TEXT NOT NULL,
    instance TEXT NOT NULL,
    strategy TEXT NOT NULL,
    symbol TEXT NOT NULL,
    side TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('ACTIVE', 'CLOSED')),
    signal_ms INTEGER NOT NULL,
    entry_ms INTEGER NOT NULL,
    exit_ms INTEGER,
    entry_price REAL,
    exit_price REAL,
    expected_entry_price REAL,
    expected_exit_price REAL,
    qty REAL,
    stop_price REAL,
    target_price REAL,
    stop_now REAL,
    exit_reason INTEGER NOT NULL DEFAULT 0,
    entry_fee REAL,
    exit_fee REAL,
    funding REAL,
    best REAL,
    worst REAL,
    other_price REAL,
    exit_order_ms INTEGER,
    weight REAL,
    deployment TEXT NOT NULL DEFAULT '',
    pnl REAL,
    seq INTEGER NOT NULL
) STRICT;
CREATE INDEX trades_active ON trades (trade_id) WHERE status = 'ACTIVE';
CREATE INDEX trades_by_exit ON trades (exit_ms);

CREATE TABLE days (
    ts_ms INTEGER PRIMARY KEY,
    equity REAL,
    cash REAL,
    gross REAL,
    net REAL,
    gross_share REAL,
    net_share REAL,
    symbol_share REAL,
    open_trades INTEGER NOT NULL,
    halted INTEGER NOT NULL
) STRICT;

CREATE TABLE equity (
    ts_ms INTEGER PRIMARY KEY,
    equity REAL,
    cash REAL,
    gross REAL,
    net REAL,
    open_trades INTEGER NOT NULL
) STRICT;

CREATE TABLE halts (
    id INTEGER PRIMARY KEY,
    ts_ms INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    until_ms INTEGER NOT NULL,
    equity REAL
) STRICT;

CREATE TABLE commands (
    id INTEGER PRIMARY KEY,
    ts_ms INTEGER NOT NULL,
    verb TEXT NOT NULL,
    target TEXT NOT NULL DEFAULT '',
    value REAL,
    "by" TEXT NOT NULL DEFAULT '',
    status TEXT NOT NULL DEFAULT 'waiting' CHECK (status IN ('waiting', 'done', 'refused')),
    answer TEXT,
    seq INTEGER,
    done_ms INTEGER
) STRICT;
CREATE INDEX commands_waiting ON commands (id) WHERE status = 'waiting';

CREATE TABLE cash_flows (
    id INTEGER PRIMARY KEY,
    ts_ms INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('allocated', 'deposit', 'withdrawal')),
    amount REAL NOT NULL,
    note TEXT NOT NULL DEFAULT '',
    seq INTEGER
) STRICT;

CREATE TABLE notices (
    id INTEGER PRIMARY KEY,
    ts_ms INTEGER NOT NULL,
    level TEXT NOT NULL CHECK (level IN ('info', 'warning', 'error')),
    kind TEXT NOT NULL,
    text TEXT NOT NULL,
    sent_ms INTEGER
) STRICT;
CREATE INDEX notices_unsent ON notices (id) WHERE sent_ms IS NULL;

CREATE TABLE feed (
    exchange TEXT NOT NULL,
    symbol TEXT NOT NULL,
    base TEXT NOT NULL,
    last_ts INTEGER,
    last_seen_ms INTEGER,
    state TEXT NOT NULL CHECK (state IN ('live', 'late', 'stale', 'warming')),
    PRIMARY KEY (exchange, symbol, base)
) STRICT, WITHOUT ROWID;
