"""Models of deployments in the ledger: who judges whom, newer versions by hand and from cron."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from executor.cli.main import app
from executor.deployments.following import Following
from executor.deployments.judges import assigned, judges
from executor.deployments.models import load_models, load_version
from executor.ledger import Ledger
from tests.models.bundles import DAY_MS, UNTIL_MS, kept
from toolkit.errors import InputError, UnknownNameError
from toolkit.models.store import read_info

INSTANCES = ("a", "b", "c")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOCKSTEP_DATA", str(tmp_path))
    return tmp_path / "models"


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(tmp_path / "executor.sqlite", create=True)


def table(**models: tuple[Path, tuple[str, ...]]) -> dict[str, Any]:
    rows = []
    for folder, instances in models.values():
        info = read_info(folder)
        rows.append(
            {"name": info.name, "version": info.version, "checksum": info.checksum, "instances": list(instances)}
        )
    return {"id": "dep", "instances": [{"id": name} for name in INSTANCES], "models": rows}


def now(ledger: Ledger) -> dict[str, str]:
    return {name: judge.model for name, judge in assigned(judges(ledger)).items()}


def test_deployments_say_who_judges_and_what_they_leave_out_is_released(ledger: Ledger, root: Path) -> None:
    trend, other = kept(root, "trend"), kept(root, "other", "logistic")
    load_models(ledger, table(x=(trend, ("a", "b")), y=(other, ("c",))), "", 1_000, first=True)
    assert {judge.effective_ms for judge in judges(ledger)} == {0}
    before = now(ledger)
    load_models(ledger, table(x=(trend, ("a", "b")), y=(other, ("c",))), "", 2_000)
    assert len(judges(ledger)) == 2
    load_models(ledger, table(x=(trend, ("a", "c"))), "", 3_000)
    assert now(ledger) == {"a": before["a"], "c": before["a"]}
    assert [(judge.name, judge.instances, judge.after_ms) for judge in judges(ledger)[2:]] == [
        ("trend", ("a", "c"), 3_000),
        ("", ("b",), 3_000),
    ]


def test_a_bundle_that_is_not_the_one_of_the_deployment_loads_nothing(ledger: Ledger, root: Path) -> None:
    said = table(x=(kept(root), ("a",)))
    said["models"][0]["checksum"] = "0" * 64
    with pytest.raises(InputError, match="is not the one that was deployed"):
        load_models(ledger, said, "", 0)
    assert judges(ledger) == []


def test_what_cron_trained_is_taken_up_and_other_versions_are_not(ledger: Ledger, root: Path) -> None:
    first = kept(root)
    load_models(ledger, table(x=(first, ("a", "b"))), "", 0, first=True)
    following = Following(ledger)
    kept(root, seed=1, until_ms=UNTIL_MS - DAY_MS, holds_from_ms=5)
    kept(root, seed=2, until_ms=UNTIL_MS + 2 * DAY_MS)
    following.look()
    assert len(judges(ledger)) == 1
    due = kept(root, seed=3, until_ms=UNTIL_MS + DAY_MS, holds_from_ms=77_000)
    following.look()
    following.look()
    (_, found) = judges(ledger)
    assert (found.version, found.instances, found.after_ms, found.effective_ms) == (due.name, ("a", "b"), 77_000, None)


def test_a_damaged_version_from_cron_is_said_once(ledger: Ledger, root: Path) -> None:
    load_models(ledger, table(x=(kept(root), ("a",))), "", 0, first=True)
    damaged = kept(root, seed=1, until_ms=UNTIL_MS + DAY_MS, holds_from_ms=5)
    (damaged / "model" / "model.txt").write_text("rubbish")
    following = Following(ledger)
    following.look()
    following.look()
    assert len(judges(ledger)) == 1
    (row,) = ledger.rows("SELECT text FROM notices")
    assert "is not taken up" in row["text"] and "model.txt" in row["text"]


def test_the_command_loads_a_version_for_the_next_bar(ledger: Ledger, root: Path) -> None:
    load_models(ledger, table(x=(kept(root), ("a",))), "", 0, first=True)
    newer = kept(root, seed=1, until_ms=UNTIL_MS + DAY_MS)
    done = CliRunner().invoke(app, ["model", "trend", "--ledger", str(ledger.path), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {"model": f"trend@{newer.name}", "ledger": str(ledger.path)}
    assert [judge.effective_ms for judge in judges(ledger)] == [0, None]
    with pytest.raises(UnknownNameError, match="trend"):
        load_version(ledger, "trent")
