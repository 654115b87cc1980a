"""Names that follow from what is named: instances, their legs, and the ids of signals, trades and orders.

An instance is its code, parameters, rules, symbol and interval: whoever runs the same one, today or next year, in a
backtest or live, gives the same names. A leg is an instance and a side; a signal is a leg and its bar.
"""

import ast
import hashlib
import inspect
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from toolkit.engine.rules import TradeRules
from toolkit.engine.types import LONG
from toolkit.strategy import Strategy

_TOOLKIT = Path(__file__).parent.parent
# What decides signals and trades; the store, reports and commands do not.
_DECIDING = ("bars/intervals.py", "bars/series.py", "compiled.py", "strategy.py", "factors", "engine")
_DIGITS = 10


@dataclass(frozen=True)
class Instance:
    """One strategy instance.

    Attributes
    ----------
    strategy : the strategy's name.
    params : every parameter with its value, defaults included.
    rules : trade rules, the side among them.
    symbol, interval : what it trades, and the interval its signals are made on.
    code : hash of the code that makes its signals and trades (`code_hash`).
    """

    strategy: str
    params: Mapping[str, Any]
    rules: TradeRules
    symbol: str
    interval: str
    code: str

    @property
    def digest(self) -> str:
        """Ten hex digits over all attributes."""
        rules = asdict(self.rules)
        whole = [self.strategy, dict(self.params), rules, self.symbol, self.interval, self.code]
        return hashlib.sha256(canonical_json(whole).encode()).hexdigest()[:_DIGITS]

    @property
    def id(self) -> str:
        """Readable and safe in file names: `volatility_breakout-BTCUSDT-5m-1a2b3c4d5e`."""
        letters = "".join(c for c in self.symbol if c.isalnum())
        return f"{self.strategy}-{letters}-{self.interval}-{self.digest}"


def leg_id(instance_id: str, side: int) -> str:
    """The id of one side (LONG, SHORT) of an instance."""
    return f"{instance_id}-{side_letter(side)}"


def trade_id(instance_id: str, side: int, signal_ts_ms: int) -> str:
    """The id of the trade of the signal decided at `signal_ts_ms`: `1a2b3c4d5e-L-1641182700000`.

    A signal's and an order's id is the trade's with `-signal`, `-entry`, `-exit`, `-stop` or `-target` behind it: at
    most 33 characters, so that it can be a client order id at a venue.
    """
    return f"{instance_id[-_DIGITS:]}-{side_letter(side)}-{signal_ts_ms}"


def side_letter(side: int) -> str:
    return "L" if side == LONG else "S"


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and shortest floats: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)


def code_hash(strategy: Strategy) -> str:
    """sha256 over the strategy's file, the modules of its own package that it imports, and the toolkit's deciding code.

    A function without a file (typed into a notebook) is hashed by its source text. A strategy that says its `code`
    itself is of another version, whose sources stand elsewhere.
    """
    if strategy.code:
        return strategy.code
    file = strategy.source_file
    if not file.is_file():
        digest = hashlib.sha256(_toolkit_hash().encode())
        digest.update(inspect.getsource(strategy.function).encode())
        return digest.hexdigest()
    return sources_hash(own_sources(file, strategy.function.__module__))


def sources_hash(sources: Mapping[str, Path]) -> str:
    """The `code_hash` of a strategy with these sources, by module name (`own_sources`)."""
    digest = hashlib.sha256(_toolkit_hash().encode())
    for name in sorted(sources):
        source = sources[name]
        digest.update(source.name.encode() + b"\0" + hashlib.sha256(source.read_bytes()).digest())
    return digest.hexdigest()


@cache
def _toolkit_hash() -> str:
    digest = hashlib.sha256()
    for name in _DECIDING:
        path = _TOOLKIT / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(str(file.relative_to(_TOOLKIT)).encode() + b"\0")
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _loaded_file(module: str) -> Path | None:
    file = getattr(sys.modules.get(module), "__file__", None)
    return Path(file) if file else None


def own_sources(file: Path, module: str, locate: Callable[[str], Path | None] = _loaded_file) -> dict[str, Path]:
    """The file, and what it imports, directly or not, from its own top-level package, by module name.

    The toolkit is counted apart. `locate` gives a module's file, None where there is none: unless given, that of the
    module as it is loaded.
    """
    package = module.partition(".")[0]
    found: dict[str, Path] = {module: file}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        for imported in _imports(found[name], name):
            inside = imported == package or imported.startswith(package + ".")
            if not inside or package == "toolkit" or imported in found:
                continue
            source = locate(imported)
            if source is not None:
                found[imported] = source
                waiting.append(imported)
    return found


def _imports(file: Path, module: str) -> set[str]:
    """Absolute names of the modules (and of names that may be modules) that a source file imports."""
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            origin = ".".join([*parents, *([node.module] if node.module else [])])
            names |= {origin} | {f"{origin}.{alias.name}" for alias in node.names}
    return names
