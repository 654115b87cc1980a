"""The profile beside scipy, polars and plain counting; what stands in the way of learning is said."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp, spearmanr

from tests.models.plain_rows import FIRST_MS, HOUR_MS, random_rows, rows_of
from toolkit.engine.types import VETOED
from toolkit.models.dataset import Dataset
from toolkit.models.profile import POOLED, QUANTILES, Profile, profile, rank_correlation
from toolkit.models.shift import shift, sketch


def three_strategies(n: int = 300) -> Dataset:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(n, 3))
    y = (x[:, 0] + rng.normal(size=n) > 0.3).astype(float)
    x[rng.random(n) < 0.2, 1] = np.nan
    x[n // 2 :, 2] += 3.0
    data = rows_of(x, y.tolist(), ("one", "two", "three"))
    data.rows["decision"][::7] = VETOED
    data.rows["r"][::5] = np.nan
    return data


def test_classes_by_strategy_and_of_all_together() -> None:
    data = three_strategies()
    found = profile(data)
    assert [one.strategy for one in found.classes] == ["one", "two", "three", POOLED]
    for number, one in enumerate(found.classes[:3]):
        mine = data.rows["member"] == number
        assert (one.instances, one.rows) == (1, 100)
        assert one.refused == (data.rows["decision"][mine] == VETOED).sum()
        assert one.wins == data.y[mine].mean()
        late = data.rows["ts"] >= found.split_ms
        assert (one.wins_first, one.wins_last) == (data.y[mine & ~late].mean(), data.y[mine & late].mean())
        assert one.mean_return == pytest.approx(data.rows["ret"][mine].mean())
        assert one.mean_r == pytest.approx(np.nanmean(data.rows["r"][mine]))
        # Rows of an hour that are known after half of one never overlap.
        assert one.distinct == pytest.approx(100)
        assert (one.from_ms, one.until_ms) == (data.rows["ts"][mine][0], data.rows["known"][mine][-1])
    assert (found.pooled.rows, found.pooled.instances) == (300, 3)
    assert found.pooled.wins == data.y.mean()
    assert found.left_out == {"never filled": 2}


def test_rows_that_overlap_count_for_less() -> None:
    data = random_rows(60, 1)
    data.rows["known"] = data.rows["ts"] + 3 * HOUR_MS
    assert profile(data).pooled.distinct == pytest.approx(60 / 3, rel=0.05)


def test_distributions_missing_values_and_correlation() -> None:
    data = three_strategies()
    found = profile(data)
    for k, one in enumerate(found.features):
        x = data.x[:, k]
        there = np.isfinite(x)
        column = pl.Series(x[there])
        assert (one.feature, one.missing, one.distinct) == (f"f{k}", np.mean(~there), there.sum())
        assert (one.mean, one.std) == pytest.approx((column.mean(), column.std(ddof=0)))
        of_polars = [column.quantile(level, interpolation="linear") for level in QUANTILES]
        assert one.quantiles == pytest.approx(of_polars)
        assert one.correlation == pytest.approx(spearmanr(x[there], data.y[there]).statistic)
    told = [abs(one.correlation) for one in found.features]
    assert told[0] > 0.4 > told[1]


def test_the_last_part_is_held_against_the_first() -> None:
    data = three_strategies()
    for last in (0.5, 0.2):
        found = profile(data, last=last)
        late = data.rows["ts"] >= found.split_ms
        assert late.mean() == pytest.approx(last, abs=0.01)
        for k, one in enumerate(found.features):
            a, b = (part[np.isfinite(part)] for part in (data.x[~late, k], data.x[late, k]))
            assert one.shift.ks == pytest.approx(ks_2samp(a, b, method="asymp").statistic)
            assert one.shift.psi == shift(sketch(data.x[~late, k]), data.x[late, k]).psi
    (moved,) = profile(data).warnings
    assert moved == "1 of 3 features are distributed otherwise in the last part (PSI above 0.25 and above chance): f2"


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 3), max_size=30), st.floats(0.05, 0.95))
def test_rows_of_one_moment_are_in_one_part_and_both_parts_have_some(hours: list[int], last: float) -> None:
    data = random_rows(len(hours), 0)
    data.rows["ts"] = FIRST_MS + HOUR_MS * np.sort(np.array(hours, np.int64))
    found = profile(data, last=last)
    if len(set(hours)) < 2:
        assert found.split_ms is None
        assert all(np.isnan(one.shift.psi) for one in found.features)
        return
    assert found.split_ms in data.rows["ts"]
    assert found.split_ms > data.rows["ts"][0]


def warned(data: Dataset) -> Profile:
    found = profile(data)
    assert found.warnings
    return found


def test_what_cannot_be_learned_from_is_said() -> None:
    one_class = warned(rows_of(np.random.default_rng(0).normal(size=(80, 2)), [1.0] * 80))
    assert "one: all 80 rows are of one class, nothing can be told apart" in one_class.warnings
    x = np.random.default_rng(0).normal(size=(80, 3))
    x[:, 0], x[:, 1] = np.nan, 7.0
    dead = warned(rows_of(x, [0.0, 1.0] * 40))
    assert dead.warnings == ["1 of 3 features have no value at all: f0", "1 of 3 features never change: f1"]
    assert np.isnan([dead.features[0].mean, dead.features[0].correlation, dead.features[1].correlation]).all()
    few = warned(rows_of(np.random.default_rng(0).normal(size=(20, 1)), [0.0, 1.0] * 10))
    assert few.warnings[0] == "one: 20 rows are too few to learn from"


def test_nothing_at_all() -> None:
    empty = warned(rows_of(np.empty((0, 2)), []))
    assert empty.warnings == ["one has no signal with a known outcome", f"{POOLED} has no signal with a known outcome"]
    assert (empty.pooled.rows, empty.pooled.from_ms) == (0, None)
    assert np.isnan(empty.pooled.wins)


def test_the_correlation_of_ranks_knows_ties() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        a, b = rng.integers(0, 4, 30).astype(float), rng.integers(0, 2, 30).astype(float)
        assert rank_correlation(a, b) == pytest.approx(spearmanr(a, b).statistic)
    assert np.isnan(rank_correlation(np.ones(5), np.arange(5.0)))
