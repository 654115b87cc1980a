"""Tallies judged: an improvement that is there survives, one that is not does not, and tables agree with figures."""

import math

import numpy as np
import pytest

from toolkit.models.controls import FUTURE, NOISE, PAST, PERMUTED
from toolkit.models.fitness import sortino
from toolkit.models.judgement import daily_frame, fold_frame, group_frame, judged, member_frame, permutation_frame
from toolkit.models.tally import BEFORE, BEFORE_RANK, Tally
from toolkit.types import FloatArray

DAYS = 400


def tally(gain: float, *, permutations: int = 99, controls: bool = True, seed: int = 1) -> Tally:
    """Days that earn nothing on average, and after the model `gain` standard deviations more."""
    rng = np.random.default_rng(seed)
    before = rng.normal(0.0, 1.0, DAYS)

    def nothing(runs: int) -> FloatArray:
        return before + rng.normal(0.0, 0.3, (runs, DAYS))

    runs = {NOISE: nothing(3), PAST: nothing(1), FUTURE: nothing(1) + 2.0}
    methods = ("veto", "rank")
    return Tally(
        19_000,
        {BEFORE: before, BEFORE_RANK: before * 0.5, "veto": before + gain, "rank": before * 0.5 + gain},
        {name: nothing(permutations) for name in methods},
        {control: dict.fromkeys(methods, days) for control, days in runs.items()} if controls else {},
        {BEFORE: 500, BEFORE_RANK: 300, "veto": 200, "rank": 250},
        members=3,
        rows=500,
        facts={
            "slots": 1,
            "folds": [
                {"from_ms": 0, "to_ms": 86_400_000, "rows": 9, "note": "",
                 "applied": {"veto": {"threshold": 0.5, "fraction": 0.5, "cap": 1.0, "payoff": 1.0}}}
            ],
            "by_member": [{"instance": "a", "strategy": "s", "profit_before": 1.0, "trades_before": 3}],
        },
    )  # fmt: skip


def test_an_improvement_that_is_there_survives() -> None:
    found = judged(tally(0.3), "veto", trials=10, seed=0)
    row = found["methods"]["veto"]
    assert found["verdict"]["survives"] and found["against"]["veto"] == []
    assert "The improvement survives" in found["verdict"]["text"]
    assert (row["p_value"], row["permutations"], row["trials"]) == (0.01, 99, 10)
    assert row["low"] > 0 and (row["trades_before"], row["trades_after"]) == (500, 200)
    assert found["methods"]["rank"]["trades_before"] == 300
    one = tally(0.3)
    assert row["sortino_before"] == pytest.approx(float(sortino(one.daily[BEFORE])))
    assert found["methods"]["rank"]["sortino_before"] == pytest.approx(float(sortino(one.daily[BEFORE_RANK])))


def test_luck_does_not_survive() -> None:
    found = judged(tally(0.0), "veto", trials=10, seed=0)
    assert not found["verdict"]["survives"] and found["verdict"]["against"]
    assert found["verdict"]["text"].startswith("No improvement that survives")


def test_controls_have_a_row_each_and_tell_the_cheat() -> None:
    found = judged(tally(0.1), "veto", trials=1, seed=0)
    rows = {(row["control"], row["method"]): row for row in found["controls"]}
    assert set(rows) == {(name, method) for name in (PERMUTED, NOISE, PAST, FUTURE) for method in ("veto", "rank")}
    assert (rows[PERMUTED, "veto"]["runs"], rows[NOISE, "veto"]["runs"], rows[PAST, "veto"]["runs"]) == (99, 3, 1)
    assert rows[FUTURE, "veto"]["difference"] > 20 * abs(rows[PERMUTED, "veto"]["difference"])
    for row in rows.values():
        assert row["low"] <= row["difference"] <= row["high"] and row["text"] and row["expected"]


def test_without_tests_and_controls_it_is_said_that_they_lack() -> None:
    found = judged(tally(0.3, permutations=0, controls=False), "veto", trials=1, seed=0)
    assert found["methods"]["veto"]["p_value"] is None and found["controls"] == []
    assert any("permuted labels" in why for why in found["against"]["veto"])


def test_nothing_to_compare_is_no_improvement() -> None:
    alone = Tally(0, {BEFORE: np.zeros(30)})
    found = judged(alone, "rank", trials=1, seed=0)
    assert found["methods"] == {} and found["verdict"]["survives"] is False and found["verdict"]["method"] is None


def test_tables_are_the_figures() -> None:
    one = tally(0.2)
    daily, chance = daily_frame(one), permutation_frame(one)
    assert daily.columns == ["date", BEFORE, BEFORE_RANK, "veto", "rank"] and daily.height == DAYS
    assert str(daily["date"][0]) == "2022-01-08"
    assert chance is not None and chance.height == 99
    found = judged(one, "veto", trials=1, seed=0)
    above = (chance["veto"] >= found["methods"]["veto"]["difference"]).sum()
    assert math.isclose(found["methods"]["veto"]["p_value"], (1 + above) / 100)
    flat = group_frame([{"group": "g", "members": 3, "rows": 500, **found}])
    assert flat["method"].to_list() == ["veto", "rank"] and flat["sortino_after"].null_count() == 0
    folds, members = fold_frame({"g": one.facts}), member_frame({"g": one.facts})
    assert folds.row(0, named=True)["threshold"] == 0.5 and str(folds["to"][0]) == "1970-01-02 00:00:00"
    assert members["group"].to_list() == ["g"]
    assert permutation_frame(tally(0.2, permutations=0)) is None
