"""`toolkit parity` over run folders and ledgers: counts, verdict, exit code."""

import json
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from tests.executor.engine.account_replay import playable, replay
from tests.verify.parity_cases import backtest
from toolkit.analysis.runs import RunWriter
from toolkit.cli.main import app
from toolkit.errors import RunError, UnknownNameError
from toolkit.verify.parity_tables import RunTables


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["parity", *map(str, arguments)])


@pytest.fixture(scope="module")
def known() -> RunTables:
    return backtest(playable(7_000_000))


def written(root: Path, tables: RunTables, name: str, kind: str = "portfolio", **other: pl.DataFrame) -> Path:
    """The tables as a run folder."""
    config = {"start_ms": str(tables.start_ms), "end_ms": tables.end_ms, "capital": tables.capital}
    with RunWriter(kind, config, root=root, run_id=name) as writer:
        for table, frame in {**tables.tables, **other}.items():
            writer.write_frame(table, frame)
        return writer.finish()


def test_equal_runs_are_certified_with_their_counts(known: RunTables, tmp_path: Path) -> None:
    written(tmp_path, known, "one")
    folder = written(tmp_path, known, "two", kind="replay")
    result = run("one", folder, "--root", tmp_path)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[:2] == ["A one", "B two"]
    assert result.stdout.splitlines()[-1] == "certified: equal bit for bit"
    n = len(known.tables["trades"])
    assert f"trades     {n:>9,} {n:>9,} {n:>9,} {0:>9,}" in result.stdout


def test_a_difference_is_exit_1_with_its_cause(known: RunTables, tmp_path: Path) -> None:
    written(tmp_path, known, "one")
    dearer = known.tables["trades"].with_columns(pl.col("fees") + 1.0)
    written(tmp_path, known, "two", trades=dearer)
    result = run("one", "two", "--root", tmp_path, "--json")
    assert result.exit_code == 1
    facts = json.loads(result.stdout)
    assert facts["certified"] is False
    assert {cause["kind"] for cause in facts["causes"]} == {"fee"}
    assert facts["counts"]["trades"]["different"] == len(dearer)
    table = tmp_path / "all.csv"
    assert run("one", "two", "--root", tmp_path, "--csv", table).stdout.splitlines()[-1].startswith("NOT certified: ")
    cells = pl.read_csv(table)
    assert len(cells) == len(dearer)
    assert set(cells["column"]) == {"fees"}


def test_runs_in_which_nothing_happened_prove_nothing(known: RunTables, tmp_path: Path) -> None:
    for name in ("one", "two"):
        written(tmp_path, known, name, orders=known.tables["orders"].clear())
    result = run("one", "two", "--root", tmp_path)
    assert result.exit_code == 1
    assert "NOT certified: no orders were compared" in result.stdout
    assert run("one", "two", "--root", tmp_path, "--no-strict-counts").exit_code == 0


@pytest.mark.xdist_group("engine")
def test_a_ledger_is_exported_first(tmp_path: Path) -> None:
    path = tmp_path / "session.sqlite"
    replay(playable(7_000_000), path).close()
    result = run(path, path)
    assert result.exit_code == 0, (result.output, result.exception)
    assert "-replay-" in result.stdout


def test_what_is_no_such_run_is_said(known: RunTables, tmp_path: Path) -> None:
    written(tmp_path, known, "one")
    with RunWriter("sweep", {}, root=tmp_path, run_id="other") as writer:
        writer.finish()
    assert isinstance(run("one", "neither", "--root", tmp_path).exception, UnknownNameError)
    refused = run("one", "other", "--root", tmp_path).exception
    assert isinstance(refused, RunError)
    assert "run other (sweep) has no table audit, equity, orders, signals, trades" in str(refused)
    missing = run("one", tmp_path / "nothing.sqlite", "--root", tmp_path).exception
    assert isinstance(missing, RunError)
    assert "nothing.sqlite cannot be used: there is no ledger" in str(missing)
