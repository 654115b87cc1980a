"""What is due by the clock: learned from stored bars as in a backtest, saved, and not learned twice."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.models.stand_in import DAYS_STORED, FEATURES, SYMBOLS, members
from toolkit.bars.columns import COLUMNS
from toolkit.bars.intervals import DAY_MS
from toolkit.bars.series import Bars
from toolkit.bars.store import Source, Store
from toolkit.bars.synthetic import synthetic_columns
from toolkit.cli.main import app
from toolkit.errors import InputError
from toolkit.models.due import DUE, NOT_DUE, NOT_LEARNED, TRAINED, Due, holds_from, train_due
from toolkit.models.judging import judge
from toolkit.models.members_file import members_text
from toolkit.models.recipe import Recipe
from toolkit.models.recipe_file import RecipeFile
from toolkit.models.relearning import RecipeLearner
from toolkit.models.retraining import RetrainPolicy
from toolkit.models.store import list_models, read_info, read_model
from toolkit.models.walking import walk_group
from toolkit.portfolio.loading import load_members

RECIPE = Recipe("logistic", features=FEATURES, folds=2, embargo="1h", min_trades=20, method="quantile")
POLICY = RetrainPolicy("25trades", 40, latency="10m")
GROUP = "volatility_breakout"
Store_ = tuple[Path, int]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Store_:
    """The database, and the moment of its first bar."""
    store = Store(tmp_path_factory.mktemp("stored") / "bars.duckdb")
    columns = synthetic_columns(SYMBOLS, days=DAYS_STORED, seed=5)
    for symbol in SYMBOLS:
        store.write("synthetic", symbol, "1m", columns[symbol], Source("request", "test", "0"))
    return store.path, int(columns["BTC/USDT"]["ts"][0])


def look(stored: Store_, registry: Path, day: float, **how: Any) -> Due:
    given: dict[str, Any] = {"recipe": RECIPE, "retrain": POLICY, "models": registry, "jobs": 1} | how
    rows = train_due(
        members(),
        start=stored[1] + 2 * DAY_MS,
        at=stored[1] + int(day * DAY_MS),
        db=stored[0],
        strategies=GROUP,
        **given,
    )
    assert len(rows) == 1
    return rows[0]


def test_it_waits_trains_and_waits_again(stored: Store_, tmp_path: Path) -> None:
    early = look(stored, tmp_path, 2.7)
    assert (early.state, early.version) == (NOT_DUE, None)
    assert early.note == f"{early.known} of 40 outcomes since the start"
    first = look(stored, tmp_path, 12)
    assert first.state == TRAINED and first.version is not None and first.cutoff_ms is not None
    info = read_info(Path(first.folder or ""))
    assert info.id == first.version == list_models(tmp_path)[-1].id
    assert info.until_ms == first.cutoff_ms
    # Learned after its clock came due, it counts from when it was there.
    assert holds_from(info) == first.holds_from_ms == stored[1] + 12 * DAY_MS
    assert info.facts["members"] == [one.instance.id for one in members() if one.strategy == GROUP]
    again = look(stored, tmp_path, 12)
    assert again.state == NOT_DUE and len(list_models(tmp_path)) == 1
    later = look(stored, tmp_path, 20, recipe=None, retrain=None)
    assert later.state == TRAINED and (later.cutoff_ms or 0) > first.cutoff_ms
    assert [one.facts["recipe"] for one in list_models(tmp_path)] == [RECIPE.table()] * 2


def test_it_learns_what_the_backtest_learned(stored: Store_, tmp_path: Path) -> None:
    start_ms, end_ms = stored[1] + 2 * DAY_MS, stored[1] + DAYS_STORED * DAY_MS
    mine = [one for one in members() if one.strategy == GROUP]
    loaded = load_members(mine, start=start_ms, db=stored[0], features=FEATURES, jobs=1)
    walk = walk_group(GROUP, loaded, POLICY, RecipeLearner(RECIPE, FEATURES), (start_ms, end_ms))
    cutoff_ms = walk.trainings[0].trained_until_ms
    found = look(stored, tmp_path, (cutoff_ms - stored[1]) / DAY_MS)
    assert (found.state, found.cutoff_ms, found.rows) == (TRAINED, cutoff_ms, walk.trainings[0].rows)
    saved, learned = read_model(Path(found.folder or "")), walk.versions[0].trained
    assert saved.application == learned.application
    x = np.concatenate([np.random.default_rng(1).normal(size=(40, len(FEATURES))), np.full((1, len(FEATURES)), np.nan)])
    assert np.array_equal(saved.predict(x), learned.predict(x), equal_nan=True)
    # In the path that comes after, it stands where the backtest's first version does: from the latency on.
    assert found.holds_from_ms == walk.versions[0].from_ms
    second = look(stored, tmp_path, (walk.trainings[1].trained_until_ms - stored[1]) / DAY_MS)
    assert (second.cutoff_ms, second.rows) == (walk.trainings[1].trained_until_ms, walk.trainings[1].rows)
    assert np.array_equal(read_model(Path(second.folder or "")).predict(x), walk.versions[1].trained.predict(x))


def test_nothing_after_the_moment_is_looked_at(stored: Store_, tmp_path: Path) -> None:
    whole = look(stored, tmp_path / "whole", 15.3)
    short = Store(tmp_path / "bars.duckdb")
    for symbol in SYMBOLS:
        bars = series(stored[0], symbol).window(stored[1], stored[1] + int(15.3 * DAY_MS) // 60_000 * 60_000)
        kept = {name: getattr(bars, name)[~bars.filled] for name in COLUMNS}
        short.write("synthetic", symbol, "1m", kept, Source("request", "test", "0"))
    assert look((short.path, stored[1]), tmp_path / "short", 15.3).version == whole.version


def series(db: Path, symbol: str) -> Bars:
    from toolkit.bars.load import load_bars

    return load_bars(symbol, "1m", db=db)


def test_a_look_trains_nothing(stored: Store_, tmp_path: Path) -> None:
    found = look(stored, tmp_path, 12, dry_run=True)
    assert found.state == DUE and found.cutoff_ms is not None
    assert list_models(tmp_path) == []


def test_a_week_away_is_one_training_at_the_last_moment_due(stored: Store_, tmp_path: Path) -> None:
    daily = RetrainPolicy("1d", 20)
    found = look(stored, tmp_path, 12.4, retrain=daily)
    assert found.cutoff_ms == stored[1] + 12 * DAY_MS and len(list_models(tmp_path)) == 1
    waiting = look(stored, tmp_path, 12.6, retrain=daily)
    assert waiting.state == NOT_DUE and waiting.note.startswith("due 20") and "the bars end" in waiting.note


def test_what_cannot_be_learned_says_why_and_is_tried_again(stored: Store_, tmp_path: Path) -> None:
    few = look(stored, tmp_path, 12, retrain=RetrainPolicy("1d", 5_000))
    assert few.state == NOT_LEARNED and "5000 are needed" in few.note
    one_class = Recipe("logistic", features=FEATURES, label=_above(9.0), min_trades=20)
    found = look(stored, tmp_path, 12, recipe=one_class)
    assert found.state == NOT_LEARNED and "nothing to tell apart" in found.note
    assert list_models(tmp_path) == []
    with pytest.raises(InputError, match=r"its first one needs a recipe"):
        look(stored, tmp_path, 12, recipe=None)


def _above(ret: float) -> Any:
    from toolkit.models.labels import LabelRule

    return LabelRule("return", above=ret)


def test_processes_do_the_same(stored: Store_, tmp_path: Path) -> None:
    how: dict[str, Any] = {"start": stored[1] + 2 * DAY_MS, "at": stored[1] + 14 * DAY_MS, "db": stored[0]}
    alone = train_due(members(), RECIPE, POLICY, models=tmp_path / "one", jobs=1, **how)
    many = train_due(members(), RECIPE, POLICY, models=tmp_path / "two", jobs=2, **how)
    assert [one.version for one in alone] == [one.version for one in many]
    assert {one.group for one in many} == {"volatility_breakout", "reversal_breakout"}


def test_versions_in_the_registry_stand_on_the_path(stored: Store_, tmp_path: Path) -> None:
    first = look(stored, tmp_path, 10)
    later = look(stored, tmp_path, 18)
    assert first.state == later.state == TRAINED
    start_ms = stored[1] + 2 * DAY_MS
    one = load_members(members()[:1], start=start_ms, db=stored[0], features=FEATURES, jobs=1)[0]
    from toolkit.models.judging import Version

    versions = [Version(i.id, holds_from(i), read_model(i.folder)) for i in list_models(tmp_path)]
    said = judge(one, versions)
    assert {number for legs in said.values() for number in np.unique(legs.versions).tolist()} == {-1, 0, 1}


def test_the_command_says_what_was_due(stored: Store_, tmp_path: Path) -> None:
    (tmp_path / "members.toml").write_text(members_text(members()))
    (tmp_path / "recipe.toml").write_text(RecipeFile(RECIPE).text)
    asked = [
        "model", "train", str(tmp_path / "members.toml"), "--due", "--strategies", GROUP, "--db", str(stored[0]),
        "--start", str(stored[1] + 2 * DAY_MS), "--end", str(stored[1] + 12 * DAY_MS),
    ]  # fmt: skip
    clock = ["--retrain-every", "25trades", "--min-trades", "40", "--train-latency", "10m"]
    recipe = ["--model", str(tmp_path / "recipe.toml")]
    runner = CliRunner(env={"LOCKSTEP_DATA": str(tmp_path)})
    looked = runner.invoke(app, [*asked, *recipe, *clock, "--dry-run"])
    assert looked.exit_code == 0 and looked.stdout.splitlines()[-1] == "1 due", looked.output
    done = runner.invoke(app, [*asked, *recipe, *clock])
    version = list_models(tmp_path / "models")[-1]
    assert done.exit_code == 0 and done.stdout.startswith(f"{GROUP}: {version.id}, learned from "), done.output
    assert version.facts["reference"]
    told = runner.invoke(app, [*asked, "--json"])
    assert [row["state"] for row in json.loads(told.stdout)["groups"]] == [NOT_DUE]
    undue = runner.invoke(app, ["model", "train", str(tmp_path / "members.toml"), "--train-latency", "10m"])
    assert "--train-latency says when a model is due" in str(undue.exception)
