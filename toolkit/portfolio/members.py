"""What is asked to be in a portfolio: `Member`, from a sweep's rows or from a table of TOML or JSON."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.bars.intervals import interval_ms
from toolkit.bars.symbols import canonical_symbol
from toolkit.engine.identity import Instance, code_hash
from toolkit.engine.lookback import check_interval
from toolkit.engine.rules import Costs, TradeRules, costs_from, rules_from
from toolkit.errors import InputError, UnknownNameError
from toolkit.strategy import Strategy, get_strategy, registered

if TYPE_CHECKING:
    from toolkit.sweep.result import SweepResult

INSTANCES = "instance"
_WEIGHT = "weight"
_TABLES = ("params", "rules", "costs")
_NEEDED = ("strategy", "symbol", "interval")


@dataclass(frozen=True)
class Member:
    """An instance as it is asked to be in a portfolio, with what it costs and where its bars come from.

    Attributes
    ----------
    strategy, symbol, interval : as in `tk.backtest`; the symbol in any spelling that `canonical_symbol` reads.
    params : over the strategy's defaults. rules : the side among them.
    exchange, base : where several hold the symbol, and the stored interval that orders fill on (default: the finest).
    family : strategies that resemble each other share one, for caps; left out, it is the strategy's name.
    """

    strategy: str
    symbol: str
    interval: str
    params: Mapping[str, Any] = field(default_factory=dict)
    rules: TradeRules = field(default_factory=TradeRules)
    costs: Costs = field(default_factory=Costs)
    exchange: str | None = None
    base: str | None = None
    family: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "symbol", canonical_symbol(self.symbol))
        object.__setattr__(self, "family", self.family or self.strategy)

    @property
    def instance(self) -> Instance:
        """Its identity; the strategy is looked up among those that are loaded, then in the default modules."""
        return instance_of(self, registered().get(self.strategy) or get_strategy(self.strategy))


def instance_of(member: Member, strategy: Strategy) -> Instance:
    """The identity of a member of this strategy; `InputError` for parameters that it does not have."""
    params = strategy.params(member.params)._asdict()
    file = strategy.source_file
    code = _code(strategy, file.stat().st_mtime_ns if file.is_file() else 0)
    return Instance(strategy.name, params, member.rules, member.symbol, member.interval, code)


@lru_cache(maxsize=1024)
def _code(strategy: Strategy, changed_ns: int) -> str:
    """`code_hash`, once a strategy and version of its file: a portfolio has thousands of members of a few."""
    return code_hash(strategy)


def members_from_sweep(
    run: "SweepResult | str | Path",
    numbers: Iterable[int] | None = None,
    *,
    top: int | None = None,
    by: str | None = None,
    min_trades: int | None = None,
    root: Path | None = None,
) -> tuple[Member, ...]:
    """Combinations of a sweep, by number or the best of them.

    Parameters
    ----------
    run : the sweep, its run id, its folder, or "latest".
    numbers : the combinations, as the column `combination` has them; they are given in this order.
    top, by, min_trades : instead of `numbers`: how many of the best, by which metric, among those with so many closed
        trades; what is left out is the experiment's own.
    root : folder of the runs.

    Raises
    ------
    InputError : a number that the sweep does not have, or twice; a `top` or `min_trades` that leaves none; no sweep.
    """
    from toolkit.sweep.result import SweepResult

    result = run if isinstance(run, SweepResult) else SweepResult.read(run, root)
    if numbers is None:
        chosen = _best(result, top, by, min_trades)
    else:
        if (top, by, min_trades) != (None, None, None):
            raise InputError(
                "combinations are chosen by `numbers` or by `top`, `by` and `min_trades`, not by both; leave one out"
            )
        chosen = [_number(one) for one in numbers]
        if not chosen:
            raise InputError(f"`numbers` must name at least one combination of sweep {result.run.run_id}, named none")
    members = tuple(_from_combination(result.combination(number)) for number in chosen)
    check_once(member.instance for member in members)
    return members


def _best(result: "SweepResult", top: int | None, by: str | None, min_trades: int | None) -> list[int]:
    """Numbers of the best combinations, at least one."""
    for name, option, value, least in (("top", "--top", top, 1), ("min_trades", "--min-trades", min_trades, 0)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
            raise InputError(f"`{name}` ({option}) must be a whole number of at least {least}, was {value!r}")
    chosen: list[int] = result.top(top, by, min_trades)["combination"].to_list()
    if not chosen:
        one = result.experiment
        most = int(result.metrics["trades"].max() or 0)  # type: ignore[arg-type]
        raise InputError(
            f"none of {result.combinations_tried:,} combinations of sweep {result.run.run_id} has at least "
            f"{one.min_trades if min_trades is None else min_trades} closed trades and a defined {by or one.by} (the "
            f"most trades are {most}); lower `min_trades` (--min-trades), or rank by another metric (--by)"
        )
    return chosen


def _number(given: Any) -> int:
    if isinstance(given, bool) or not hasattr(given, "__index__"):
        raise InputError(f"a combination's number must be a whole number, was {given!r}")
    return int(given)


def _from_combination(one: Mapping[str, Any]) -> Member:
    return Member(
        one["strategy"], one["bars"], one["interval"], one["params"], rules_from(one["rules"]), one["costs"],
        one["exchange"], one["base"],
    )  # fmt: skip


def members_from_table(table: Any, *, strategies: Iterable[str] | None = None) -> tuple[Member, ...]:
    """Members from rows of TOML or JSON.

    Parameters
    ----------
    table : a list of rows, or a table with `[[instance]]` rows. A row has strategy, symbol and interval, and where
        wanted params, rules, costs (tables), exchange, base, family and weight (see `weights_from_table`).
    strategies : modules that hold strategies, default as in pyproject.toml.

    Raises
    ------
    UnknownNameError : a key, strategy, parameter or rule that does not exist. InputError : a row that lacks a key, an
    interval that the strategy is not meant for, the same instance twice; names the row, counted from 1.
    """
    members = []
    for number, row in enumerate(_rows(table), start=1):
        try:
            members.append(_member(row, strategies))
        except InputError as error:
            error.args = (f"instance {number}: {error}",)
            raise
    check_once(member.instance for member in members)
    return tuple(members)


def weights_from_table(table: Any, members: Sequence[Member]) -> dict[str, float] | None:
    """The rows' `weight` by instance id, None where no row has one; `InputError` where only some of them do."""
    rows = _rows(table)
    missing = [number for number, row in enumerate(rows, start=1) if _WEIGHT not in row]
    if len(missing) == len(rows):
        return None
    if missing:
        raise InputError(f"every instance or none must have a `weight`, instance {missing[0]} has none")
    weights = {}
    for number, (row, member) in enumerate(zip(rows, members, strict=True), start=1):
        weight = row[_WEIGHT]
        if isinstance(weight, bool) or not isinstance(weight, int | float):
            raise InputError(f"`weight` of instance {number} must be a number, was {weight!r}")
        weights[member.instance.id] = float(weight)
    return weights


