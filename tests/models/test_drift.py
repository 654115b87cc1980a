"""Drift: what moved is found, what did not is left alone, and what a bundle keeps says the same as the training set."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.plain_rows import FIRST_MS, HOUR_MS, random_rows, rows_of
from tests.models.stand_in import COSTS
from toolkit.bars.intervals import DAY_MS
from toolkit.bars.store import Source, Store
from toolkit.bars.synthetic import synthetic_columns
from toolkit.engine.rules import TradeRules
from toolkit.engine.types import VETOED
from toolkit.errors import InputError
from toolkit.models.applying import Application
from toolkit.models.dataset import Dataset
from toolkit.models.drift import (
    DRIFTED,
    LEAST_ROWS,
    STABLE,
    TOO_FEW,
    Drift,
    changes,
    drift,
    reference_of,
)
from toolkit.models.drifting import Watched, drift_of, watched
from toolkit.models.fitting import fit
from toolkit.models.judging import Version, judge
from toolkit.models.making import make_dataset
from toolkit.models.paths import begun
from toolkit.models.recipe import Recipe
from toolkit.models.store import read_info, read_model, save_model
from toolkit.portfolio.candidates import candidates_of
from toolkit.portfolio.loading import load_members
from toolkit.portfolio.members import Member

DAYS, CUT_DAY = 30, 20
START_MS = 19_358 * DAY_MS
CUT_MS = START_MS + CUT_DAY * DAY_MS
RECIPE = Recipe("logistic", features=("rsi(10)", "natr(14)", "1h:rsi(5)", "side"), min_trades=20)
LATER_MS = FIRST_MS + 10_000 * HOUR_MS


def test_what_is_as_it_was_has_not_drifted() -> None:
    found = drift(random_rows(1_000, 0), random_rows(400, 1, first_ms=LATER_MS))
    assert {one.verdict for one in found.features} == {STABLE}
    assert (found.verdict, found.drifted, found.outcomes.changes) == (STABLE, (), ())
    assert (found.rows_before, found.rows) == (1_000, 400)
    assert found.text.startswith("none of 4 features has drifted; the share of entries worth taking was")


def test_features_that_move_are_named_and_those_that_the_model_does_not_read_do_not_decide() -> None:
    before, now = random_rows(1_000, 0), random_rows(300, 1, first_ms=LATER_MS)
    now.x[:, 2] += 1.5
    now.x[:, 0] *= 4.0
    found = drift(before, now)
    assert [one.feature for one in found.features if one.verdict == DRIFTED] == ["f0", "f2"]
    assert set(found.drifted) == {"f0", "f2"}
    assert found.verdict == DRIFTED
    assert "2 of 4 features have drifted" in found.text
    unread = drift(before, now, read=("f1", "f3"))
    assert (unread.verdict, unread.drifted) == (STABLE, ())
    assert [one.read for one in unread.features] == [False, True, False, True]


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 10_000))
def test_with_many_features_and_few_rows_chance_is_no_drift(seed: int) -> None:
    """Of twenty samples of fifty features as they were, hardly one may be said to have drifted."""
    before, said = random_rows(300, seed, features=50), 0
    for k in range(20):
        now = random_rows(60, seed + 20_000 + k, features=50)
        said += bool(drift(before, now).drifted)
    assert said <= 5


def test_few_rows_say_nothing_of_features() -> None:
    now = random_rows(LEAST_ROWS - 1, 1)
    now.x[:] += 5.0
    found = drift(random_rows(500, 0), now)
    assert {one.verdict for one in found.features} == {TOO_FEW}
    assert found.verdict == TOO_FEW
    assert "29 rows are too few" in found.text


def test_outcomes_that_turn_are_found_by_adwin_and_when() -> None:
    before = random_rows(600, 0, wins=0.6)
    now = random_rows(300, 1, wins=0.6, first_ms=LATER_MS)
    now.y[150:] = 0.0
    found = drift(before, now).outcomes
    assert found.verdict == DRIFTED
    first = found.changes[0]
    assert now.rows["known"][150] < first.ts_ms <= now.rows["known"][200]
    assert (first.before > 0.5, first.after) == (True, 0.0)
    assert drift(before, now).verdict == DRIFTED
    assert "by ADWIN" in drift(before, now).text
    assert (found.before, found.now) == (before.y.mean(), now.y.mean())


def test_a_change_of_the_training_set_itself_is_none_of_the_recent_rows() -> None:
    steady = random_rows(200, 4, wins=1.0, first_ms=LATER_MS)
    assert not changes("0" * 400 + "1" * 600, steady)
    assert changes("1" * 600, random_rows(200, 4, wins=0.0, first_ms=LATER_MS))


def test_outcomes_are_read_in_the_order_in_which_they_became_known() -> None:
    """Trades that win late are not known when those decided after them are."""
    now = random_rows(300, 1, wins=0.5, first_ms=LATER_MS)
    now.y[:] = (np.arange(300) % 2).astype(float)
    now.rows["known"] += np.where(now.y > 0, 1_000 * HOUR_MS, 0)
    assert changes("01" * 300, now)
    now.rows["known"] = now.rows["ts"] + 1
    assert not changes("01" * 300, now)


def test_predictions_are_held_against_what_came_true() -> None:
    now = random_rows(200, 3)
    found = drift(random_rows(200, 2), now, predictions=np.where(now.y > 0, 0.7, 0.2)).outcomes
    assert found.auc == 1.0
    assert found.predicted == pytest.approx(0.7 * now.y.mean() + 0.2 * (1 - now.y.mean()))
    assert np.isnan(drift(now, now).outcomes.predicted)


def test_what_a_bundle_keeps_says_what_the_training_set_says() -> None:
    before, now = random_rows(900, 0), random_rows(200, 1, wins=0.2, first_ms=LATER_MS)
    now.x[:100, 1] = np.nan
    kept = json.loads(json.dumps(reference_of(before), allow_nan=False))
    a, b = drift(before, now), drift(kept, now)
    assert [one.verdict for one in a.features] == [one.verdict for one in b.features]
    assert a.outcomes.changes == b.outcomes.changes
    assert [one.psi for one in a.features] == pytest.approx([one.psi for one in b.features], abs=1e-6)
    assert len(json.dumps(kept)) < 12_000


def test_recent_rows_must_have_the_features() -> None:
    with pytest.raises(InputError, match="lack feature 'f3'"):
        drift(random_rows(50, 0), random_rows(50, 1, features=3))


def test_without_rows_there_is_nothing_to_compare() -> None:
    found = drift(random_rows(50, 0), rows_of(np.empty((0, 4)), []))
    assert (found.rows, found.from_ms, found.verdict) == (0, None, TOO_FEW)
    assert "nothing to compare" in found.text


def member(symbol: str = "BTC/USDT", strategy: str = "volatility_breakout") -> Member:
    rules = TradeRules(side="both", stop=0.004, target=0.006, max_hold="2h")
    params = {"window": 12} if strategy == "volatility_breakout" else {}
    return Member(strategy, symbol, "5m", params, rules, COSTS)


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = Store(tmp_path_factory.mktemp("stored") / "bars.duckdb")
    for symbol, columns in synthetic_columns(("BTC/USDT", "ETH/USDT"), days=DAYS, seed=5).items():
        store.write("synthetic", symbol, "1m", columns, Source("request", "test", "0"))
    return store.path


@pytest.fixture(scope="module")
def bundle(db: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of what was known by the twentieth day."""
    assert RECIPE.features is not None
    start = START_MS + 3 * DAY_MS
    loaded = load_members([member()], start=start, end=CUT_MS, db=db, features=RECIPE.features, jobs=1)
    data = make_dataset(loaded, RECIPE.features, end_ms=CUT_MS, jobs=1)
    trained = fit(data, RECIPE)
    trained = replace(trained, application=Application(threshold=0.45))
    facts = {
        "window": {"from_ms": start, "until_ms": CUT_MS}, "recipe": RECIPE.table(), "reference": reference_of(data),
        "members": [member().instance.id],
    }  # fmt: skip
    return save_model(trained, "volatility_breakout", tmp_path_factory.mktemp("models"), facts=facts)


