"""An account with models in the loop: what they say decides, stands in its tables, and never knows what comes later."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.models.stand_in import FEATURES, DirectionLearner, StandInPlan, first_ms, members, minutes
from toolkit.analysis.runs import read_run
from toolkit.bars.series import Bars
from toolkit.errors import InputError
from toolkit.models.judging import Version
from toolkit.models.panel import make_panel
from toolkit.models.recipe import Recipe
from toolkit.models.relearning import RecipeLearner
from toolkit.models.retraining import RetrainPolicy
from toolkit.models.store import read_info, read_model, save_model
from toolkit.models.walking import Known, walk_group
from toolkit.portfolio.backtest import portfolio_backtest
from toolkit.portfolio.deployment import Deployment, ModelUse, Source
from toolkit.portfolio.limits import Limits
from toolkit.portfolio.loading import load_members
from toolkit.portfolio.result import PortfolioResult

DAYS, START_DAY = 20, 3
LIMITS = Limits(max_open=3, max_symbol=0.6, daily_loss_halt=0.02)
PLAN = StandInPlan(retrain=RetrainPolicy("15trades", 20, latency="10m"))
SECONDS = "secs"


@pytest.fixture(scope="module")
def bars() -> Mapping[str, Bars]:
    return minutes(DAYS)


def run(bars: Mapping[str, Bars], **how: Any) -> PortfolioResult:
    given: dict[str, Any] = {"start": first_ms(bars, START_DAY), "limits": LIMITS, "models": PLAN, "jobs": 1} | how
    return portfolio_backtest(members(), bars=bars, **given)


@pytest.fixture(scope="module")
def result(bars: Mapping[str, Bars]) -> PortfolioResult:
    return run(bars)


def test_every_signal_has_the_prediction_of_the_version_that_held(result: PortfolioResult) -> None:
    walk = result.models
    assert walk is not None
    holds = {one.version: (one.group, one.from_ms) for one in walk.trainings if one.version}
    starts: dict[str, list[tuple[int, str]]] = {}
    for name, (group, from_ms) in holds.items():
        starts.setdefault(group, []).append((from_ms, name))
    seen = set()
    for row in result.signals.iter_rows(named=True):
        moment = int(row["ts"].timestamp() * 1000)
        before = [name for at, name in starts[walk.group_of[row["instance"]]] if at <= moment]
        assert row["model_version"] == (before[-1] if before else None)
        assert (row["prediction"] is None) == (not before)
        # The stand-in takes what is at least as likely as not.
        if before:
            assert (row["decision"] == "vetoed") == (row["prediction"] < 0.5)
        seen.add((row["decision"], bool(before)))
    assert {("vetoed", True), ("accepted", True), ("accepted", False)} <= seen


def test_trades_carry_what_their_signals_do(result: PortfolioResult) -> None:
    on = ["instance", "side"]
    signals = result.signals.select(*on, pl.col("ts").alias("signal_ts"), "prediction", "model_version", "decision")
    joined = result.trades.join(signals, on=[*on, "signal_ts"], how="left", suffix="_of_signal")
    assert joined["decision"].unique().to_list() == ["accepted"]
    assert joined["prediction"].equals(joined["prediction_of_signal"].rename("prediction"), null_equal=True)
    assert joined["model_version"].equals(joined["model_version_of_signal"].rename("model_version"), null_equal=True)
    assert 0 < joined["prediction"].null_count() < len(joined)


def test_the_account_without_models_stands_beside_it(bars: Mapping[str, Bars], result: PortfolioResult) -> None:
    plain = run(bars, models=None)
    assert set(result.variants) == {"portfolio", "no model", "equal", "winners"}
    assert result.variants["no model"].figures["trades"] == plain.metrics["trades"] > result.metrics["trades"]
    assert result.variants["no model"].equity.equals(plain.equity)
    for name in ("equal", "winners"):
        assert result.variants[name].equity.equals(plain.variants[name].equity)
    assert plain.predictions is None and plain.model_versions is None and plain.model_trades is None
    assert "model_version" not in plain.signals.columns
    # What it hangs on the order inside one bar is asked of the same account, models included.
    assert result.ambiguity["pnl"] == pytest.approx(result.trades["pnl"].sum())


def test_predictions_are_the_members_own_and_their_outcomes_the_trades(result: PortfolioResult) -> None:
    said, trades = result.predictions, result.model_trades
    assert said is not None and trades is not None
    taken = said.filter((pl.col("followed") == "trade") & pl.col("known_ts").is_not_null())
    closed = trades.filter(pl.col("exit_ts").is_not_null())
    keys = ["instance", "side", "ts"]
    joined = closed.rename({"signal_ts": "ts"}).join(taken, on=keys, how="left", suffix="_said")
    assert len(closed) == len(taken) == joined["return_said"].is_not_null().sum()
    assert joined["return"].to_list() == joined["return_said"].to_list()
    assert joined["model_version"].equals(joined["model_version_said"].rename("model_version"), null_equal=True)
    shadows = said.filter(pl.col("followed") == "shadow")
    assert set(shadows["verdict"]) == {"vetoed"} and shadows["return"].is_not_null().sum() > 5
    assert (said["known_ts"] > said["ts"]).drop_nulls().all()


def test_versions_tell_their_window_and_why_there_is_none(bars: Mapping[str, Bars], result: PortfolioResult) -> None:
    table = result.model_versions
    assert table is not None and table["version"].n_unique() == len(table)
    assert (table["from_ts"] - table["trained_until"]).unique().to_list() == [
        pl.Series([600_000]).cast(pl.Duration("ms"))[0]
    ]
    assert (table["rows"] >= 20).all()
    starved = run(bars, models=replace(PLAN, retrain=RetrainPolicy("4d", 5_000)))
    assert starved.model_versions is not None and starved.model_versions["version"].null_count() == len(
        starved.model_versions
    )
    notes = dict(starved.model_versions.group_by("group").agg(pl.col("note").last()).iter_rows())
    assert set(starved.notes) >= {
        f"no model of {name} was learned, all its signals are taken: {notes[name]}"
        for name in ("volatility_breakout", "reversal_breakout")
    }
    assert starved.equity.equals(run(bars, models=None).equity)


def frames_before(result: PortfolioResult, end_ms: int) -> dict[str, pl.DataFrame]:
    """What a run to `end_ms` can know of, from tables of a run that may go on."""
    end = pl.lit(end_ms).cast(pl.Datetime("ms", "UTC"))
    assert result.predictions is not None and result.model_versions is not None
    signals = result.signals.filter(pl.col("ts") < end)
    trades = result.trades.filter(pl.col("exit_ts") < end)
    predictions = result.predictions.filter(pl.col("ts") < end)
    return {
        "signals": signals.drop("expires_ts", "closed_ts", "ignored_entries", "shadow_pnl", "reason"),
        "trades": trades.drop("run_id"),
        "predictions": predictions.select(
            "group", "instance", "ts", "side", "prediction", "model_version", "verdict", "scale"
        ),
        "outcomes": predictions.filter(pl.col("known_ts") <= end),
        "versions": result.model_versions.filter(pl.col("from_ts") < end).drop(SECONDS),
        "days": result.equity.filter(pl.col("ts") < end),
    }


@pytest.mark.parametrize("minute", [4 * 1440 + 7, 11 * 1440 + 613, 16 * 1440, 19 * 1440 + 1001])
def test_running_to_a_later_end_changes_no_prediction_or_trade(
    bars: Mapping[str, Bars], result: PortfolioResult, minute: int
) -> None:
    end_ms = first_ms(bars) + minute * 60_000
    short = run(bars, end=end_ms)
    for name, frame in frames_before(short, end_ms).items():
        assert frame.equals(frames_before(result, end_ms)[name], null_equal=True), name


def test_processes_say_the_same_to_the_bit(bars: Mapping[str, Bars], result: PortfolioResult) -> None:
    other = run(bars, jobs=2)
    for name in ("signals", "trades", "equity", "predictions", "model_trades"):
        assert getattr(other, name).equals(getattr(result, name), null_equal=True), name
    assert other.model_versions is not None and result.model_versions is not None
    assert other.model_versions.drop(SECONDS).equals(result.model_versions.drop(SECONDS), null_equal=True)


@pytest.mark.parametrize("per", ["instance", "all"])
def test_other_groups_share_a_model(bars: Mapping[str, Bars], per: str) -> None:
    found = run(bars, models=replace(PLAN, per=per, retrain=RetrainPolicy("40trades", 30)))
    assert found.models is not None
    assert len(set(found.models.group_of.values())) == (len(members()) if per == "instance" else 1)
    assert found.signals["model_version"].null_count() < len(found.signals)


def test_versions_that_are_there_judge_as_when_they_were_learned(
    bars: Mapping[str, Bars], result: PortfolioResult
) -> None:
    start_ms = first_ms(bars, START_DAY)
    loaded = load_members(members(), bars=bars, start=start_ms, jobs=1)
    versions: dict[str, tuple[Version, ...]] = {}
    for name in ("volatility_breakout", "reversal_breakout"):
        mine = [one for one in loaded if one.instance.strategy == name]
        walk = walk_group(name, mine, PLAN.retrain, DirectionLearner(), (start_ms, first_ms(bars, DAYS)))
        versions[name] = walk.versions
    given = run(bars, models=versions)
    for name in ("signals", "trades", "equity", "predictions"):
        assert getattr(given, name).equals(getattr(result, name), null_equal=True), name
    assert given.asked["models"]["versions"]["volatility_breakout"][0].startswith("volatility_breakout@")


def test_a_deployment_is_judged_by_the_models_that_it_names(
    bars: Mapping[str, Bars], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCKSTEP_DATA", str(tmp_path))
    mine = [one for one in members() if one.strategy == "volatility_breakout"]
    start_ms, cutoff_ms = first_ms(bars, START_DAY), first_ms(bars, 12)
    loaded = load_members(mine, bars=bars, start=start_ms, features=FEATURES, jobs=1)
    recipe = Recipe("logistic", features=FEATURES, folds=2, embargo="1h", min_trades=20, method="quantile")
    panel = make_panel(loaded, FEATURES, (start_ms, cutoff_ms))
    trained = RecipeLearner(recipe, FEATURES)(loaded, {}, Known(start_ms, cutoff_ms), panel)
    folder = save_model(trained, "volatility_breakout")
    info = read_info(folder)
    use = ModelUse(info.name, info.version, info.checksum, tuple(one.instance.id for one in mine))
    ids = [one.instance.id for one in members()]
    plain = Deployment(
        tuple(members()), dict.fromkeys(ids, 0.25), LIMITS, 100_000.0, cutoff_ms, Source(None, start_ms, cutoff_ms, 4)
    )  # fmt: skip
    deployed = portfolio_backtest(replace(plain, models=(use,)), bars=bars, start=cutoff_ms, jobs=1)
    version = Version(info.id, 0, read_model(folder))
    given = portfolio_backtest(
        plain, bars=bars, start=cutoff_ms, jobs=1, models={"volatility_breakout": [version]}
    )  # fmt: skip
    for name in ("signals", "trades", "equity"):
        assert getattr(deployed, name).equals(getattr(given, name), null_equal=True), name
    vetoed = deployed.signals.filter(pl.col("decision") == "vetoed")
    assert len(vetoed) and set(vetoed["model_version"]) == {info.id}
    others = deployed.signals.filter(pl.col("instance").str.starts_with("reversal"))
    assert len(others) and others["model_version"].null_count() == len(others)
    assert not [note for note in deployed.notes if note.startswith("IN SAMPLE: model")]
    early = portfolio_backtest(replace(plain, models=(use,)), bars=bars, start=start_ms, jobs=1)
    assert any(note.startswith(f"IN SAMPLE: model {info.id} was learned") for note in early.notes)


def test_what_cannot_judge_is_refused(bars: Mapping[str, Bars]) -> None:
    for models, part in (
        ("latest", "must be a ModelPlan, or Versions"), ({"volatility_breakout": []}, "at least one Version"),
        ({"volatility_breakout": "v1"}, "at least one Version"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=part):
            run(bars, models=models)


def test_a_run_folder_has_every_table(result: PortfolioResult, tmp_path: Path) -> None:
    folder = result.save(tmp_path, factors=False)
    saved = read_run(folder)
    assert {"predictions", "model_versions", "model_trades"} <= set(saved.tables)
    assert saved.frame("predictions").equals(result.predictions, null_equal=True)
    for name in ("predictions", "model_versions", "model_trades"):
        assert (folder / f"{name}.csv").is_file()
    told = json.loads((folder / "results.json").read_text())
    groups = {row["group"]: row for row in told["models"]}
    assert result.predictions is not None
    for name, row in groups.items():
        mine = result.predictions.filter(group=name)
        assert (row["signals"], row["vetoed"]) == (len(mine), int((mine["verdict"] == "vetoed").sum()))
        assert row["versions"] > 0
    assert told["config"]["models"] == {"recipe": "direction"}
    page = (folder / "report.html").read_text()
    assert "Models" in page and "volatility_breakout@" in page
