"""Bars that a deployment's windows begin with: `seed/` of its bundle, a file a series."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from toolkit.bars.columns import COLUMNS
from toolkit.bars.intervals import DAY_MS, interval_ms
from toolkit.bars.symbols import canonical_symbol
from toolkit.engine.lookback import history_start
from toolkit.errors import InputError
from toolkit.models.features import features_start
from toolkit.portfolio.members import Member
from toolkit.strategy import Strategy

# Windows that begin at a Monday reach back up to a week further a week later.
_MARGIN_MS = 8 * DAY_MS


class SeedSeries(NamedTuple):
    """A stored series that windows read; `base` is its own interval."""

    exchange: str
    symbol: str
    base: str

    @property
    def file(self) -> str:
        letters = "".join(c if c.isalnum() else "_" for c in self.symbol)
        return f"{self.exchange}-{letters}-{self.base}.npz"


class Seed(NamedTuple):
    """Bars of a series, oldest first, without holes: by name ts, open, high, low, close, volume, filled."""

    series: SeedSeries
    columns: dict[str, NDArray[Any]]


def reaches(
    members: Iterable[tuple[Member, Strategy]], at_ms: int, features: Sequence[str] = ()
) -> dict[SeedSeries, int]:
    """How much history (ms, before `at_ms`) the windows of these members need of each series that they read.

    features : what models see at their entries.

    Raises
    ------
    InputError : a member does not say its exchange or its base.
    """
    found: dict[SeedSeries, int] = {}
    for member, strategy in members:
        if not member.exchange or not member.base:
            raise InputError(
                f"{member.instance.id} must say the exchange and the base of its bars, so that whoever trades it reads "
                f"the same; write the deployment anew with `toolkit portfolio select`"
            )
        params = strategy.params(member.params)
        bar_ms = at_ms - interval_ms(member.interval)
        start = min(
            history_start(strategy, params, member.rules, member.interval, bar_ms),
            features_start(features, member.interval, bar_ms),
        )
        symbols = {member.symbol, *(canonical_symbol(peer) for peer in strategy.peers)}
        read = [SeedSeries(member.exchange, symbol, member.base) for symbol in sorted(symbols)]
        read += [SeedSeries(member.exchange, member.symbol, interval) for interval in strategy.native]
        for series in read:
            found[series] = max(found.get(series, 0), at_ms - start + _MARGIN_MS)
    return found


def write_seed(folder: Path, series: SeedSeries, reach_ms: int, db: Path | None = None) -> int:
    """Write the newest stored bars of a series, so far back; returns how many. `StoreError`, `InputError`: see load."""
    from toolkit.bars.load import load_bars, stored_until

    where: dict[str, Any] = {"exchange": series.exchange, "base": series.base, "db": db}
    until = stored_until(series.symbol, series.base, **where)
    bars = load_bars(series.symbol, series.base, until - reach_ms, until, **where)
    columns: dict[str, Any] = {name: getattr(bars, name) for name in (*COLUMNS, "filled")}
    with (folder / series.file).open("wb") as file:
        np.savez_compressed(file, series=np.array(list(series)), **columns)
    return len(bars)


def read_seed(path: Path) -> Seed:
    """The bars of a file that `write_seed` wrote; `InputError` where it is none."""
    try:
        with np.load(path, allow_pickle=False) as said:
            series = SeedSeries(*(str(part) for part in said["series"]))
            return Seed(series, {name: said[name] for name in (*COLUMNS, "filled")})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} holds no bars to begin with ({error}); deploy it anew") from None
