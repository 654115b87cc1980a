"""`executor status` in words and in JSON, and `executor run` before there is anything to run."""

import json
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from executor.cli.main import app
from executor.ledger import Ledger
from executor.ledger.lock import one_daemon
from tests.executor.api.sample import make
from toolkit.errors import InputError, LedgerError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    make(tmp_path / "executor.sqlite", time.time_ns() // 1_000_000, halted=True)
    return tmp_path / "executor.sqlite"


def test_words_say_what_a_person_asks_first(path: Path) -> None:
    with Ledger.open(path) as ledger:
        ledger.insert("commands", {"ts_ms": 0, "verb": "disable", "target": "channel_trend"})
    done = CliRunner().invoke(app, ["status", "--ledger", str(path)])
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0] == f"dry account canary, {path}"
    assert lines[1] == "daemon: none runs; start one: executor run --dry"
    assert "49 instances enabled" in lines[2]
    assert lines[3].startswith("equity: ") and "USDT" in lines[3] and "today" in lines[3]
    assert "9 open trades, 18 working orders" in lines[4]
    assert lines[5].startswith("halted (daily_loss) since ")
    assert any(line.startswith("  BTC/USDT 1m on binance: live, seen ") for line in lines)
    assert any("raised at 09:15: division by zero" in line for line in lines)
    assert any(line.startswith("waits: disable channel_trend, asked ") for line in lines)
    assert [line.rpartition(": ")[2] for line in lines[-3:]] == ["ended without stopping", "killed", "stopped"]


def test_a_live_account_says_what_is_bare_and_what_is_halted(path: Path) -> None:
    now = time.time_ns() // 1_000_000
    with Ledger.open(path) as ledger:
        ledger.set_meta("mode", "live")
        ledger.put("symbol_halts", [
            {"symbol": "SOL/USDT", "from_ms": now, "until_ms": None, "reason": "less is held than is booked"}
        ])  # fmt: skip
        ledger.insert("unprotected", {"trade_id": "t0001", "from_ms": now - 9_000, "why": "refused: too far"})
        ledger.insert("reconciliations", {"ts_ms": now - 60_000, "cause": "the clock", "secs": 0.1})
    lines = CliRunner().invoke(app, ["status", "--ledger", str(path)]).stdout.splitlines()
    assert any(line.startswith("SOL/USDT takes no entries since ") for line in lines)
    assert any(line.endswith("has no stop at the venue for 9 s: refused: too far") for line in lines)
    assert "reconciled 60 s ago, longest time without a stop 9 s" in lines


def test_json_and_the_exit_code_of_a_check(path: Path) -> None:
    done = CliRunner().invoke(app, ["status", "--ledger", str(path), "--json", "--check"])
    found = json.loads(done.stdout)
    assert (done.exit_code, found["health"], found["open_trades"]) == (1, "stale", 9)
    with one_daemon(path):
        done = CliRunner().invoke(app, ["status", "--ledger", str(path), "--check"])
    assert done.exit_code == 0
    assert "daemon: pid " in done.stdout and done.stdout.splitlines()[1].endswith(", ok")


def test_watch_looks_again_until_it_is_interrupted(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[float] = []

    def sleep(secs: float) -> None:
        looks.append(secs)
        if len(looks) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("executor.cli.status.time.sleep", sleep)
    done = CliRunner().invoke(app, ["status", "--ledger", str(path), "--watch", "--every", "0.5"])
    assert looks == [0.5] * 3
    assert done.stdout.count("dry account canary") == 3
    done = CliRunner().invoke(app, ["status", "--ledger", str(path), "--watch", "--every", "0"])
    assert isinstance(done.exception, InputError)


def test_a_ledger_that_has_seen_nothing_yet(tmp_path: Path) -> None:
    path = tmp_path / "new.sqlite"
    Ledger.open(path, create=True).close()
    done = CliRunner().invoke(app, ["status", "--ledger", str(path)])
    assert done.exit_code == 0
    assert "0 open trades" in done.stdout


def test_run_trades_on_paper_only_and_needs_a_ledger(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["run"])
    assert isinstance(done.exception, InputError)
    assert "say what is at stake: --dry trades on paper, --live trades money" in str(done.exception)
    done = CliRunner().invoke(app, ["run", "--dry", "--ledger", str(tmp_path / "none.sqlite")])
    assert isinstance(done.exception, LedgerError)
    assert "executor load DEPLOYMENT" in str(done.exception)
    assert list(tmp_path.iterdir()) == []
    done = CliRunner().invoke(app, ["run", "--dry", "--feed", "telepathy", "--ledger", str(tmp_path / "none.sqlite")])
    assert isinstance(done.exception, InputError)
