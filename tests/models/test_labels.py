"""Labels: what an entry would have made, told a second time by plain loops, and known no earlier than it could be."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.models.planted import FIRST_MS, planted_bars
from toolkit.bars.intervals import DAY_MS, HOUR_MS
from toolkit.bars.series import Bars
from toolkit.engine.rules import Costs, TradeRules
from toolkit.errors import InputError, UnknownNameError
from toolkit.models.labels import LabelRule, label_from
from toolkit.models.making import make_dataset
from toolkit.portfolio.loading import LoadedMember, load_members
from toolkit.portfolio.members import Member

DAYS, TAKER, MAKER = 60, 0.0004, 0.0001
COSTS = Costs(taker_rate=TAKER, maker_rate=MAKER, slippage_bps=0.0)


def loaded(rules: TradeRules | None = None, bars: Bars | None = None) -> LoadedMember:
    series = bars or planted_bars("AAA/USDT", DAYS, 11)
    chosen = rules or TradeRules(side="long", max_hold="4h")
    member = Member("planted_regime", "AAA/USDT", "1h", {}, chosen, COSTS)
    (one,) = load_members([member], bars={"AAA/USDT": series}, start=FIRST_MS + 3 * DAY_MS, jobs=1)
    return one


def barrier_by_loop(bars: Bars, decided_ms: int, rule: LabelRule, hold: int) -> tuple[float, int] | None:
    """Profit (per unit bought) and the moment at which it is known, of a long that is bought at the next open."""
    k = int(np.searchsorted(bars.close_ts, decided_ms))
    true_range = [
        max(bars.high[j], bars.close[j - 1]) - min(bars.low[j], bars.close[j - 1])
        for j in range(k - rule.atr + 1, k + 1)
    ]
    atr = float(np.mean(true_range))
    if k + 1 >= len(bars):
        return None
    entry = bars.open[k + 1]
    stop, target = entry - rule.lower * atr, entry + rule.upper * atr
    for j in range(k + 1, len(bars)):
        known = int(bars.close_ts[j])
        if j == k + 1 + hold:
            return bars.open[j] - entry - TAKER * (entry + bars.open[j]), known
        if bars.low[j] <= stop:
            out = min(stop, bars.open[j])
            return out - entry - TAKER * (entry + out), known
        if bars.high[j] >= target:
            out = max(target, bars.open[j])
            return out - entry - TAKER * entry - MAKER * out, known
    return None


@pytest.mark.parametrize(("upper", "lower", "hold"), [(1.5, 1.0, 12), (0.6, 2.5, 6), (3.0, 3.0, 48)])
def test_a_triple_barrier_is_what_a_loop_over_bars_finds(upper: float, lower: float, hold: int) -> None:
    one, rule = loaded(), LabelRule("barrier", upper=upper, lower=lower, max_hold=f"{hold}h", atr=10)
    own, found = make_dataset([one], ["side"], jobs=1), make_dataset([one], ["side"], label=rule, jobs=1)
    known_of = dict(zip(own.rows["ts"].tolist(), own.rows["known"].tolist(), strict=True))
    outcomes = {ts: barrier_by_loop(one.bars, ts, rule, hold) for ts in known_of}
    closed = {ts: outcome for ts, outcome in outcomes.items() if outcome is not None}
    assert found.rows["ts"].tolist() == sorted(closed)
    assert found.y.tolist() == [float(closed[ts][0] > 0) for ts in sorted(closed)]
    # A row is known once both its own trade and the one between the barriers are closed.
    assert found.rows["known"].tolist() == [max(known_of[ts], closed[ts][1]) for ts in sorted(closed)]
    assert 0.1 < found.y.mean() < 0.9
    assert found.label == f"barrier +{upper:g}/-{lower:g} ATR(10), {hold}h"


def test_without_the_atr_of_its_barriers_an_entry_has_no_label() -> None:
    """A label must not depend on where the loaded history begins."""
    bars = planted_bars("AAA/USDT", 10, 3)
    member = Member("planted_regime", "AAA/USDT", "1h", {}, TradeRules(side="long", max_hold="2h"), COSTS)
    (one,) = load_members([member], bars={"AAA/USDT": bars}, jobs=1)
    found = make_dataset([one], ["side"], label=LabelRule("barrier", atr=50), jobs=1)
    assert found.left_out["too little history for the ATR of the barriers"] >= 10
    # The true range of the first bar needs the close before it.
    assert int(found.rows["ts"][0]) >= FIRST_MS + 50 * HOUR_MS


def test_win_return_and_r_of_the_same_trades() -> None:
    one = loaded(TradeRules(side="long", max_hold="4h", stop=0.01))
    win = make_dataset([one], ["side"], jobs=1)
    ret, r = win.rows["ret"], win.rows["r"]
    assert (win.y == (ret > 0)).all()
    assert r == pytest.approx(ret / 0.01, rel=1e-9)
    above = make_dataset([one], ["side"], label=LabelRule("return", above=0.004), jobs=1)
    assert (above.y == (ret > 0.004)).all()
    assert above.label == "return > 0.004"
    in_r = make_dataset([one], ["side"], label=LabelRule("r", above=-0.5), jobs=1)
    assert (in_r.y == (r > -0.5)).all()
    assert 0 < above.y.sum() < in_r.y.sum()


def test_without_a_stop_there_is_no_r_multiple_and_no_row() -> None:
    one = loaded(TradeRules(side="long", max_hold="4h", stop=None))
    found = make_dataset([one], ["side"], label=LabelRule("r"), jobs=1)
    assert len(found) == 0
    assert found.left_out["no stop, so no R multiple"] > 100


def test_costs_count() -> None:
    """A trade that gains less than it costs is no win."""
    free, dear = loaded(), loaded()
    dear = replace(dear, prepared=replace(dear.prepared, rates=dear.prepared.rates._replace(taker=0.002)))
    a, b = (make_dataset([one], ["side"], jobs=1) for one in (free, dear))
    assert a.rows["ts"].tolist() == b.rows["ts"].tolist()
    assert b.rows["ret"] == pytest.approx(a.rows["ret"] - (0.002 - TAKER) * (2 + a.rows["ret"]), abs=1e-5)
    assert b.y.sum() < a.y.sum()


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"kind": "loss"}, "unknown label 'loss'"),
        ({"above": float("nan")}, "`above` of a label must be a finite number"),
        ({"kind": "barrier", "upper": 0.0}, "barriers must lie above 0 ATR"),
        ({"atr": 0}, "`atr` of a label must be a whole number of at least 1 bar"),
        ({"max_hold": "20bars"}, "`max_hold` must be a time such as '8h'"),
        ({"hold": "1d"}, "unknown key of a label 'hold'"),
    ],
)
def test_a_wrong_label_is_said_in_one_sentence(given: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        label_from(given)


def test_a_label_from_what_a_recipe_says() -> None:
    assert label_from("r") == LabelRule("r")
    assert label_from(LabelRule("barrier", atr=20).table()) == LabelRule("barrier", atr=20)
    assert label_from(LabelRule("win")).text == "win"
    with pytest.raises(InputError, match="must be one of win, return, r, barrier or a table"):
        label_from(3)
    with pytest.raises(UnknownNameError):
        label_from("wins")
