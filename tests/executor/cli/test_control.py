"""Commands that steer a daemon: what they write, what they refuse, and what --wait tells."""

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from executor.cli.main import app
from executor.ledger import Ledger
from tests.executor.api.sample import make
from toolkit.errors import InputError, LedgerError, LockstepError, UnknownNameError

NOW = 1_795_000_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    make(tmp_path / "executor.sqlite", NOW)
    with Ledger.open(tmp_path / "executor.sqlite") as ledger:
        ledger.put("symbol_halts", [
            {"symbol": "SOL/USDT", "from_ms": NOW, "until_ms": None, "reason": "less is held than is booked"},
            {"symbol": "ETH/USDT", "from_ms": NOW, "until_ms": NOW + 1, "reason": "it was, and is over"},
        ])  # fmt: skip
    return tmp_path / "executor.sqlite"


def call(path: Path, *words: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, [*words, "--ledger", str(path)])
    assert done.exit_code == code, done.output
    return done.stdout


def refusal(path: Path, *words: str) -> LockstepError:
    done = CliRunner().invoke(app, [*words, "--ledger", str(path)])
    assert isinstance(done.exception, LockstepError), done.output
    with Ledger.open(path, readonly=True) as ledger:
        assert ledger.value("SELECT count(*) FROM commands") == 0
    return done.exception


def commands(path: Path) -> list[dict[str, Any]]:
    with Ledger.open(path, readonly=True) as ledger:
        return [dict(row) for row in ledger.rows("SELECT verb, target, value, status FROM commands ORDER BY id")]


@pytest.mark.parametrize(
    ("words", "target", "value"),
    [
        (("enable", "channel_trend"), "channel_trend", None),
        (("disable", "BTC/USDT"), "BTC/USDT", None),
        (("disable", "channel_trend-eth-15m-01"), "channel_trend-eth-15m-01", None),
        (("disable", "*"), "*", None),
        (("halt",), "", None),
        (("resume",), "", None),
        (("close", "t0001"), "t0001", None),
        (("resume", "SOL/USDT"), "SOL/USDT", None),
        (("close", "*"), "*", None),
        (("deposit", "5000", "--note", "second half"), "second half", 5000.0),
        (("withdraw", "12.5"), "", 12.5),
    ],
)
def test_a_command_is_a_row_that_waits(path: Path, words: tuple[str, ...], target: str, value: float | None) -> None:
    said = call(path, *words)
    assert commands(path) == [{"verb": words[0], "target": target, "value": value, "status": "waiting"}]
    assert "when a daemon is started" in said


def test_flatten_is_a_command_of_its_own(path: Path) -> None:
    call(path, "halt", "--flatten")
    assert [row["verb"] for row in commands(path)] == ["flatten"]


def test_json_is_the_row_and_whether_a_daemon_runs(path: Path) -> None:
    found = json.loads(call(path, "disable", "channel_trend", "--json"))
    assert found["verb"] == "disable" and found["status"] == "waiting" and found["daemon"] is False
    assert isinstance(found["id"], int)


@pytest.mark.parametrize(
    ("words", "kind", "said"),
    [
        (("disable", "chanel_trend"), UnknownNameError, "did you mean 'channel_trend"),
        (("enable", "BTC/USD"), UnknownNameError, "did you mean 'BTC/USDT'"),
        (("close", "t9999"), UnknownNameError, "unknown open trade, or symbol or instance with one 't9999'"),
        (("close", "t0015"), UnknownNameError, "unknown open trade"),
        (("resume", "ETH/USDT"), UnknownNameError, "unknown halted symbol 'ETH/USDT'"),
        (("deposit", "0"), InputError, "deposit needs an amount above 0, was 0"),
        (("deposit", "nan"), InputError, "deposit needs an amount above 0, was nan"),
        (("withdraw", "99999999"), InputError, "withdraw takes at most the equity of the account"),
    ],
)
def test_what_cannot_be_is_refused_before_it_is_written(
    path: Path, words: tuple[str, ...], kind: type[LockstepError], said: str
) -> None:
    error = refusal(path, *words)
    assert type(error) is kind
    assert said in str(error)


def test_nothing_open_is_nothing_to_close(tmp_path: Path) -> None:
    path = tmp_path / "new.sqlite"
    Ledger.open(path, create=True).close()
    assert "nothing to close" in str(refusal(path, "close", "*"))


def test_without_a_ledger_nothing_is_made(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["halt", "--ledger", str(tmp_path / "none.sqlite")])
    assert isinstance(done.exception, LedgerError)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("status", "code"), [("done", 0), ("refused", 1)])
def test_wait_ends_with_the_answer(path: Path, status: str, code: int) -> None:
    def answer() -> None:
        until = time.monotonic() + 20
        while not commands(path) and time.monotonic() < until:
            time.sleep(0.01)
        with Ledger.open(path, check=False) as ledger:
            ledger.update("commands", {"status": "waiting"}, {"status": status, "answer": "two of them"})

    daemon = threading.Thread(target=answer)
    daemon.start()
    said = call(path, "halt", "--wait", code=code)
    daemon.join()
    assert said == f"halt: {status}, two of them\n"


def test_wait_does_not_wait_for_ever(path: Path) -> None:
    assert "is command" in call(path, "halt", "--wait", "--timeout", "0.1", code=1)
