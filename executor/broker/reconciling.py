"""`Reconciler`: compares a live broker's ledger with its venue, does what follows, and keeps a record of it."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from executor.broker.errands import Sleep
from executor.broker.gathering import compare, traded_symbols
from executor.broker.live import LiveBroker, wall_ms
from executor.broker.views import Action, Tolerance, What
from executor.ledger import Ledger, Row
from toolkit.errors import LockstepError

_log = logging.getLogger(__name__)
_GRAVE = (What.SHORT, What.HALT)
_LEVELS = {What.ADOPT: "info", What.VANISHED: "info", What.WAITS: "info", What.SHORT: "error"}
# A halt says so itself; what waits is no news.
_SILENT = (What.HALT, What.UNSETTLED, What.WAITS)
_LINES = 5

_LAST = """
SELECT * FROM reconciliations WHERE ts_ms = (SELECT ts_ms FROM reconciliations ORDER BY id DESC LIMIT 1) ORDER BY id
"""


def last_look(ledger: Ledger) -> list[Row]:
    """Rows of the newest look; one without an `action` says that nothing differed."""
    return ledger.rows(_LAST)


class Reconciler:
    """`look` is an `executor.going_live.Look`.

    Each difference is a row of `reconciliations`, `done` where something was done about it; a look that found what the
    one before did moves that one's time.

    Parameters
    ----------
    broker : open; it need not run. symbols : what is traded, default what the ledger's deployments name.
    clock : epoch ms. sleep : how to wait, in seconds.
    again_secs : what would book a trade as closed by hand, or halt a symbol, must be so in two looks, so far apart.
    """

    def __init__(
        self, ledger: Ledger, broker: LiveBroker, tolerance: Tolerance | None = None,
        clock: Callable[[], int] = wall_ms, *, symbols: Callable[[], Iterable[str]] | None = None,
        sleep: Sleep = asyncio.sleep, again_secs: float = 3.0,
    ) -> None:  # fmt: skip
        self._ledger, self._broker, self._clock, self._sleep = ledger, broker, clock, sleep
        self._tolerance, self._again_secs = tolerance or Tolerance(), again_secs
        self._symbols = symbols

    async def look(self, cause: str) -> None:
        """Compare, and do what follows.

        Raises
        ------
        UnreachableVenueError : the venue did not answer; nothing was done. LedgerError : it cannot be written.
        """
        began = time.monotonic()
        plan = await self.plan()
        await self.apply(plan, cause, time.monotonic() - began)

    async def plan(self) -> list[Action]:
        """What is to be done, the acts first; raises as `look` does."""
        first = await self._compare()
        if not any(one.what in _GRAVE for one in first):
            return first
        await self._sleep(self._again_secs)
        before = {(one.what, one.symbol) for one in first}
        return [_doubted(one) if one.what in _GRAVE and (one.what, one.symbol) not in before else one
                for one in await self._compare()]  # fmt: skip

    async def apply(self, plan: Sequence[Action], cause: str, secs: float) -> set[int]:
        """Do it and write it down; returns which actions of the plan, by number, were done.

        cause, secs : of the look, for its rows.
        """
        ids = self._write(plan, cause, secs)
        words = [one.word for one in plan if one.word is not None]
        if words:
            self._broker.hear(words)
        done = {k for k, one in enumerate(plan) if one.what.acts and await self._do(one)}
        if done:
            with self._ledger.transaction("reconciled"):
                for k in done:
                    self._ledger.update("reconciliations", {"id": ids[k]}, {"done": 1})
        return done

    async def _compare(self) -> list[Action]:
        symbols = list(traded_symbols(self._ledger) if self._symbols is None else self._symbols())
        return await compare(self._ledger, self._broker.gateway, symbols, self._tolerance, self._clock)

    async def _do(self, action: Action) -> bool:
        """Whether it is done; words were heard before."""
        for trade_id, word in action.bookings:
            self._broker.by_hand(trade_id, word)
        if action.what is What.HALT:
            self._broker.halt_symbol(action.symbol, action.text)
        if action.ticket is None:
            return True
        gateway = self._broker.gateway
        try:
            await gateway.cancel(action.ticket, action.venue_id)
            self._broker.hear([await gateway.find(action.ticket, action.venue_id)])
        except LockstepError as error:
            _log.warning("%s is not cancelled: %s", action.ticket.client_id, error)
            return False
        return True

    def _write(self, plan: Sequence[Action], cause: str, secs: float) -> list[int]:
        """The rows of a look, before anything is done; their ids."""
        now, before = self._clock(), last_look(self._ledger)
        shared = {"ts_ms": now, "cause": cause, "secs": secs}
        said = [(one.symbol, one.what.value, one.text) for one in plan] or [("", "", "nothing differs")]
        is_same = [(row["cause"], row["symbol"], row["action"], row["text"]) for row in before] == [
            (cause, *one) for one in said
        ]
        if is_same and not any(one.what.acts for one in plan):
            self._ledger.update("reconciliations", {"ts_ms": before[0]["ts_ms"]}, {"ts_ms": now, "secs": secs})
            return []
        known = {(row["symbol"], row["action"]) for row in before}
        with self._ledger.transaction("reconciliation"):
            self._notice([one for one in plan if one.what.acts or (one.symbol, one.what.value) not in known], now)
            return [
                self._ledger.insert(
                    "reconciliations", {**shared, "symbol": symbol, "action": action, "text": text, "done": 0}
                )
                for symbol, action, text in said
            ]

    def _notice(self, news: Sequence[Action], now_ms: int) -> None:
        """One notice a level: what is new since the look before."""
        lines: dict[str, list[str]] = {}
        for one in news:
            level = _LEVELS.get(one.what, "warning")
            _log.log(logging.INFO if level == "info" else logging.WARNING, "%s: %s", one.what.value, one.text)
            if one.what not in _SILENT:
                lines.setdefault(level, []).append(one.text)
        for level, texts in lines.items():
            more = f"; and {len(texts) - _LINES} more: executor reconcile" if len(texts) > _LINES else ""
            row = {"ts_ms": now_ms, "level": level, "kind": "reconcile", "text": "; ".join(texts[:_LINES]) + more}
            self._ledger.insert("notices", row)


def _doubted(action: Action) -> Action:
    """Seen for the first time: whether it stays so, the next look says."""
    return replace(
        action, what=What.WAITS, text=f"{action.text}; whether that stays so, the next look says", bookings=()
    )
