"""`tk.verify(...)`, one call for every proof."""

import pytest

import toolkit as tk
from toolkit.bars.synthetic import synthetic_bars
from toolkit.errors import UnknownNameError
from toolkit.verify.cache import CacheReport
from toolkit.verify.hop import HopReport
from toolkit.verify.results import LookaheadReport
from toolkit.verify.run import VerifyReport

CHEATS = ("tests.verify.cheats",)


def test_a_strategy_is_tested_for_lookahead_alone() -> None:
    bars = synthetic_bars(("BTC/USDT",), days=30)["BTC/USDT"]
    given = {"intervals": ["15m"], "points": 4}
    honest = tk.verify("volatility_breakout", bars, **given)
    assert isinstance(honest, LookaheadReport)
    assert honest.ok
    assert {c.subject for c in honest.coverage} == {"volatility_breakout"}
    assert not tk.verify("cheat_behind_a_switch", [bars], strategies=CHEATS, **given).ok
    assert not tk.verify("cheat_target_peeks", bars, strategies=CHEATS, params={"target_r": 1}, **given).ok
    with pytest.raises(UnknownNameError, match="did you mean 'volatility_breakout'"):
        tk.verify("volatility_breakouts", bars)


@pytest.mark.xdist_group("engine")
def test_all_is_every_proof() -> None:
    bars = synthetic_bars(("BTC/USDT",), days=30)["BTC/USDT"]
    report = tk.verify("all", bars, intervals=["1h"], points=1, cases=600, strategies=CHEATS)
    assert isinstance(report, VerifyReport)
    assert isinstance(report.hop, HopReport)
    assert isinstance(report.cache, CacheReport)
    assert (report.lookahead.ok, report.hop.ok, report.cache.ok, report.ok) == (False, True, True, False)
    assert "factors" in {c.subject for c in report.lookahead.coverage}


@pytest.mark.xdist_group("engine")
def test_hop_alone_takes_its_cases() -> None:
    report = tk.verify("hop", cases=600)
    assert isinstance(report, HopReport)
    assert report.cases == 600
    assert report.ok
