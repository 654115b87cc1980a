import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from toolkit.bars.store import Source, Store
from toolkit.bars.synthetic import synthetic_columns
from toolkit.cli.verify import app
from toolkit.errors import InputError, UnknownNameError

CHEATS = ("--strategies", "tests.verify.cheats")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with 30 synthetic days of two symbols."""
    folder = tmp_path_factory.mktemp("data")
    store = Store(folder / "bars.duckdb")
    for symbol, columns in synthetic_columns(("BTC/USDT", "ETH/USDT"), days=30).items():
        store.write("synthetic", symbol, "1m", columns, Source("file", symbol, "0" * 64))
    return folder


@pytest.fixture(autouse=True)
def data(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKSTEP_DATA", str(stored))


@pytest.mark.parametrize(
    "cheat",
    [
        "cheat_behind_a_switch",
        "cheat_centred_window",
        "cheat_daily_open_join",
        "cheat_understated_lookback",
        "cheat_stop_peeks",
        "cheat_target_peeks",
    ],
)
def test_a_cheat_is_exit_1_and_named(cheat: str) -> None:
    result = run("lookahead", cheat, *CHEATS, "--interval", "5m", "--points", "8")
    assert result.exit_code == 1
    assert "lookahead FAILED" in result.stdout
    assert f"FOUND {cheat}(" in result.stdout
    assert "stored bars of synthetic BTC/USDT 1m, synthetic ETH/USDT 1m" in result.stdout


def test_an_honest_strategy_is_exit_0_with_its_lookback() -> None:
    result = run("lookahead", "volatility_breakout", "--symbol", "BTCUSDT", "--interval", "5m", "--points", "4")
    assert result.exit_code == 0, result.stdout
    row = next(line for line in result.stdout.splitlines() if line.strip().startswith("volatility_breakout"))
    assert row.split() == ["volatility_breakout", "5m", "102", "102"]


def test_json_is_all_of_stdout() -> None:
    result = run("lookahead", "cheat_stop_peeks", *CHEATS, "--interval", "15m,1h", "--points", "2", "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)["lookahead"]
    assert found["ok"] is False
    assert {f["interval"] for f in found["findings"]} == {"15m", "1h"}
    assert {f["array"] for f in found["findings"]} == {"stop_distance"}
    assert {c["subject"] for c in found["coverage"]} == {"cheat_stop_peeks"}


def test_values_of_ones_own_and_what_was_never_varied() -> None:
    fixed = ("--interval", "15m", "--points", "2", "--symbol", "BTC/USDT")
    result = run("lookahead", "cheat_target_peeks", *CHEATS, *fixed, "--param", "target_r=2", "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)["lookahead"]
    assert {f["params"] for f in found["findings"]} == {"target_r=2.0"}
    assert found["never_varied"] == {}
    held = run("lookahead", "cheat_target_peeks", *CHEATS, *fixed, "--param", "target_r=0")
    assert held.exit_code == 0
    assert "never varied: target_r of cheat_target_peeks" in held.stdout


def test_without_stored_bars_synthetic_ones_are_used_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKSTEP_DATA", str(tmp_path))
    result = run("lookahead", "cheat_stop_peeks", *CHEATS, "--interval", "1h", "--points", "2")
    assert result.exit_code == 1
    assert "synthetic minutes of BTC/USDT" in result.stdout
    assert "since no bars are stored" in result.stdout


@pytest.mark.xdist_group("engine")
def test_hop_says_what_it_reached() -> None:
    result = run("hop", "--cases", "600")
    assert result.exit_code == 0, result.stdout
    assert "hop ok" in result.stdout
    assert "exit stop " in result.stdout


@pytest.mark.xdist_group("engine")
def test_hop_fails_where_a_corner_is_not_reached() -> None:
    result = run("hop", "--cases", "1", "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)["hop"]
    assert report["differences"] == []
    assert report["missing"]
    assert "NOT REACHED" in run("hop", "--cases", "1").stdout


@pytest.mark.xdist_group("engine")
def test_all_is_red_on_cheats_and_sums_up() -> None:
    result = run("all", *CHEATS, "--interval", "1h", "--points", "4", "--cases", "600")
    assert result.exit_code == 1
    summary = {line.split()[0]: line.split()[1] for line in result.stdout.splitlines()[-3:]}
    assert summary == {"lookahead": "FAILED", "hop": "ok", "cache": "ok"}


@pytest.mark.xdist_group("engine")
def test_all_is_green_on_the_five_strategies() -> None:
    result = run("all", "--symbol", "ETH/USDT", "--interval", "15m", "--points", "2", "--cases", "600", "--json")
    assert result.exit_code == 0, result.stdout
    found = json.loads(result.stdout)
    assert [found[name]["ok"] for name in ("lookahead", "hop", "cache")] == [True, True, True]
    assert found["ok"] is True
    assert len({c["subject"] for c in found["lookahead"]["coverage"]}) == 6
    assert np.sum([c["points"] for c in found["lookahead"]["coverage"]]) > 100


def test_bad_input_is_one_sentence() -> None:
    for arguments, kind, says in (
        (("lookahead", "volatility_breakouts"), UnknownNameError, "did you mean 'volatility_breakout'"),
        (("lookahead", "all", "--symbol", "BCT/USDT"), UnknownNameError, "did you mean 'BTC/USDT'"),
        (("lookahead", "all", "--interval", "7m"), UnknownNameError, "unknown interval '7m'"),
        (("lookahead", "all", "--points", "0"), InputError, "`points` must be at least 1, was 0"),
        (("lookahead", "all", "--start", "2031-01-01"), InputError, "no bars of"),
        (("lookahead", "trend_day", "--param", "move"), InputError, "--param must be NAME=VALUE"),
        (("lookahead", "trend_day", "--param", "moves=1"), UnknownNameError, "did you mean 'move'"),
        (("lookahead", "--param", "move=1"), InputError, "those of one strategy"),
        (("hop", "--cases", "0"), InputError, "`cases` must be at least 1, was 0"),
    ):
        error = run(*arguments).exception
        assert isinstance(error, kind), arguments
        assert says in str(error)
        assert "\n" not in str(error)


def test_help_has_examples() -> None:
    for command in ("lookahead", "hop", "cache", "all"):
        assert f"toolkit verify {command}" in run(command, "--help").stdout
