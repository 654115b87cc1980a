"""`tk.backtest`: what it loads, what it refuses, and that history before the start changes nothing but the signals."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from tests.analysis.cases import COSTS, bars, random_signals
from toolkit.analysis.backtest import backtest, backtest_signals
from toolkit.bars.columns import COLUMNS, Columns
from toolkit.bars.intervals import MINUTE_MS
from toolkit.bars.series import Bars, from_arrays
from toolkit.bars.store import Source, Store
from toolkit.bars.synthetic import synthetic_columns
from toolkit.engine.rules import Costs, ExitRule, TradeRules
from toolkit.engine.run import prepare
from toolkit.engine.types import LONG, SHORT
from toolkit.errors import InputError, StrategyError, UnknownNameError
from toolkit.strategy import Signals, get_strategy, strategy

RULES = TradeRules(stop="2atr(14)", target="2R", exits=(ExitRule("signal"), ExitRule("time", when="adx(14) < 12")))


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve days of one symbol as 1m, and its first four days as 5m with a base of their own."""
    path = tmp_path_factory.mktemp("store") / "b.duckdb"
    columns = synthetic_columns(["BTC/USDT"], days=12, seed=9)["BTC/USDT"]
    store = Store(path)
    store.write("synthetic", "BTC/USDT", "1m", columns, Source("request", "test", "0"))
    store.write("synthetic", "BTC/USDT", "5m", _five(columns), Source("request", "test", "1"))
    return path


def _five(columns: Columns) -> Columns:
    minutes = from_arrays(*(columns[c] for c in COLUMNS), interval="1m", symbol="BTC/USDT", exchange="synthetic")
    five = minutes.to("5m")
    kept = ~five.filled
    return {name: getattr(five, name)[kept] for name in COLUMNS}


def test_a_stored_symbol_gets_the_history_its_strategy_and_rules_look_back_on(db: Path) -> None:
    r = backtest("volatility_breakout", "btcusdt", interval="15m", start="2023-01-05", db=db, rules=RULES)
    whole = backtest("volatility_breakout", "BTC/USDT", interval="15m", db=db, rules=RULES)
    start_ms = 1_672_876_800_000
    assert r.config["start"] == "2023-01-05 00:00"
    assert int(r.bars.base.ts[0]) < start_ms - 100 * 15 * MINUTE_MS
    # With everything loaded and only later bars stepped, the trades are the same, bit for bit.
    expected = backtest("volatility_breakout", whole.bars, start="2023-01-05", rules=RULES)
    assert len(r.trades) > 5
    assert r.trades.equals(expected.trades)
    assert r.metrics == pytest.approx(expected.metrics, abs=0.0, rel=0.0, nan_ok=True)
    assert r.trades["signal_ts"].dt.timestamp("ms").min() >= start_ms


def test_the_end_is_left_out(db: Path) -> None:
    r = backtest("volatility_breakout", "BTC/USDT", interval="5m", end="2023-01-04", db=db)
    assert r.config["end"] == "2023-01-04 00:00"
    same = backtest("volatility_breakout", bars_of(db), end="2023-01-04")
    assert same.trades.equals(r.trades)


def bars_of(db: Path) -> Bars:
    from toolkit.bars.load import load_bars

    return load_bars("BTC/USDT", "5m", db=db)


def test_a_finer_stored_series_decides_what_one_bar_does_not_tell(db: Path) -> None:
    rules = {"stop": "0.3atr(14)", "target": "0.3atr(14)"}
    params = {"window": 10, "expansion": 0.1}
    given = {"interval": "5m", "base": "5m", "db": db, "params": params}
    coarse = backtest("volatility_breakout", "BTC/USDT", rules=rules, **given)  # type: ignore[arg-type]
    finer = backtest("volatility_breakout", "BTC/USDT", rules={**rules, "policy": "finer"}, **given)  # type: ignore[arg-type]
    assert coarse.ambiguity["trades"] > 5
    assert finer.ambiguity["trades"] < coarse.ambiguity["trades"] / 2
    assert finer.config["finer"] == "1m"
    assert coarse.ambiguity["worst_pnl"] < finer.ambiguity["pnl"] < coarse.ambiguity["best_pnl"]


def test_policy_finer_needs_a_finer_series(db: Path) -> None:
    with pytest.raises(InputError, match="needs a finer stored series than 1m; store one"):
        backtest("volatility_breakout", "BTC/USDT", interval="5m", db=db, rules={"policy": "finer"})
    with pytest.raises(InputError, match="read by policy 'finer' alone"):
        backtest("volatility_breakout", bars("5m"), finer=bars("1m"))
    with pytest.raises(InputError, match="`finer` must be Bars, 'auto' or None"):
        backtest("volatility_breakout", bars("5m"), finer="1m")


class Params(NamedTuple):
    window: int = 3
    how: str = "well"


@strategy(intervals=("1m", "5m"), lookback=lambda p: 1)
def misbehaves(bars: Bars, p: Params) -> Signals:
    """Breaks the contract as its parameter says."""
    n = len(bars)
    good = random_signals(n, 1)
    if p.how == "raises":
        raise ZeroDivisionError("division by zero")
    if p.how == "shape":
        return good._replace(enter_long=good.enter_long[1:])
    if p.how == "dtype":
        return good._replace(stop_distance=good.stop_distance.astype(np.float32))
    if p.how == "type":
        return tuple(good)  # type: ignore[return-value]
    return good


