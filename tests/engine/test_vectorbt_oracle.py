"""The engine against vectorbt, an independent simulator, on ten thousand random cases: the same trades.

What the two define differently is left out; docs/vectorbt.md lists it with why.
"""

from collections import Counter
from dataclasses import asdict, replace
from typing import NamedTuple

import numpy as np
import pytest

from tests.engine.vectorbt_cases import KINDS, N_BARS, NOTIONAL, Cases, Kind, make_cases, vectorbt_trades
from toolkit.bars.series import from_arrays
from toolkit.engine.rules import Costs, TradeRules
from toolkit.engine.run import prepare, run
from toolkit.engine.types import TRADE, ExitReason
from toolkit.strategy import Signals
from toolkit.types import FloatArray, Records

CASES_PER_KIND = 1_000
# vectorbt's trade records hold size * price / size, which may be the fill's neighbouring float.
PRICE_TOLERANCE = 5e-16
PNL_TOLERANCE = 1e-9
_TS = 1_640_995_200_000 + 60_000 * np.arange(N_BARS, dtype=np.int64)
_T0 = int(_TS[0]) // 60_000


class Compared(NamedTuple):
    trades: int
    by_reason: Counter[str]
    happened: Counter[str]
    largest_difference: float


def engine_trades(kind: Kind, cases: Cases) -> tuple[Records, FloatArray]:
    """TRADE records of every case, bars counted from its first, and the case number of each."""
    found, case_of = [], []
    none = np.zeros(N_BARS, np.bool_)
    for case, side in enumerate(cases.side):
        bars = from_arrays(
            _TS, cases.open[:, case], cases.high[:, case], cases.low[:, case], cases.close[:, case], interval="1m"
        )
        # Distances such that the level is vectorbt's own float: the subtraction is exact, and so is the engine's.
        stop = side * (cases.fill[:, case] - cases.stop_level[:, case])
        target = side * (cases.target_level[:, case] - cases.fill[:, case])
        enter, leave = cases.enter[:, case], cases.exit[:, case]
        arrays = (enter, none, leave, none) if side > 0 else (none, enter, none, leave)
        trades = run(prepare(bars, Signals(*arrays, stop, target), kind.rules(side), kind.costs()), NOTIONAL).trades
        found.append(trades)
        case_of.append(np.full(len(trades), case))
    ours = np.concatenate(found) if found else np.empty(0, TRADE)
    for name in ("signal_t", "entry_t", "exit_t"):
        ours[name] -= _T0
    return ours, np.concatenate(case_of)


def compare(kind: Kind, n: int, seed: int) -> Compared:
    """Hold the engine's trades of `n` cases against vectorbt's."""
    cases = make_cases(kind, n, seed)
    ours, case_of = engine_trades(kind, cases)
    theirs = vectorbt_trades(kind, cases)
    is_open = ours["exit_reason"] == ExitReason.OPEN
    at_level = np.isin(ours["exit_reason"], (ExitReason.STOP, ExitReason.TARGET))

    assert len(ours) == len(theirs)
    np.testing.assert_array_equal(case_of, theirs["col"])
    np.testing.assert_array_equal(ours["entry_t"], (theirs["entry_idx"] + 1) // 2)
    exit_bar = np.where(theirs["status"] == 0, N_BARS - 1, (theirs["exit_idx"] + 1) // 2)
    np.testing.assert_array_equal(ours["exit_t"], exit_bar)
    np.testing.assert_array_equal(is_open, theirs["status"] == 0)
    np.testing.assert_array_equal(at_level[~is_open], theirs["exit_idx"][~is_open] % 2 == 0)
    np.testing.assert_array_equal(ours["side"] > 0, theirs["direction"] == 0)
    for mine, other in (("qty", "size"), ("entry_fee", "entry_fees"), ("exit_fee", "exit_fees")):
        np.testing.assert_array_equal(ours[mine], theirs[other], err_msg=mine)
    for name in ("entry_price", "exit_price"):
        np.testing.assert_allclose(ours[name], theirs[name], rtol=PRICE_TOLERANCE, atol=0.0, err_msg=name)
    pnl = ours["side"] * ours["qty"] * (ours["exit_price"] - ours["entry_price"]) - ours["entry_fee"] - ours["exit_fee"]
    difference = float(np.abs(pnl - theirs["pnl"]).max())
    assert difference <= PNL_TOLERANCE
    reasons = Counter(ExitReason(r).name for r in ours["exit_reason"])
    return Compared(len(ours), reasons, _what_happened(ours, case_of, cases), difference)


def _what_happened(ours: Records, case_of: FloatArray, cases: Cases) -> Counter[str]:
    """How often the rare things were met."""
    bar, stop, target = ours["exit_t"], ours["stop_price"], ours["target_price"]
    opened, high, low = cases.open[bar, case_of], cases.high[bar, case_of], cases.low[bar, case_of]
    stopped, took = ours["exit_reason"] == ExitReason.STOP, ours["exit_reason"] == ExitReason.TARGET
    adverse, favourable = np.where(ours["side"] > 0, low, high), np.where(ours["side"] > 0, high, low)
    follows = (case_of[1:] == case_of[:-1]) & (ours["signal_t"][1:] == bar[:-1])
    return Counter(
        {
            "stop and target on one bar": int((~np.isnan(ours["other_price"])).sum()),
            "gap through the stop": int((stopped & (ours["side"] * (opened - stop) < 0)).sum()),
            "gap through the target": int((took & (ours["side"] * (opened - target) > 0)).sum()),
            "open exactly at a level": int(((stopped & (opened == stop)) | (took & (opened == target))).sum()),
            "extreme exactly at the stop": int((stopped & (adverse == stop)).sum()),
            "extreme exactly at the target": int((took & (favourable == target)).sum()),
            "out on the bar of the entry": int(((stopped | took) & (ours["entry_t"] == bar)).sum()),
            "signal on the bar of the exit": int(follows.sum()),
        }
    )


@pytest.fixture(scope="module")
def results() -> list[Compared]:
    return [compare(kind, CASES_PER_KIND, seed) for seed, kind in enumerate(KINDS)]


def test_ten_thousand_cases_give_the_trades_of_vectorbt(results: list[Compared]) -> None:
    assert len(KINDS) * CASES_PER_KIND >= 10_000
    assert sum(r.trades for r in results) >= 100_000
    assert max(r.largest_difference for r in results) <= PNL_TOLERANCE


def test_every_exit_kind_and_every_rare_bar_was_met(results: list[Compared]) -> None:
    reasons: Counter[str] = sum((r.by_reason for r in results), Counter())
    assert set(reasons) == {"OPEN", "STOP", "TARGET", "SIGNAL", "MAX_HOLD"}
    assert min(reasons.values()) >= 1_000, reasons
    happened: Counter[str] = sum((r.happened for r in results), Counter())
    assert len(happened) == 8 and min(happened.values()) >= 100, happened


def test_the_comparison_notices_another_rule() -> None:
    """The optimist's order of stop and target, and half the slippage, are not vectorbt's."""
    both = KINDS[7]

    class Optimist(Kind):
        def rules(self, side: int) -> TradeRules:
            return replace(super().rules(side), policy="optimistic")

    class Cheap(Kind):
        def costs(self) -> Costs:
            return replace(super().costs(), slippage_bps=self.slippage_bps / 2)

    assert compare(both, 50, 1).trades > 500
    for other in (Optimist, Cheap):
        with pytest.raises(AssertionError):
            compare(other(**asdict(both)), 50, 1)
