"""`tk.verify`: the proofs of `toolkit verify`, as one call."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from toolkit.bars.moments import Moment
from toolkit.bars.series import Bars
from toolkit.verify.cache import CacheReport, verify_cache
from toolkit.verify.hop import HopReport, verify_hop
from toolkit.verify.lookahead import LookaheadConfig, verify_lookahead
from toolkit.verify.results import LookaheadReport
from toolkit.verify.sources import Series


@dataclass(frozen=True)
class VerifyReport:
    """All proofs together."""

    lookahead: LookaheadReport
    hop: HopReport
    cache: CacheReport

    @property
    def ok(self) -> bool:
        return self.lookahead.ok and self.hop.ok and self.cache.ok


Report: TypeAlias = VerifyReport | LookaheadReport | HopReport | CacheReport


def verify(
    what: str = "all",
    bars: Bars | Iterable[Bars] | None = None,
    *,
    params: Mapping[str, Any] | None = None,
    symbol: str | None = None,
    intervals: Iterable[str] = (),
    start: Moment | None = None,
    end: Moment | None = None,
    points: int = 24,
    cases: int = 2000,
    seed: int = 7,
    strategies: Iterable[str] | None = None,
    progress: Callable[[str], None] | None = None,
) -> Report:
    """Run the proofs that a result stands on; `.ok` of what is returned says whether they hold.

    Parameters
    ----------
    what : "all"; "lookahead" (every strategy and factor), "hop" or "cache"; or a strategy, whose look-ahead is tested.
    bars : base series to look for look-ahead on, instead of the stored ones.
    params : values of the named strategy's parameters, instead of the defaults.
    symbol, intervals, start, end : limit the bars; all of them by default.
    points : most entry bars and most exit bars tested per strategy, parameter set and interval.
    cases : random instances for hop.
    seed : of every random choice.
    strategies : strategy modules; None = those that pyproject.toml names.
    progress : called with a word on what is tested next.

    Returns
    -------
    LookaheadReport, HopReport or CacheReport; for "all" a VerifyReport of the three.

    Raises
    ------
    As `verify_lookahead`, `verify_hop` and `verify_cache`.
    """
    if what == "hop":
        return verify_hop(cases, seed)
    if what == "cache":
        return verify_cache(progress)
    every = what in ("all", "lookahead")
    config = LookaheadConfig(
        points=points, seed=seed, symbol=symbol, start=start, end=end, intervals=tuple(intervals),
        modules=None if strategies is None else tuple(strategies), factors=every, params=dict(params or {}),
    )  # fmt: skip
    given = None if bars is None else Series((bars,) if isinstance(bars, Bars) else tuple(bars), "the bars given")
    looked = verify_lookahead([] if every else [what], config, series=given, progress=progress)
    return looked if what != "all" else VerifyReport(looked, verify_hop(cases, seed), verify_cache(progress))