def test_the_decorated_function_and_the_strategy_are_taken_too() -> None:
    by_function = backtest(misbehaves, bars("5m"))
    by_strategy = backtest(get_strategy("misbehaves", []), bars("5m"))
    assert by_function.trades.equals(by_strategy.trades) and len(by_function.trades) > 5
    raw = backtest_signals(bars("5m"), random_signals(len(bars("5m")), 1))
    assert raw.trades["pnl"].equals(by_function.trades["pnl"])
    with pytest.raises(InputError, match="'len' is no registered strategy; decorate it"):
        backtest(len, bars("5m"))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("raises", r"strategy misbehaves raised ZeroDivisionError: division by zero \(test_backtest.py:\d+;"),
        ("shape", r"strategy misbehaves: enter_long must have shape \(\d+,\), one value a bar, was \(\d+,\)"),
        ("dtype", "strategy misbehaves: stop_distance must have dtype float64, was float32"),
        ("type", "strategy misbehaves must return Signals, returned tuple"),
    ],
)
def test_a_strategy_that_breaks_the_contract_is_named(how: str, message: str) -> None:
    with pytest.raises(StrategyError, match=message):
        backtest("misbehaves", bars("5m"), params={"how": how})


def test_bad_input_is_one_sentence(db: Path) -> None:
    cases: list[tuple[type[Exception], str, dict[str, object]]] = [
        (UnknownNameError, "unknown strategy 'volatility_brekout': did you mean 'volatility_breakout'",
         {"strategy": "volatility_brekout"}),
        (UnknownNameError, "unknown parameter of volatility_breakout 'windw': did you mean 'window'",
         {"params": {"windw": 3}}),
        (UnknownNameError, "unknown symbol 'BTC/USD': did you mean 'BTC/USDT'", {"bars": "BTC/USD"}),
        (InputError, "not meant for interval '1w'; it declares 1m, 3m", {"interval": "1w"}),
        (UnknownNameError, "unknown interval '7m'", {"interval": "7m"}),
        (InputError, "interval '1m' is below the base interval '5m'", {"interval": "1m", "base": "5m"}),
        (InputError, "`interval` must be named with a symbol", {"interval": None}),
        (InputError, "no bars of synthetic BTC/USDT 1m from 2024-01-01 00:00", {"start": "2024-01-01"}),
        (InputError, "no bars of synthetic BTC/USDT 1m from 2023-01-13 00:00", {"start": "2023-01-13"}),
        (InputError, "no bars of synthetic BTC/USDT 1m from 2022-", {"end": "2022-12-01", "start": "2022-11-01"}),
        (InputError, "start must be before end", {"start": "2023-01-05", "end": "2023-01-04"}),
        (UnknownNameError, "unknown trade rule 'max_hld': did you mean 'max_hold'", {"rules": {"max_hld": "4h"}}),
        (UnknownNameError, "unknown cost 'taker'", {"costs": {"taker": 0.1}}),
        (InputError, "`notional` must be a positive amount of money, was -1", {"notional": -1}),
    ]  # fmt: skip
    for kind, message, change in cases:
        given = {"strategy": "volatility_breakout", "bars": "BTC/USDT", "interval": "5m", "db": db} | change
        with pytest.raises(kind) as caught:
            backtest(given.pop("strategy"), given.pop("bars"), **given)  # type: ignore[arg-type]
        assert message in str(caught.value), str(caught.value)
        assert "\n" not in str(caught.value)


def test_raw_arrays_are_checked() -> None:
    series = bars()
    signals = random_signals(len(series), 1)
    with pytest.raises(StrategyError, match="signals: exit_short must have shape"):
        backtest_signals(series, signals._replace(exit_short=signals.exit_short[:-1]))
    with pytest.raises(InputError, match="predictions must be float64"):
        backtest_signals(series, signals, predictions=np.zeros(3))
    with pytest.raises(InputError, match="verdicts must be uint8"):
        backtest_signals(series, signals, verdicts=np.zeros(3, np.uint8))
    with pytest.raises(InputError, match="the series is empty"):
        backtest_signals(series.window(0, 1), random_signals(0, 1))


def test_equal_arrays_give_equal_ids_and_costs_change_no_id() -> None:
    series = bars()
    one = backtest_signals(series, random_signals(len(series), 1), costs=COSTS)
    again = backtest_signals(series, random_signals(len(series), 1), costs=Costs())
    other = backtest_signals(series, random_signals(len(series), 2), costs=COSTS)
    assert one.instance.id == again.instance.id != other.instance.id
    assert one.trades["trade_id"].to_list() == again.trades["trade_id"].to_list()


def test_verdicts_by_side_are_taken_by_name_or_number_and_nothing_else() -> None:
    series = bars()
    signals = random_signals(len(series), 1)
    veto = np.full(len(series), 2, np.uint8)

    def sides(verdicts: Any) -> set[str]:
        return set(backtest_signals(series, signals, verdicts=verdicts).trades["side"].cast(str))

    assert sides(None) == sides({}) == {"long", "short"}
    assert sides({"long": veto}) == sides({LONG: veto}) == {"short"}
    assert sides({"short": veto}) == sides({SHORT: veto}) == {"long"}
    assert sides({"long": veto, SHORT: veto}) == sides(veto) == set()
    for wrong, message in (
        ({"longs": veto}, "one was for 'longs'"),
        ({2: veto}, "one was for 2"),
        ({"long": veto, LONG: veto}, "once a side"),
        ({"long": veto.tolist()}, "one a signal bar, were a list"),
        (veto.tolist(), "one a signal bar, were a list"),
    ):
        with pytest.raises(InputError, match=message):
            sides(wrong)
    with pytest.raises(InputError, match=r"predictions must be float64\[\d+\], one a signal bar, were a list"):
        backtest_signals(series, signals, predictions=[0.5] * len(series))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="verdicts must be by side, 1"):
        prepare(series, signals, TradeRules(), COSTS, verdicts={2: veto})
