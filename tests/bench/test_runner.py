"""The runner of the benchmarks: finds them, prints one table, writes JSON."""

import json
from pathlib import Path

import pytest

from tests.bench import __main__ as runner

COLUMNS = {"what", "value", "peer", "ratio", "bar"}


def test_every_benchmark_is_found_and_helpers_are_not() -> None:
    names = runner.benchmark_names()
    assert {"engine_oracle", "engine_commands", "grid_ratios", "grid_million"} <= set(names)
    assert not {"year", "channel_grid", "channel_strategy", "test_runner"} & set(names)


def test_one_benchmark_end_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bench.json"
    monkeypatch.setattr("sys.argv", ["bench", "engine_oracle", "--quick", "--json", str(file)])
    assert runner.main() == 0
    printed = capsys.readouterr().out
    assert "500 random cases" in printed and printed.count("| what | value |") == 1
    written = json.loads(file.read_text())
    assert written["machine"]["cores"] >= 1
    assert [set(row) for row in written["rows"]] == [COLUMNS | {"benchmark"}]


def test_an_unknown_benchmark_names_the_known(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["bench", "nonsense"])
    assert runner.main() == 2
    assert "grid_ratios" in capsys.readouterr().err


def test_ratios_are_short() -> None:
    row = {"what": "a", "value": "1 ms", "peer": "b", "bar": "c"}
    assert "| 1,235x |" in runner.table([{**row, "ratio": 1234.6}])
    assert "| 1.25x |" in runner.table([{**row, "ratio": 1.25}])
    assert "| b |  | c |" in runner.table([{**row, "ratio": None}])
