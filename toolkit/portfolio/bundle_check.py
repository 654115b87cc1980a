"""What a deployed version would have made of the bars since its backtest, against the band that its backtest gave."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.bars.intervals import DAY_MS
from toolkit.bars.load import stored_until
from toolkit.bars.moments import to_ms
from toolkit.bars.series import utc
from toolkit.portfolio.backtest import portfolio_backtest
from toolkit.portfolio.bundle import Bundle
from toolkit.portfolio.bundle_band import LINES
from toolkit.portfolio.bundle_code import bundle_strategies
from toolkit.portfolio.deployment import FILE, Deployment, read_deployment
from toolkit.strategy import registering_apart

BELOW, INSIDE, ABOVE = "below", "inside", "above"
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Checked:
    """A deployed version on new bars.

    Attributes
    ----------
    start, end : the days that it was run on; UTC. days : how many whole ones.
    growth : of its money over them. p05, p50, p95 : what its backtest's band says of that day; None without a band.
    where : "below", "inside" or "above" the band; "unknown" where there is nothing to compare, and `note` says why.
    """

    deployment: str
    start: str
    end: str
    days: int
    growth: float | None
    p05: float | None
    p50: float | None
    p95: float | None
    trades: int
    where: str
    note: str = ""

    @property
    def left(self) -> bool:
        """Whether it is not where its backtest said."""
        return self.where in (BELOW, ABOVE)

    def table(self) -> dict[str, Any]:
        return asdict(self)


def check_bundle(bundle: Bundle, *, db: Path | None = None, jobs: int | None = None) -> Checked:
    """Run a deployed version, by its own sources, on whole days after its backtest and after it took effect.

    Raises
    ------
    InputError : its file or its sources cannot be used. StoreError : the bars cannot be read.
    """
    with registering_apart(bundle_strategies(bundle.folder)):
        # The sources are its own; the toolkit is today's.
        deployment = read_deployment(bundle.folder / FILE, accept_code=True)
        if deployment.off is not None:
            return _nothing(bundle, deployment.effective_from_ms, f"it is off ({deployment.off})")
        until = _until(deployment, db)
        start_ms, end_ms = _days(bundle, deployment, max(until.values()))
        if end_ms - start_ms < DAY_MS:
            return _nothing(bundle, start_ms, f"no whole day of bars is stored after {utc(start_ms)}")
        living, notes = _living(deployment, until, start_ms)
        result = portfolio_backtest(living, start=start_ms, end=end_ms, beside=False, db=db, jobs=jobs)
        equity = result.equity["equity"].to_numpy()
        trades = result.trades.height
        today = [member.instance.id for member in deployment.members]
    growth = float(equity[-1]) / deployment.capital
    changed = today != [row["id"] for row in bundle.table["instances"]]
    notes += ["the toolkit's code has changed since it was deployed"] if changed else []
    return _compared(bundle, (start_ms, end_ms), growth, trades, notes)


def _until(deployment: Deployment, db: Path | None) -> dict[str, int]:
    """Close (epoch ms) of the newest stored bar that each instance reads."""
    found: dict[tuple[str, str, str | None, str | None], int] = {}
    by_instance = {}
    for m in deployment.members:
        key = (m.symbol, m.interval, m.exchange, m.base)
        if key not in found:
            found[key] = stored_until(m.symbol, m.interval, exchange=m.exchange, base=m.base, db=db)
        by_instance[m.instance.id] = found[key]
    return by_instance


def _living(deployment: Deployment, until: dict[str, int], start_ms: int) -> tuple[Deployment, list[str]]:
    """The deployment without instances whose bars end before the start, and a sentence about those."""
    kept = tuple(m for m in deployment.members if until[m.instance.id] > start_ms)
    if len(kept) == len(deployment.members):
        return deployment, []
    weights = {m.instance.id: deployment.weights[m.instance.id] for m in kept}
    gone = sorted({m.symbol for m in deployment.members} - {m.symbol for m in kept})
    lost = f"{len(deployment.members) - len(kept)} instances have no newer bars"
    return replace(deployment, members=kept, weights=weights), [f"{lost} ({', '.join(gone)})" if gone else lost]


def _days(bundle: Bundle, deployment: Deployment, until: int) -> tuple[int, int]:
    """The whole days since its backtest ended and it took effect, as far as bars are stored; epoch ms."""
    tested_ms = to_ms(bundle.backtest["period"]["end"], "period.end")
    start_ms = -(-max(tested_ms, deployment.effective_from_ms) // DAY_MS) * DAY_MS
    return start_ms, max(start_ms, until // DAY_MS * DAY_MS)


def _compared(bundle: Bundle, period: tuple[int, int], growth: float, trades: int, notes: list[str]) -> Checked:
    start_ms, end_ms = period
    days = (end_ms - start_ms) // DAY_MS
    band, where = bundle.backtest.get("band"), UNKNOWN
    lines: tuple[float | None, float | None, float | None] = (None, None, None)
    if band is None:
        notes.append("its backtest was too short for a band")
    elif days > band["ts"][-1]:
        notes.append(f"the band ends after {band['ts'][-1]} days")
    else:
        low, middle, high = (float(np.interp(days, band["ts"], band[line])) for line in LINES)
        lines, where = (low, middle, high), BELOW if growth < low else ABOVE if growth > high else INSIDE
    return Checked(bundle.id, utc(start_ms), utc(end_ms), days, growth, *lines, trades, where, "; ".join(notes))


def _nothing(bundle: Bundle, start_ms: int, why: str) -> Checked:
    return Checked(bundle.id, utc(start_ms), utc(start_ms), 0, None, None, None, None, 0, UNKNOWN, why)
