import importlib
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from toolkit.engine.identity import Instance, code_hash, leg_id, trade_id
from toolkit.engine.rules import TradeRules
from toolkit.engine.types import LONG, SHORT
from toolkit.strategy import Strategy

ONE = Instance("volatility_breakout", {"window": 96, "k": 1.5}, TradeRules(), "BTC/USDT", "5m", "abc")


def test_an_instance_id_is_readable_and_follows_from_its_attributes_alone() -> None:
    again = Instance("volatility_breakout", {"k": 1.5, "window": 96}, TradeRules(), "BTC/USDT", "5m", "abc")
    assert ONE.id == again.id
    assert ONE.id == f"volatility_breakout-BTCUSDT-5m-{ONE.digest}"
    assert len(ONE.digest) == 10


@pytest.mark.parametrize(
    "change",
    [
        {"strategy": "trend_day"},
        {"params": {"window": 97, "k": 1.5}},
        {"rules": TradeRules(max_hold="4h")},
        {"rules": TradeRules(side="long")},
        {"symbol": "ETH/USDT"},
        {"interval": "1h"},
        {"code": "abd"},
    ],
)
def test_every_attribute_changes_the_id(change: dict[str, object]) -> None:
    assert replace(ONE, **change).digest != ONE.digest  # type: ignore[arg-type]


def test_legs_and_trades_are_told_apart_and_fit_a_venue() -> None:
    assert leg_id(ONE.id, LONG) != leg_id(ONE.id, SHORT)
    ids = {trade_id(ONE.id, side, ts) for side in (LONG, SHORT) for ts in (1_641_182_700_000, 1_641_182_760_000)}
    assert len(ids) == 4
    assert all(len(f"{one}-target") <= 36 for one in ids)


SOURCE = """
from typing import NamedTuple
from {package}.shared import LEVEL
from toolkit.strategy import Signals

class Params(NamedTuple):
    window: int = 3

def {name}(bars, p: Params):
    return LEVEL
"""


def made(folder: Path, package: str, name: str) -> Strategy:
    module = importlib.import_module(f"{package}.{name}")
    return Strategy(name, getattr(module, name), module.Params, ("1m",), lambda p: 1)


def test_code_hash_sees_the_file_and_what_it_imports_from_its_package_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = f"ident_{tmp_path.name.replace('-', '_')}"
    folder = tmp_path / package
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "shared.py").write_text("from .deeper import LEVEL\n")
    (folder / "deeper.py").write_text("LEVEL = 1\n")
    (folder / "other.py").write_text("X = 1\n")
    (folder / "mine.py").write_text(SOURCE.format(package=package, name="mine"))
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    found = made(folder, package, "mine")
    first = code_hash(found)
    (folder / "other.py").write_text("X = 2\n")
    assert code_hash(found) == first
    (folder / "deeper.py").write_text("LEVEL = 2\n")
    second = code_hash(found)
    assert second != first
    with (folder / "mine.py").open("a") as file:
        file.write("# edited\n")
    assert code_hash(found) not in (first, second)
