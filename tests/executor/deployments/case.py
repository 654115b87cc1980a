"""A project with strategies of its own, its store, and a deployment of it that was backtested."""

import os
import shutil
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.portfolio.stored import COSTS, make_store
from toolkit.bars.moments import to_ms
from toolkit.engine.rules import TradeRules
from toolkit.portfolio.backtest import portfolio_backtest
from toolkit.portfolio.bundle import Bundle
from toolkit.portfolio.bundle_backtest import find_backtest
from toolkit.portfolio.bundling import write_bundle
from toolkit.portfolio.deployment import Deployment, Source, write_deployment
from toolkit.portfolio.limits import Instrument, Limits
from toolkit.portfolio.members import Member
from toolkit.strategy import get_strategy

CAPITAL = 50_000.0
EFFECTIVE = "2023-01-08"
START, END = "2023-01-04", "2023-01-10"

# One imports absolutely, the other relatively, and the kernel is called from another file than its own.
ABSOLUTE = """
import bundled.kernels
from typing import NamedTuple
import numpy as np
from bundled.kernels import beyond
from toolkit.bars.series import Bars
from toolkit.strategy import Signals, strategy

class Params(NamedTuple):
    shift: int = 6
    ahead: bool = True

@strategy(intervals=("5m", "15m"), lookback=lambda p: p.shift + 1)
def bundled_climb(bars: Bars, p: Params) -> Signals:
    \"\"\"Buys what is above its close of some bars ago.\"\"\"
    assert bundled.kernels.beyond is beyond
    up = beyond(bars.close, p.shift)
    nan = np.full(len(bars), np.nan)
    return Signals(up, ~up, ~up, up, nan, nan)
"""
RELATIVE = """
from typing import NamedTuple
import numpy as np
from toolkit.bars.series import Bars
from toolkit.strategy import Signals, strategy
from .kernels import beyond

class Params(NamedTuple):
    shift: int = 3

@strategy(intervals=("5m", "15m"), lookback=lambda p: {"signal": p.shift + 1, "1d": 1})
def bundled_relative(bars: Bars, p: Params) -> Signals:
    \"\"\"Sells what is above its close of some bars ago.\"\"\"
    up = beyond(bars.close, p.shift)
    nan = np.full(len(bars), np.nan)
    return Signals(~up, up, up, ~up, nan, nan)
"""
KERNELS = """
import numpy as np
from numba import njit

@njit(cache=True)
def beyond(close, shift):
    out = np.zeros(len(close), np.bool_)
    for i in range(shift, len(close)):
        out[i] = close[i] > close[i - shift]
    return out
"""


@dataclass(frozen=True)
class Lab:
    """A folder with a project and its data; `file` is the deployment's, `bundle` what was deployed of it."""

    folder: Path
    file: Path
    deployment: Deployment
    bundle: Bundle

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def copy(self, to: Path) -> Path:
        """The bundle in another place, to be changed."""
        shutil.copytree(self.bundle.folder, to)
        return to


def write_project(folder: Path) -> None:
    (folder / "pyproject.toml").write_text('[tool.lockstep]\nstrategies = ["bundled.strategies"]\n')
    package = folder / "bundled"
    (package / "strategies").mkdir(parents=True)
    for name, text in {
        "__init__.py": "", "kernels.py": KERNELS, "strategies/__init__.py": "raise_nothing = True\n",
        "strategies/climb.py": ABSOLUTE, "strategies/relative.py": RELATIVE.replace("from .kernels", "from ..kernels"),
    }.items():  # fmt: skip
        (package / name).write_text(textwrap.dedent(text))


def make_deployment(**changes: Any) -> Deployment:
    """Two strategies, two symbols of different bases, long and short."""
    asked = [
        ("bundled_climb", "BTC/USDT", "5m", "1m", TradeRules(side="long", stop=0.02, max_hold="2h")),
        ("bundled_climb", "ETH/USDT", "15m", "1m", TradeRules(max_hold="4h")),
        ("bundled_relative", "BTC/USDT", "15m", "5m", TradeRules(side="short", stop="2atr(14)")),
    ]
    members = tuple(
        Member(name, symbol, interval, get_strategy(name).params()._asdict(), rules, COSTS, "synthetic", base)
        for name, symbol, interval, base, rules in asked
    )
    given: dict[str, Any] = {
        "members": members, "weights": dict.fromkeys((m.instance.id for m in members), 0.25),
        "limits": Limits(max_gross=0.8), "capital": CAPITAL, "effective_from_ms": to_ms(EFFECTIVE, "effective"),
        "selected_from": Source(None, to_ms("2023-01-02", "a"), to_ms("2023-01-04", "b"), 12),
        "instruments": {"BTC/USDT": Instrument(lot_step=0.001)},
    }  # fmt: skip
    return Deployment(**(given | changes))


@contextmanager
def at_home(folder: Path) -> Iterator[None]:
    """In this block the project is that of the folder, and its data are there."""
    before, data = Path.cwd(), os.environ.get("LOCKSTEP_DATA")
    os.chdir(folder)
    os.environ["LOCKSTEP_DATA"] = str(folder / "data")
    try:
        yield
    finally:
        os.chdir(before)
        if data is None:
            del os.environ["LOCKSTEP_DATA"]
        else:
            os.environ["LOCKSTEP_DATA"] = data


def make_lab(folder: Path) -> Lab:
    """A project, a store, a deployment, its backtest and its bundle."""
    write_project(folder)
    (folder / "data").mkdir()
    make_store(folder / "data")
    with at_home(folder):
        deployment = make_deployment()
        write_deployment(folder / "deployment.json", deployment)
        portfolio_backtest(deployment, start=START, end=END, beside=False).save(factors=False)
        bundle = write_bundle(deployment, find_backtest(deployment))
    return Lab(folder, folder / "deployment.json", deployment, bundle)
