"""What a look-ahead proof finds, as plain data."""

from dataclasses import dataclass, field

from toolkit.bars.series import utc


@dataclass(frozen=True)
class Finding:
    """One array of one subject that is not what it was on the whole history.

    Attributes
    ----------
    check : "future" (later bars were replaced by noise) or "lookback" (only the declared lookback was given).
    subject, params : strategy and its parameters, or "factors".
    index : number of the bar in the loaded series of `interval`; `ts_ms` its open.
    expected, found : the value on the whole history, and the one here.
    times : at how many of the tested bars this array differed in this check.
    """

    check: str
    subject: str
    params: str
    symbol: str
    interval: str
    index: int
    ts_ms: int
    array: str
    expected: float | bool
    found: float | bool
    times: int = 1

    def __str__(self) -> str:
        what = f"{self.subject}({self.params})" if self.params else self.subject
        why = {
            "future": "changes when the bars after it do",
            "lookback": "is another one on the declared lookback alone",
        }[self.check]
        return (
            f"{what} on {self.symbol} {self.interval}: {self.array} of bar {utc(self.ts_ms)} UTC (index {self.index}) "
            f"{why}: {self.expected!r} on the whole history, {self.found!r} here; at {self.times} of the tested bars"
        )


@dataclass(frozen=True)
class Needed:
    """Declared and smallest sufficient lookback, in signal bars, over the tested bars of one symbol.

    `smallest` is None where no tested number of bars was enough.
    """

    strategy: str
    params: str
    symbol: str
    interval: str
    declared: int
    smallest: int | None


@dataclass(frozen=True)
class Coverage:
    """What was looked at: bars of one subject kind on one symbol and interval."""

    subject: str
    params: str
    symbol: str
    interval: str
    first_ms: int
    last_ms: int
    points: int
    entries: int
    exits: int


@dataclass(frozen=True)
class LookaheadReport:
    """Findings (none: no look-ahead was found), the lookbacks that suffice, and what was looked at.

    Attributes
    ----------
    source : where the bars came from, in words.
    skipped : what could not be tested and why, in words.
    never_varied : by strategy, the parameters that had their default in all that was tested: what another value of
        them does was not looked at. Texts are always among them, unless given.
    """

    source: str
    findings: list[Finding] = field(default_factory=list)
    needed: list[Needed] = field(default_factory=list)
    coverage: list[Coverage] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    never_varied: dict[str, list[str]] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return not self.findings and bool(self.coverage)
