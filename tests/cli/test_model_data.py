"""`toolkit model data` and `toolkit model drift`: what they print and write, and what they refuse."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from click.testing import Result
from typer.testing import CliRunner

from tests.models.stored_case import DAYS, FEATURES, make_data, members
from toolkit.bars.intervals import DAY_MS
from toolkit.cli.main import app
from toolkit.errors import InputError, UnknownNameError
from toolkit.models.deployed import use_models
from toolkit.models.drift import reference_of
from toolkit.models.fitting import fit
from toolkit.models.making import make_dataset
from toolkit.models.profile import POOLED
from toolkit.models.recipe import Recipe
from toolkit.models.store import save_model
from toolkit.portfolio.deployment import Deployment, Source, store_deployment
from toolkit.portfolio.limits import Limits
from toolkit.portfolio.loading import load_members

FIRST_MS = 19_358 * DAY_MS
CUT_MS = FIRST_MS + (DAYS - 12) * DAY_MS
FEW = ["members.toml", "--recipe", "few.toml", "--jobs", "1"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("data"))


def model(folder: Path, *words: str) -> Result:
    named = [str(folder / word) if word in ("members.toml", "few.toml") else word for word in words]
    return CliRunner().invoke(app, ["model", *named], env={"LOCKSTEP_DATA": str(folder)})


def said(done: Result) -> Any:
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_the_dataset_is_shown_before_anything_is_fitted(folder: Path) -> None:
    done = model(folder, "data", *FEW)
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0] == "label: win"
    for name in ("volatility_breakout", "reversal_breakout", POOLED):
        assert any(line.startswith(name) for line in lines)
    for name in FEATURES:
        assert any(line.startswith(f"{name} ") for line in lines)
    assert "PSI and KS of the rows from" in done.stdout
    assert not (folder / "models").exists()


def test_as_json_it_is_what_the_library_makes(folder: Path) -> None:
    found = said(model(folder, "data", *FEW, "--json"))
    loaded = load_members(
        members(), start=FIRST_MS, end=FIRST_MS + DAYS * DAY_MS, db=folder / "bars.duckdb", features=FEATURES, jobs=1
    )
    data = make_dataset(loaded, FEATURES, jobs=1)
    assert found["fingerprint"] == data.fingerprint
    pooled = found["classes"][-1]
    assert (pooled["strategy"], pooled["rows"], pooled["wins"]) == (POOLED, len(data), float(data.y.mean()))
    assert [one["feature"] for one in found["features"]] == list(FEATURES)
    assert found["features"][1]["mean"] == pytest.approx(np.nanmean(data.x[:, 1]))
    assert {"psi", "ks", "missing"} <= set(found["features"][0]["shift"])


def test_tables_are_written_whole(folder: Path, tmp_path: Path) -> None:
    out, rows = tmp_path / "deep" / "features.csv", tmp_path / "rows.parquet"
    done = model(folder, "data", *FEW, "--out", str(out), "--rows", str(rows), "--strategies", "volatility_breakout")
    assert done.exit_code == 0, done.output
    table = pl.read_csv(out)
    assert table["feature"].to_list() == list(FEATURES)
    assert {"missing", "q05", "q50", "q99", "correlation", "psi", "ks", "missing_first"} <= set(table.columns)
    classes = pl.read_csv(tmp_path / "deep" / "features.classes.csv")
    assert classes["strategy"].to_list() == ["volatility_breakout", POOLED]
    frame = pl.read_parquet(rows)
    assert len(frame) == classes["rows"][-1]
    assert frame["label"].mean() == pytest.approx(classes["wins"][-1])
    assert set(frame["side"].unique()) == {"long", "short"}
    assert (frame["known"] > frame["ts"]).all()
    assert set(frame["x.side"].unique()) == {-1.0, 1.0}
    assert {"natr(14)", "return", "r_multiple", "weight", "accepted", "exit_reason"} <= set(frame.columns)
    csv = tmp_path / "rows.csv"
    assert model(folder, "data", *FEW, "--rows", str(csv), "--strategies", "volatility_breakout").exit_code == 0
    assert pl.read_csv(csv)["label"].to_list() == frame["label"].to_list()
    assert not list(tmp_path.rglob(".*"))


def test_another_label_and_a_part_of_the_time(folder: Path) -> None:
    end = "2023-01-20"
    win, r = (said(model(folder, "data", *FEW, "--json", "--end", end, *more)) for more in ((), ("--set", "label=r")))
    assert (win["label"], r["label"]) == ("win", "r > 0")
    assert win["classes"][-1]["until_ms"] <= FIRST_MS + 19 * DAY_MS
    assert win["fingerprint"] != r["fingerprint"]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--last", "1"], "--last must be a share between 0 and 1, was 1.0"),
        (["--out", "features.xlsx"], "--out must be a file that ends in .csv"),
        (["--rows", "rows.json"], "must be a file that ends in .csv or .parquet, was 'rows.json'"),
        (["--set", "label=gain"], "unknown label 'gain'"),
        (["--set", "features=[\"rsy(10)\"]"], "rsy"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_before_anything_is_made(folder: Path, words: list[str], text: str) -> None:
    done = model(folder, "data", *FEW, *words)
    assert isinstance(done.exception, InputError)
    assert text in str(done.exception)


def kept(folder: Path, registry: Path, until_ms: int = CUT_MS) -> Path:
    """A model of one strategy as it was known some days before the end."""
    mine = [one for one in members() if one.strategy == "volatility_breakout"]
    loaded = load_members(mine, end=until_ms, db=folder / "bars.duckdb", features=FEATURES, jobs=1)
    data = make_dataset(loaded, FEATURES, end_ms=until_ms, jobs=1)
    recipe = Recipe("constant", features=FEATURES)
    facts = {
        "window": {"from_ms": FIRST_MS, "until_ms": until_ms}, "reference": reference_of(data),
        "recipe": recipe.table(), "members": [one.instance.id for one in mine],
    }  # fmt: skip
    return save_model(fit(data, recipe), "volatility_breakout", registry, facts=facts)


def test_drift_of_a_named_model(folder: Path, tmp_path: Path) -> None:
    bundle = kept(folder, tmp_path)
    words = ["drift", "members.toml", "--model", "volatility_breakout", "--models", str(tmp_path), "--jobs", "1"]
    done = model(folder, *words)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith(f"volatility_breakout@{bundle.name}, 2 instances: ")
    assert "written" not in done.stdout
    found = said(model(folder, *words, "--json", "--out", str(tmp_path / "drift.json")))
    assert json.loads((tmp_path / "drift.json").read_text())["models"] == found["models"]
    (one,) = found["models"]
    assert (one["name"], one["version"], len(one["instances"])) == ("volatility_breakout", bundle.name, 2)
    assert one["from_ms"] > CUT_MS
    assert [feature["feature"] for feature in one["features"]] == list(FEATURES)
    assert found["deployment"] is None
    check = model(folder, *words, "--check")
    assert check.exit_code == (1 if one["verdict"] == "drifted" else 0)
    fewer = said(model(folder, *words, "--last", "3d", "--json"))["models"][0]
    assert 0 < fewer["rows"] < one["rows"]


def test_drift_of_a_deployment_is_written_where_the_dashboard_looks(folder: Path) -> None:
    kept(folder, folder / "models")
    mine = members()
    ids = [one.instance.id for one in mine]
    plain = Deployment(
        tuple(mine), dict.fromkeys(ids, 1 / len(ids)), Limits(), 10_000.0, CUT_MS, Source(None, FIRST_MS, CUT_MS, 1)
    )
    without = model(folder, "drift", str(store_deployment(plain, folder / "deployments")))
    assert "names none; name one with --model" in str(without.exception)
    deployment = use_models(plain, ["volatility_breakout"], folder / "models")
    store_deployment(deployment, folder / "deployments")
    found = said(model(folder, "drift", deployment.id, "--jobs", "1", "--json"))
    assert found["deployment"] == deployment.id
    written = folder / "drift" / f"{deployment.id}.json"
    assert json.loads(written.read_text()) == found
    assert {name for one in found["models"] for name in one["instances"]} == {
        name for name in ids if name.startswith("volatility_breakout")
    }
    latest = model(folder, "drift", "--jobs", "1")
    assert f"written: {written}" in latest.stdout
    later = kept(folder, folder / "models", CUT_MS + 2 * DAY_MS).name
    for words, version in (((), deployment.models[0].version), (("--newest",), later)):
        (one,) = said(model(folder, "drift", *words, "--jobs", "1", "--json"))["models"]
        assert one["version"] == version


def test_drift_of_what_is_not_there(folder: Path, tmp_path: Path) -> None:
    with_model = ["--model", "trend", "--models", str(tmp_path)]
    assert isinstance(model(folder, "drift", "members.toml", *with_model).exception, UnknownNameError)
    missing = model(folder, "drift", "nowhere.toml", *with_model).exception
    assert isinstance(missing, InputError)
    assert "nowhere.toml is not there" in str(missing)
    assert "`last` must be a time" in str(model(folder, "drift", "members.toml", *with_model, "--last", "x").exception)
