"""A store whose symbols differ in base interval, listing and end, and members of every kind on it."""

from functools import cache
from pathlib import Path

from toolkit.bars.columns import COLUMNS, Columns
from toolkit.bars.intervals import DAY_MS
from toolkit.bars.series import Bars, from_arrays
from toolkit.bars.store import Source, Store
from toolkit.bars.synthetic import synthetic_columns
from toolkit.engine.rules import Costs, ExitRule, TradeRules
from toolkit.portfolio.members import Member

SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")
DAYS = 12
START, END = "2023-01-04", "2023-01-11T12:00"
COSTS = Costs(taker_rate=0.0004, maker_rate=0.0002, slippage_bps=2.0, funding_rate=0.0001)
GATED = TradeRules(stop="2atr(14)", target="2R", exits=(ExitRule("signal"), ExitRule("time", when="adx(14) < 12")))


@cache
def minutes() -> dict[str, Columns]:
    """BTC throughout, ETH listed on the sixth day, SOL ended on the seventh."""
    found = dict(synthetic_columns(SYMBOLS, days=DAYS, seed=9))
    begin = int(found["BTC/USDT"]["ts"][0])
    eth, sol = found["ETH/USDT"], found["SOL/USDT"]
    found["ETH/USDT"] = {name: eth[name][eth["ts"] >= begin + 5 * DAY_MS + DAY_MS // 3] for name in COLUMNS}
    found["SOL/USDT"] = {name: sol[name][sol["ts"] < begin + 7 * DAY_MS] for name in COLUMNS}
    return found


def resampled(symbol: str, interval: str) -> Columns:
    kept = series(symbol).to(interval)
    return {name: getattr(kept, name)[~kept.filled] for name in COLUMNS}


@cache
def series(symbol: str) -> Bars:
    """The symbol's minutes in memory."""
    columns = minutes()[symbol]
    return from_arrays(*(columns[name] for name in COLUMNS), interval="1m", symbol=symbol, exchange="synthetic")


def make_store(folder: Path) -> Path:
    """BTC at 1m, 5m and 1d, ETH at 1m, SOL at 5m alone."""
    store = Store(folder / "bars.duckdb")
    source = Source("request", "test", "0")
    for symbol in ("BTC/USDT", "ETH/USDT"):
        store.write("synthetic", symbol, "1m", minutes()[symbol], source)
    for symbol, interval in (("BTC/USDT", "5m"), ("BTC/USDT", "1d"), ("SOL/USDT", "5m")):
        store.write("synthetic", symbol, interval, resampled(symbol, interval), source)
    return store.path


def members() -> list[Member]:
    """Strategies, intervals, rules, sides, bases and costs, some with the same signals."""
    one: dict[str, object] = {"window": 30, "expansion": 1.0}
    return [
        Member("volatility_breakout", "BTC/USDT", "5m", one, GATED, COSTS),
        Member("volatility_breakout", "BTC/USDT", "5m", one, TradeRules(side="long", max_hold="4h"), COSTS, family="a"),
        Member("volatility_breakout", "btcusdt", "5m", one, TradeRules(side="short", max_hold="4h")),
        Member("volatility_breakout", "BTC/USDT", "15m", one, TradeRules(max_hold="4h"), base="5m"),
        Member("volatility_breakout", "BTC/USDT", "15m", {"window": 80}, GATED, exchange="synthetic"),
        Member("volatility_breakout", "BTC/USDT", "5m", one, TradeRules(stop="atr(14)", policy="finer"), base="5m"),
        Member("reversal_breakout", "BTC/USDT", "1m", {"window": 40}, TradeRules(trail="2atr(20)", target=None)),
        Member("reversal_breakout", "SOL/USDT", "5m", {"window": 40}, TradeRules(stop=0.01, target="2R"), COSTS),
        Member("volatility_breakout", "SOL/USDT", "15m", one, TradeRules(one_entry_per="1d"), COSTS, family="a"),
        Member("volatility_breakout", "ETH/USDT", "1m", one, GATED, COSTS),
        Member("reversal_breakout", "ETH/USDT", "5m", {"window": 40}, TradeRules(stop=0.01, max_hold="6h"), COSTS),
        Member("trend_day", "BTC/USDT", "5m", {}, TradeRules(max_hold="8h"), COSTS),
    ]