def recent(db: Path, bundle: Path, start_ms: int) -> Dataset:
    """What the model has seen from a moment on, its own refusals in the loop."""
    trained = read_model(bundle)
    (one,) = load_members([member()], start=start_ms, db=db, features=trained.features, jobs=1)
    judged = {one.instance.id: judge(one, [Version("v", 0, trained)])}
    return make_dataset([begun(one, start_ms)], trained.features, judged=judged, jobs=1)


def test_a_model_is_held_against_its_signals_since_the_training(db: Path, bundle: Path) -> None:
    report = drift_of([Watched(read_info(bundle), (member(),))], db=db, jobs=1)
    (found,) = report.models
    rows = recent(db, bundle, CUT_MS)
    assert (rows.rows["decision"] == VETOED).any()
    assert found.drift == drift(
        read_info(bundle).facts["reference"], rows, predictions=read_model(bundle).predict(rows.x)
    )
    assert found.drift.from_ms is not None
    assert found.drift.from_ms > CUT_MS
    assert report.end_ms == START_MS + DAYS * DAY_MS
    json.dumps(report.table())


def test_only_the_last_days(db: Path, bundle: Path) -> None:
    report = drift_of([Watched(read_info(bundle), (member(),))], last_ms=3 * DAY_MS, db=db, jobs=1)
    start_ms = START_MS + (DAYS - 3) * DAY_MS
    rows = recent(db, bundle, start_ms)
    assert report.models[0].drift.rows == len(rows)
    assert report.models[0].drift.from_ms == rows.rows["ts"][0] > start_ms


def test_a_model_that_is_as_new_as_the_bars_has_nothing_to_be_held_against(db: Path, bundle: Path) -> None:
    report = drift_of([Watched(read_info(bundle), (member(),))], end_ms=CUT_MS, db=db, jobs=1)
    found: Drift = report.models[0].drift
    assert (found.rows, found.verdict, report.drifted) == (0, TOO_FEW, False)


def test_who_is_judged_by_which(bundle: Path) -> None:
    others = [member("ETH/USDT"), member(strategy="reversal_breakout")]
    learned = watched(candidates_of([*others, member()]), [bundle])
    assert learned[0].members == (member(),)
    # Where none of those it was learned from are there, those of its strategy.
    assert watched(candidates_of(others), [bundle])[0].members == (others[0],)
    with pytest.raises(InputError, match=r"judges none of these members.*reversal_breakout"):
        watched(candidates_of(others[1:]), [bundle])
    with pytest.raises(InputError, match="drift is of models, and these members have none; name one with --model"):
        watched(candidates_of(others))


def test_a_model_without_a_reference_is_named(db: Path, bundle: Path, tmp_path: Path) -> None:
    old = save_model(read_model(bundle), "volatility_breakout", tmp_path, facts={"reference": None})
    with pytest.raises(
        InputError, match=r"volatility_breakout@\S+ keeps no reference of its training set.*train it again"
    ):
        drift_of([Watched(read_info(old), (member(),))], db=db, jobs=1)
