"""A live session against the backtest of its own records: each difference with its cause and what it cost.

At a venue prices, quantities and times are its own, so nothing is equal to the last bit. What can be shown is that
every difference has a cause in what the venue, the network or a person did, and that none is left over.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

import polars as pl

from toolkit.analysis.runs import Run
from toolkit.bars.intervals import MINUTE_MS, interval_ms
from toolkit.engine.sizing import REASONS, Reason
from toolkit.verify.parity_tables import RunTables

# Money by which two ways of adding the same numbers may differ, of a trade's notional.
_DUST = 1e-9
_VENUE, _STALE = REASONS[Reason.VENUE], REASONS[Reason.STALE]
_LEVELS = ("stop", "target")
# What of a trade moves the account.
_MOVING = ("entry_price", "qty", "exit_price", "fees", "funding")
Key = tuple[str, str, int]
Rows = Mapping[Key, Mapping[str, Any]]


class LiveKind(StrEnum):
    """Why a live session differs from its backtest.

    SLIPPAGE, FEE : another price, other fees than assumed. QUANTITY : filled in part, or net of fees paid in what was
    bought. LATENCY : filled in a later bar. LEVEL : a stop or target that the venue filled at another moment or price
    than the backtest's bars say. VENUE : refused, expired or never arrived. LATE_BAR : decided too late to enter.
    BY_HAND, UNPROTECTED : a person, or the bot for want of a stop, ended it. FUNDING : as charged.
    ACCOUNT : equity, room or open trades were others by then. STATE : the instance was in a trade, or was not, since an
    earlier one began or ended otherwise. OPEN : not over yet in one of the two. UNEXPLAINED : nothing of that kind.
    """

    SLIPPAGE = "slippage"
    FEE = "fee"
    QUANTITY = "quantity"
    LATENCY = "latency"
    LEVEL = "stop or target"
    VENUE = "venue"
    LATE_BAR = "late bar"
    BY_HAND = "by hand"
    UNPROTECTED = "unprotected"
    FUNDING = "funding"
    ACCOUNT = "account"
    STATE = "state"
    OPEN = "still open"
    UNEXPLAINED = "UNEXPLAINED"


class LiveDifference(NamedTuple):
    """One difference. money : live less backtest, NaN-free; 0 where it moves none by itself."""

    kind: LiveKind
    ts_ms: int
    instance: str
    side: str
    money: float
    text: str


@dataclass(frozen=True)
class Ends:
    """Words of the venue by trade and kind of order: why it did not simply fill."""

    words: Mapping[tuple[str, str], str]

    def of(self, trade_id: str, *kinds: str) -> str:
        return next((self.words[trade_id, kind] for kind in kinds if (trade_id, kind) in self.words), "")


def read_ends(run: Run) -> Ends:
    """The table `ends` of an exported live session."""
    frame = run.frame("ends") if "ends" in run.tables else None
    rows = () if frame is None else frame.iter_rows(named=True)
    return Ends({(row["trade_id"], row["kind"]): row["reason"] for row in rows})


def differences(live: RunTables, test: RunTables, ends: Ends) -> list[LiveDifference]:
    """Everything in which they differ, the earliest first. live, test : the session and its backtest."""
    return sorted(_Comparison(live, test, ends).all(), key=lambda one: (one.ts_ms, one.instance, one.side, one.kind))


class _Comparison:
    def __init__(self, live: RunTables, test: RunTables, ends: Ends) -> None:
        self._ends = ends
        self._signals = _by_key(live.tables["signals"], "ts"), _by_key(test.tables["signals"], "ts")
        self._trades = _by_key(live.tables["trades"], "signal_ts"), _by_key(test.tables["trades"], "signal_ts")
        self._audit = _by_key(live.tables["audit"], "ts"), _by_key(test.tables["audit"], "ts")
        self._base = {name: interval_ms(base) for name, (_, _, base) in {**test.series, **live.series}.items()}
        # Signals, by instance, whose trades one of them lacks, or entered or left in another bar.
        self._odd: dict[str, list[int]] = {}
        self._first_moved_ms = min(self._entries(), default=None)

    def all(self) -> Iterator[LiveDifference]:
        found = [one for key in sorted(self._trades[0].keys() | self._trades[1].keys()) for one in self._trade(key)]
        yield from found
        for key in sorted(self._signals[0].keys() | self._signals[1].keys(), key=lambda key: (key[2], key)):
            yield from self._signal(key)

    def _trade(self, key: Key) -> Iterator[LiveDifference]:
        mine, theirs = (side.get(key) for side in self._trades)
        if mine is None or theirs is None or self._apart(key, mine, theirs):
            self._odd.setdefault(key[0], []).append(key[2])
        if mine is not None and theirs is not None:
            yield from self._parts(key, mine, theirs)
            return
        # Whether there should have been one is a matter of its signal; what it came to is money all the same.
        money = (mine or {}).get("pnl") or 0.0
        money -= (theirs or {}).get("pnl") or 0.0
        kind, text = self._alone(key, mine is not None)
        yield LiveDifference(kind, key[2], *key[:2], money, text)

    def _alone(self, key: Key, is_live: bool) -> tuple[LiveKind, str]:
        """Why only one of them has the trade."""
        mine, theirs = (side.get(key) for side in self._signals)
        where = "live" if is_live else "the backtest"
        if mine is None or theirs is None:
            return self._astray(key, f"a trade of {where} alone")
        if mine["decision"] == theirs["decision"] == "accepted":
            if is_live:
                return LiveKind.ACCOUNT, "entered live, and unpaid or expired in the backtest"
            word = self._ends.of(_name(key), "entry")
            return (LiveKind.VENUE, word) if word else (LiveKind.OPEN, "its entry has not filled yet")
        return self._decision(key, mine, theirs)

    def _parts(self, key: Key, mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[LiveDifference]:
        """A trade of both, taken apart; the parts add up to the difference of its profit."""
        sign = 1.0 if key[1] == "long" else -1.0

        def part(kind: LiveKind, money: float, text: str) -> LiveDifference:
            return LiveDifference(kind, key[2], *key[:2], money, text)

        if self._bar(key, mine) != self._bar(key, theirs):
            late = (_ms(mine["entry_ts"]) - _ms(theirs["entry_ts"])) / 1000
            yield part(LiveKind.LATENCY, 0.0, f"entered {late:g} s after the backtest")
        over = mine["exit_ts"] is not None and theirs["exit_ts"] is not None
        if not over:
            if (mine["exit_ts"] is None) != (theirs["exit_ts"] is None):
                money = _pnl(mine) - _pnl(theirs)
                yield part(
                    LiveKind.OPEN, money, f"{'live' if mine['exit_ts'] is None else 'the backtest'} holds it still"
                )
            elif mine["entry_price"] != theirs["entry_price"]:
                yield part(LiveKind.SLIPPAGE, 0.0, f"entry {mine['entry_price']:g}, assumed {theirs['entry_price']:g}")
            return
        moved = theirs["exit_price"] - theirs["entry_price"]
        # Another size pays other fees: they belong to the size.
        assumed = theirs["fees"] * mine["qty"] / theirs["qty"]
        size = sign * (mine["qty"] - theirs["qty"]) * moved + theirs["fees"] - assumed
        if mine["qty"] != theirs["qty"]:
            yield part(self._size_kind(key), size, f"{mine['qty']:.10g} and not {theirs['qty']:.10g}")
        entry = -sign * mine["qty"] * (mine["entry_price"] - theirs["entry_price"])
        if mine["entry_price"] != theirs["entry_price"]:
            yield part(LiveKind.SLIPPAGE, entry, f"entry {mine['entry_price']:g}, assumed {theirs['entry_price']:g}")
        leave = sign * mine["qty"] * (mine["exit_price"] - theirs["exit_price"])
        if leave or mine["exit_reason"] != theirs["exit_reason"]:
            yield part(self._exit_kind(key, mine, theirs), leave, _exit_text(mine, theirs))
        fees, funding = assumed - mine["fees"], mine["funding"] - theirs["funding"]
        if abs(fees) > _DUST * max(mine["fees"], assumed):
            yield part(LiveKind.FEE, fees, f"fees {mine['fees']:.6g}, assumed {assumed:.6g}")
        if funding:
            yield part(LiveKind.FUNDING, funding, f"funding {mine['funding']:.6g}, assumed {theirs['funding']:.6g}")
        rest = mine["pnl"] - theirs["pnl"] - (size + entry + leave + fees + funding)
        if abs(rest) > _DUST * max(1.0, mine["qty"] * mine["entry_price"]):
            yield part(LiveKind.UNEXPLAINED, rest, f"profit {mine['pnl']:.8g} is not what its parts come to")

    def _size_kind(self, key: Key) -> LiveKind:
        mine, theirs = (side.get(key) for side in self._audit)
        same = mine is not None and theirs is not None and mine["given"] == theirs["given"]
        if same:
            return LiveKind.QUANTITY
        return LiveKind.ACCOUNT if self._is_moved(key[2]) else LiveKind.UNEXPLAINED

    def _exit_kind(self, key: Key, mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> LiveKind:
        word = self._ends.of(_name(key), "exit", "stop").split(":")[0]
        if word in ("byhand", "unprotected"):
            return LiveKind.BY_HAND if word == "byhand" else LiveKind.UNPROTECTED
        reasons = {mine["exit_reason"], theirs["exit_reason"]}
        same = len(reasons) == 1 and self._bar(key, mine, "exit_ts") == self._bar(key, theirs, "exit_ts")
        if same:
            return LiveKind.SLIPPAGE
        if "manual" in reasons:
            return LiveKind.BY_HAND
        if reasons & set(_LEVELS):
            return LiveKind.LEVEL
        later = self._bar(key, mine) != self._bar(key, theirs)
        return LiveKind.LATENCY if later or len(reasons) == 1 else LiveKind.UNEXPLAINED

    def _signal(self, key: Key) -> Iterator[LiveDifference]:
        mine, theirs = (side.get(key) for side in self._signals)
        if mine is None or theirs is None:
            where = "live" if theirs is None else "the backtest"
            kind, text = self._astray(key, f"a signal of {where} alone")
        elif mine["decision"] != theirs["decision"]:
            kind, text = self._decision(key, mine, theirs)
        else:
            return
        if key not in self._trades[0] and key not in self._trades[1]:
            yield LiveDifference(kind, key[2], *key[:2], 0.0, text)

    def _decision(self, key: Key, mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> tuple[LiveKind, str]:
        text = f"{mine['decision']} ({mine['reason']}), and {theirs['decision']} ({theirs['reason']}) in the backtest"
        word = self._ends.of(_name(key), "entry")
        if mine["reason"] == _VENUE or word:
            return LiveKind.VENUE, word or text
        if mine["reason"] == _STALE:
            return LiveKind.LATE_BAR, text
        if "vetoed" in (mine["decision"], theirs["decision"]):
            return LiveKind.UNEXPLAINED, text
        return (LiveKind.ACCOUNT if self._is_moved(key[2]) else LiveKind.UNEXPLAINED), text

    def _astray(self, key: Key, text: str) -> tuple[LiveKind, str]:
        """A signal that only one of them has: it is ignored while the leg is in a trade or waits."""
        if any(first < key[2] for first in self._odd.get(key[0], ())) or self._refused_before(key):
            return LiveKind.STATE, f"{text}, after a trade that began or ended otherwise"
        return LiveKind.UNEXPLAINED, text

    def _refused_before(self, key: Key) -> bool:
        """Whether an earlier signal of the leg was decided otherwise: one that waits leaves no room for the next."""
        mine, theirs = self._signals
        return any(
            one[0] == key[0] and one[2] < key[2]
            and (one not in theirs or one not in mine or mine[one]["decision"] != theirs[one]["decision"])
            for one in mine.keys() | theirs.keys()
        )  # fmt: skip

    def _bar(self, key: Key, trade: Mapping[str, Any], column: str = "entry_ts") -> int:
        """Number of the base bar in which it was filled."""
        return _ms(trade[column]) // self._base.get(key[0], MINUTE_MS)

    def _apart(self, key: Key, mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
        """Whether it was entered or left in different bars."""
        if (mine["exit_ts"] is None) != (theirs["exit_ts"] is None) or self._bar(key, mine) != self._bar(key, theirs):
            return True
        return mine["exit_ts"] is not None and self._bar(key, mine, "exit_ts") != self._bar(key, theirs, "exit_ts")

    def _is_moved(self, ts_ms: int) -> bool:
        """Whether the account is another one since an earlier trade."""
        return self._first_moved_ms is not None and self._first_moved_ms < ts_ms

    def _entries(self) -> Iterator[int]:
        """When trades were entered that are not the same in both."""
        a, b = self._trades
        for key in a.keys() | b.keys():
            mine, theirs = a.get(key), b.get(key)
            if mine is None or theirs is None or any(mine[name] != theirs[name] for name in _MOVING):
                yield min(_ms(one["entry_ts"]) for one in (mine, theirs) if one is not None)


def _by_key(frame: pl.DataFrame, at: str) -> Rows:
    return {(row["instance"], row["side"], _ms(row[at])): row for row in frame.iter_rows(named=True)}


def _ms(moment: Any) -> int:
    ms: int = round(moment.timestamp() * 1000)
    return ms


def _name(key: Key) -> str:
    """The id of a signal's trade."""
    return f"{key[0].rpartition('-')[2]}-{key[1][:1].upper()}-{key[2]}"


def _pnl(trade: Mapping[str, Any]) -> float:
    return 0.0 if trade["exit_ts"] is None or trade["pnl"] is None else float(trade["pnl"])


def _exit_text(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> str:
    if mine["exit_reason"] == theirs["exit_reason"]:
        return f"{mine['exit_reason']} at {mine['exit_price']:g}, assumed {theirs['exit_price']:g}"
    return (
        f"{mine['exit_reason']} at {mine['exit_price']:g}, and {theirs['exit_reason']} at {theirs['exit_price']:g} in "
        f"the backtest"
    )
