"""`toolkit model ls`: what the registry holds, and what is wrong with it."""

import json
from pathlib import Path

from click.testing import Result
from typer.testing import CliRunner

from tests.models.bundles import DAY_MS, UNTIL_MS, kept
from toolkit.cli.main import app
from toolkit.errors import UnknownNameError


def ls(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["model", "ls", *words], env={"LOCKSTEP_DATA": str(folder)})


def test_models_by_name_the_newest_last(tmp_path: Path) -> None:
    root = tmp_path / "models"
    old, new = kept(root), kept(root, until_ms=UNTIL_MS + DAY_MS, rows=1234)
    other = kept(root, "mean_reversion", "constant", scores={"auc": 0.5})
    done = ls(tmp_path)
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == [f"{f.parent.name}@{f.name}" for f in (other, old, new)]
    assert lines[2].endswith("lightgbm, veto, 3 of 5 features, 2021-10-11 to 2022-01-09, 1,234 rows")
    rows = json.loads(ls(tmp_path, "--json").stdout)
    assert [row["folder"] for row in rows] == [str(other), str(old), str(new)]
    assert (rows[0]["scores"], rows[0]["problem"]) == ({"auc": 0.5}, None)
    assert len(json.loads(ls(tmp_path, "trend", "--json", "--check").stdout)) == 2


def test_a_changed_bundle_is_found_with_check(tmp_path: Path) -> None:
    folder = kept(tmp_path / "models", "trend", "constant")
    next((folder / "model").iterdir()).write_text("rubbish")
    assert ls(tmp_path).exit_code == 0
    done = ls(tmp_path, "--check")
    assert done.exit_code == 1
    assert "was changed: the checksum of model/" in done.stdout
    (folder / "model.json").write_text("{")
    (row,) = json.loads(ls(tmp_path, "--json").stdout)
    assert "is not valid JSON" in row["problem"]


def test_nothing_there(tmp_path: Path) -> None:
    assert "no models in" in ls(tmp_path).stdout
    assert json.loads(ls(tmp_path, "--json").stdout) == []
    assert isinstance(ls(tmp_path, "trend").exception, UnknownNameError)
