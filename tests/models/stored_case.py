"""A data folder that the model commands are tried on: forty synthetic days, two strategies on two symbols."""

from pathlib import Path

import polars as pl
from typer.testing import CliRunner

from toolkit.bars.synthetic import synthetic_columns
from toolkit.cli.main import app
from toolkit.engine.rules import Costs, TradeRules
from toolkit.models.members_file import members_text
from toolkit.portfolio.members import Member

SYMBOLS = ("BTC/USDT", "ETH/USDT")
DAYS = 40
FEATURES = ("natr(14)", "rsi(10)", "zscore(20)", "side", "stop_distance")
# Few folds, few features, few permutations: the whole way, not a result.
QUICK = ("--set=backend=logistic", "--folds=2", "--permutations=3", "--jobs=2")


def members() -> list[Member]:
    rules = TradeRules(stop="1atr(10)", target="2R", max_hold="2h")
    return [
        Member(name, symbol, "5m", {"window": 12} if name == "volatility_breakout" else {}, rules, Costs())
        for name in ("volatility_breakout", "reversal_breakout")
        for symbol in SYMBOLS
    ]


def make_data(folder: Path) -> Path:
    """Bars in a store, `members.toml`, and a recipe with few features."""
    for symbol, columns in synthetic_columns(SYMBOLS, days=DAYS).items():
        pl.DataFrame(columns).write_parquet(folder / f"synthetic_{symbol.replace('/', '')}_1m.parquet")
    done = CliRunner(env={"LOCKSTEP_DATA": str(folder)}).invoke(app, ["data", "import", f"{folder}/*.parquet"])
    assert done.exit_code == 0, done.output
    (folder / "members.toml").write_text(members_text(members()))
    (folder / "few.toml").write_text(f"features = {list(FEATURES)}\n")
    return folder
