import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

import toolkit.strategy
from toolkit.analysis.runs import list_runs, read_run
from toolkit.analysis.texts import SYNTHETIC
from toolkit.bars.store import Source, Store
from toolkit.bars.synthetic import synthetic_columns
from toolkit.cli import main as cli

GIVEN = ("volatility_breakout", "--symbol", "BTC/USDT", "--interval", "5m")


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "b.duckdb"
    columns = synthetic_columns(["BTC/USDT"], days=8, seed=9)["BTC/USDT"]
    Store(path).write("synthetic", "BTC/USDT", "1m", columns, Source("request", "test", "0"))
    return path


class Done:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


class Cli:
    """`toolkit` in this process, with a data folder of its own."""

    def __init__(self, data: Path, db: Path, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> None:
        self.data, self.db, self.patch, self.capture = data, db, patch, capture
        patch.setenv("LOCKSTEP_DATA", str(data))

    def run(self, *arguments: str) -> Done:
        self.patch.setattr(sys, "argv", ["toolkit", "backtest", *arguments, "--db", str(self.db)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        captured = self.capture.readouterr()
        return Done(int(stopped.value.code or 0), captured.out, captured.err)

    def refused(self, *arguments: str) -> str:
        """The one sentence of a refusal: exit code 2, nothing on stdout, nothing saved."""
        done = self.run(*arguments)
        assert (done.code, done.out) == (2, ""), done.err
        assert done.err.startswith("error: ") and len(done.err.splitlines()) == 1
        assert list_runs() == [] and not list(self.data.rglob("*"))
        return done.err.removeprefix("error: ").strip()


@pytest.fixture
def toolkit_cli(tmp_path: Path, db: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(tmp_path / "data", db, monkeypatch, capsys)


def test_figures_are_printed_and_the_run_is_kept(toolkit_cli: Cli) -> None:
    done = toolkit_cli.run(*GIVEN, "--start", "2023-01-03", "--end", "2023-01-07", "--rules", "max_hold=2h")
    assert done.code == 0
    (run,) = list_runs()
    lines = done.out.splitlines()
    assert lines[0].startswith("volatility_breakout-BTCUSDT-5m-")
    assert lines[1] == "synthetic BTC/USDT 5m, 2023-01-03 00:00 to 2023-01-07 00:00"
    for text in ("sharpe", "buy and hold return", "return at twice costs", "order of stop and target", "worst case"):
        assert text in done.out
    assert lines[-2:] == [f"run: {run.folder}", f"report: {run.folder / 'report.html'}"]
    assert done.err.strip() == SYNTHETIC
    assert run.info["config"]["rules"]["max_hold"] == "2h"


def test_exits_none_leaves_a_trade_to_its_stop_and_target(toolkit_cli: Cli) -> None:
    given = json.loads(toolkit_cli.run(*GIVEN, "--no-save", "--json", "--rules", "exits=none").out)
    assert given["config"]["rules"]["exits"] == []


def test_json_is_the_same_for_a_machine(toolkit_cli: Cli) -> None:
    done = toolkit_cli.run(*GIVEN, "--param", "window=50", "--cost", "taker_rate=0.0004", "--side", "long", "--json")
    said = json.loads(done.out)
    run = read_run(Path(said["run"]))
    assert said["config"] == run.info["config"]
    assert said["config"]["params"]["window"] == 50 and said["config"]["costs"]["taker_rate"] == 0.0004
    assert said["config"]["rules"]["side"] == "long"
    assert said["metrics"]["trades"] + said["metrics"]["open_trades"] == run.frame("trades").height
    assert set(run.frame("trades")["side"]) == {"long"}
    assert said["ambiguity"]["policy"] == "pessimistic"


def test_no_save_and_out_and_csv(toolkit_cli: Cli, tmp_path: Path) -> None:
    done = toolkit_cli.run(*GIVEN, "--no-save", "--csv", str(tmp_path / "tables"), "--json")
    said = json.loads(done.out)
    assert said["run"] is None and list_runs() == []
    trades, factors = (Path(f) for f in said["csv"])
    with trades.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == said["metrics"]["trades"] + said["metrics"]["open_trades"] > 5
    assert "atr" in factors.read_text().splitlines()[0]
    done = toolkit_cli.run(*GIVEN, "--out", str(tmp_path / "elsewhere"), "--json")
    assert Path(json.loads(done.out)["run"]).parent == tmp_path / "elsewhere"


def test_rules_come_from_a_file_and_options_go_over_it(toolkit_cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text('[rules]\nstop = "2%"\nmax_hold = "4h"\nexits = [{ on = "time", after = "1h" }]\n')
    said = json.loads(toolkit_cli.run(*GIVEN, "--rules-file", str(file), "--rules", "stop=none", "--json").out)
    rules = said["config"]["rules"]
    assert rules["stop"] is None and rules["max_hold"] == "4h" and rules["exits"][0]["after"] == "1h"
    (tmp_path / "bad.toml").write_text("stop = ")
    assert "is not valid TOML" in toolkit_cli.run(*GIVEN, "--rules-file", str(tmp_path / "bad.toml")).err
    assert "cannot be read" in toolkit_cli.run(*GIVEN, "--rules-file", str(tmp_path / "none.toml")).err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["trend_dya", *GIVEN[1:]], "unknown strategy 'trend_dya': did you mean 'trend_day'"),
        ([*GIVEN, "--param", "windw=3"], "unknown parameter of volatility_breakout 'windw': did you mean 'window'"),
        ([*GIVEN, "--param", "window=x"], "parameter 'window' of volatility_breakout must be int, was 'x'"),
        ([*GIVEN, "--param", "window"], "--param must be NAME=VALUE"),
        ([*GIVEN, "--param", "expansion=nan"], "parameter 'expansion' of volatility_breakout must be a finite number"),
        ([*GIVEN, "--param", "expansion=inf", "--json"], "must be a finite number, was inf"),
        ([*GIVEN, "--rules", "one_entry_per=5"], "unknown `one_entry_per` 5"),
        ([*GIVEN, "--rules", "exits=5"], "`exits` must be a list of tables such as {on = 'time'"),
        ([*GIVEN, "--rules", "stop=none", "--rules", "target=2R"], "`target` '2R' is multiples of the stop distance"),
        ([*GIVEN, "--cost", "funding_interval=0h"], "`funding_interval` must be above 0, was '0h'"),
        ([*GIVEN, "--symbol", "BTC/USD"], "unknown symbol 'BTC/USD': did you mean 'BTC/USDT'"),
        ([*GIVEN, "--interval", "5min"], "unknown interval '5min': did you mean"),
        ([*GIVEN, "--interval", "1w"], "not meant for interval '1w'"),
        ([*GIVEN, "--base", "15m"], "unknown stored interval of synthetic BTC/USDT '15m'"),
        ([*GIVEN, "--start", "2025-01-01"], "no bars of synthetic BTC/USDT 1m from 2025-01-01 00:00"),
        ([*GIVEN, "--start", "soon"], "start must be an ISO date"),
        ([*GIVEN, "--rules", "stop=-1"], "`stop` must be a fraction"),
        ([*GIVEN, "--policy", "finer"], "needs a finer stored series than 1m"),
        ([*GIVEN, "--side", "up"], "unknown `side` 'up'"),
        ([*GIVEN, "--notional", "0"], "`notional` must be a positive amount of money"),
        ([*GIVEN, "--exchange", "binanse"], "unknown exchange 'binanse'"),
        ([*GIVEN, "--strategies", "no_such_module"], "strategy module 'no_such_module' cannot be found"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence_and_nothing_is_saved(toolkit_cli: Cli, change: list[str], message: str) -> None:
    assert message in toolkit_cli.refused(*change)


def test_an_interval_below_the_base_is_refused(toolkit_cli: Cli, tmp_path: Path) -> None:
    db = tmp_path / "five.duckdb"
    columns = synthetic_columns(["BTC/USDT"], days=2, seed=9)["BTC/USDT"]
    fives = {name: values[::5] for name, values in columns.items()}
    grid = fives["ts"] % 300_000 == 0
    Store(db).write(
        "synthetic", "BTC/USDT", "5m", {k: v[grid] for k, v in fives.items()}, Source("request", "test", "0")
    )
    toolkit_cli.db = db
    message = toolkit_cli.refused("volatility_breakout", "--symbol", "BTC/USDT", "--interval", "1m")
    assert "interval '1m' is below the base interval '5m'" in message


BROKEN = """
from typing import NamedTuple
import numpy as np
from toolkit.strategy import Signals, strategy

class Params(NamedTuple):
    k: int = 1

@strategy(intervals=("5m",), lookback=lambda p: 1)
def broken(bars, p: Params):
    n = len(bars)
    no, none = np.zeros(n, np.bool_), np.full(n, np.nan)
    {line}
    return Signals(no, no, no, no, none, none)
"""


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1 / 0", r"strategy broken raised ZeroDivisionError: division by zero (lab_"),
        ("no = no[1:]", "strategy broken: enter_long must have shape (2304,), one value a bar, was (2303,)"),
        ("none = none.astype(np.float32)", "strategy broken: stop_distance must have dtype float64, was float32"),
        ("no = [False] * n", "strategy broken: enter_long must be a numpy array, was list"),
    ],
)
def test_a_strategy_that_breaks_the_contract_is_refused(
    toolkit_cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, message: str
) -> None:
    module = f"lab_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{module}.py").write_text(BROKEN.format(line=line))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(toolkit.strategy, "_BROKEN", {})
    monkeypatch.setattr(toolkit.strategy, "_REGISTRY", {})
    monkeypatch.setenv("LOCKSTEP_CACHE_DIR", str(tmp_path / "kernels"))
    found = toolkit_cli.refused("broken", *GIVEN[1:], "--strategies", module)
    assert message in found


IMPORTS = """
import sys
from toolkit.cli.main import main
sys.argv = ["toolkit", "backtest", *sys.argv[1:]]
try:
    main()
except SystemExit as stopped:
    assert stopped.code == 0, stopped.code
heavy = ("pandas", "plotly", "vectorbt", "scipy.stats", "matplotlib", "ccxt")
print([m for m in heavy if m in sys.modules], file=sys.stderr)
"""


def test_heavy_libraries_are_not_imported(db: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS, *GIVEN, "--db", str(db), "--out", str(tmp_path)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr.splitlines()[-1] == "[]"
