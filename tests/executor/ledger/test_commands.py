import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from executor.cli.main import app, main
from executor.ledger import Ledger
from executor.ledger.lock import one_daemon
from tests.executor.ledger.samples import damage, event, mark


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The ledger of commands that name none."""
    monkeypatch.setenv("LOCKSTEP_DATA", str(tmp_path))
    file = tmp_path / "executor.sqlite"
    with Ledger.open(file, create=True) as ledger:
        ledger.put("equity", [mark(k, k + 0.1) for k in range(2_000)])
    return file


def run(*words: str) -> tuple[str, str]:
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout.strip(), done.stderr.strip()


def test_there_and_back(path: Path) -> None:
    made, _ = run("backup")
    assert Path(made).parent == path.parent / "backups"
    damage(path)
    said, aside = run("restore")
    assert said == f"{path} is {made}"
    assert "kept as" in aside
    with Ledger.open(path) as ledger:
        assert ledger.value("SELECT count(*) FROM equity") == 2_000


def test_there_and_back_for_a_machine(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "canary.sqlite"
    with Ledger.open(other, create=True) as ledger:
        ledger.put("events", [event(1)])
    made = json.loads(run("backup", "--ledger", str(other), "--to", str(tmp_path / "safe"), "--json")[0])["backup"]
    assert Path(made).parent == tmp_path / "safe"
    done = json.loads(run("restore", made, "--ledger", str(other), "--json")[0])
    assert (done["ledger"], done["backup"]) == (str(other), made)
    assert Path(done["kept"]).is_file()
    other.unlink()
    assert json.loads(run("restore", made, "--ledger", str(other), "--json")[0])["kept"] is None


def test_a_daemon_that_works_is_one_sentence_and_exit_code_2(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made, _ = run("backup")
    monkeypatch.setattr("sys.argv", ["executor", "restore", made])
    with one_daemon(path), pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: a daemon (pid ")
    assert said.err.count("\n") == 1


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_help_has_an_example(command: str) -> None:
    assert f"Example: executor {command}" in run(command, "--help")[0]