def _rows(table: Any) -> list[Mapping[str, Any]]:
    rows = table
    if isinstance(table, Mapping):
        for key in table:
            if key != INSTANCES:
                raise UnknownNameError("key of a table of instances", str(key), (INSTANCES,))
        rows = table.get(INSTANCES, ())
    if isinstance(rows, str) or not isinstance(rows, Sequence) or not all(isinstance(row, Mapping) for row in rows):
        raise InputError(f"instances must be a list of tables ([[{INSTANCES}]]), was {rows!r}")
    if not rows:
        raise InputError(f"a portfolio needs at least one instance, was given none; add an [[{INSTANCES}]] table")
    return list(rows)


def _member(row: Mapping[str, Any], strategies: Iterable[str] | None) -> Member:
    known = {f.name for f in fields(Member)} | {_WEIGHT}
    for key in row:
        if key not in known:
            raise UnknownNameError("key of an instance", str(key), known)
    for key in sorted(known - {_WEIGHT, *_TABLES}):
        if key in _NEEDED and key not in row:
            raise InputError(f"`{key}` is missing; an instance needs {', '.join(_NEEDED)}")
        if not isinstance(row.get(key, ""), str):
            raise InputError(f"`{key}` must be a text, was {row[key]!r}")
    params = row.get("params", {})
    if not isinstance(params, Mapping):
        raise InputError(f"`params` must be a table of names and values, was {params!r}")
    rules, costs = row.get("rules", {}), row.get("costs", {})
    strategy = get_strategy(row["strategy"], strategies)
    check_interval(strategy, row["interval"])
    if "base" in row:
        interval_ms(row["base"])
    return Member(
        strategy.name, row["symbol"], row["interval"], strategy.params(params)._asdict(),
        rules if isinstance(rules, TradeRules) else rules_from(rules),
        costs if isinstance(costs, Costs) else costs_from(costs),
        row.get("exchange"), row.get("base"), row.get("family", ""),
    )  # fmt: skip


def check_once(instances: Iterable[Instance]) -> None:
    """`InputError` where an instance is there twice: the trades of the two could not be told apart."""
    seen: dict[str, int] = {}
    for number, instance in enumerate(instances, start=1):
        first = seen.setdefault(instance.id, number)
        if first != number:
            raise InputError(f"instance {instance.id} is there twice (numbers {first} and {number}); leave one out")
