"""What people ask of a running daemon: rows of `commands`, applied before the next event, in its transaction."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from executor.engine.account import Account
from executor.ledger import Ledger
from toolkit.engine.account import ACT, CASH_ACT, CLOSE_ACT, HALT_ACT
from toolkit.engine.sizing import BY_HAND_HALT, NO_HALT
from toolkit.types import Records

WAITING = "SELECT id, verb, target, value FROM commands WHERE status = 'waiting' AND verb != 'reload' ORDER BY id"
RELOADS = "SELECT id FROM commands WHERE status = 'waiting' AND verb = 'reload' ORDER BY id"
MATCHING = "SELECT id FROM instances WHERE ? IN (id, strategy, symbol, '*') OR ? = '' ORDER BY id"
BY_HAND = "by hand"
BROKEN = f"SELECT id FROM instances WHERE enabled = 0 AND note != '{BY_HAND}'"
ACTIVE_TRADES = "SELECT trade_id, leg FROM trades WHERE status = 'ACTIVE' AND ? IN (trade_id, symbol, instance, '*')"
WAITING_ENTRIES = """
SELECT o.trade_id, s.leg FROM orders o JOIN signals s ON s.signal_id = o.trade_id || '-signal'
WHERE o.kind = 'entry' AND o.status IN ('NEW', 'OPEN') AND ? IN (o.trade_id, o.symbol, o.instance, '*')
"""


@dataclass
class Done:
    """What commands came to: acts for the account, and whether weights changed."""

    acts: list[tuple[int, int, int, float]] = field(default_factory=list)
    reweighed: bool = False

    def records(self) -> Records | None:
        return np.array(self.acts, ACT) if self.acts else None


class Commands:
    """Applies waiting commands to a ledger; acts carry the leg's number in `account`."""

    def __init__(self, ledger: Ledger, account: Account, names: Sequence[str]) -> None:
        self._ledger = ledger
        self._legs = {name: k for k, name in enumerate(names)}
        self._account = account

    def apply(self, moment_ms: int, seq: int, now_ms: int) -> Done:
        """Everything that waits, in order; call it inside the event's transaction."""
        done = Done()
        verbs: dict[str, Callable[[str, float, Done, int], str]] = {
            "enable": lambda target, _, d, at: self._switch(target, True, d),
            "disable": lambda target, _, d, at: self._switch(target, False, d),
            "halt": lambda _t, _v, d, at: self._halt(True, d, at),
            "resume": lambda target, _, d, at: self._unhalt(target, at) if target else self._halt(False, d, at),
            "flatten": lambda _t, _v, d, at: self._flatten(d, at),
            "close": lambda target, _, d, at: self._close(target, d, at),
            "deposit": lambda note, value, d, at: self._cash("deposit", value, note, d, at),
            "withdraw": lambda note, value, d, at: self._cash("withdrawal", -value, note, d, at),
        }
        for row in self._ledger.rows(WAITING):
            verb = verbs.get(row["verb"])
            answer = verb(row["target"], row["value"] or 0.0, done, moment_ms) if verb else ""
            self._ledger.update("commands", {"id": row["id"]}, {
                "status": "done" if answer else "refused", "answer": answer or f"no such thing: {row['target']!r}",
                "seq": seq, "done_ms": now_ms,
            })  # fmt: skip
            if answer:
                said = f"{row['verb']} {row['target']}: {answer}"
                self._ledger.insert("notices", {"ts_ms": now_ms, "level": "info", "kind": row["verb"], "text": said})
        return done

    def _switch(self, target: str, on: bool, done: Done) -> str:
        found = [row["id"] for row in self._ledger.rows(MATCHING, (target, target))]
        for name in found:
            self._ledger.update("instances", {"id": name}, {"enabled": int(on), "note": None if on else BY_HAND})
        done.reweighed = done.reweighed or bool(found)
        return f"{len(found)} instances {'enabled' if on else 'disabled'}" if found else ""

    def _halt(self, on: bool, done: Done, moment_ms: int) -> str:
        self._ledger.set_meta("halted", "by hand" if on else "")
        done.acts.append((moment_ms, HALT_ACT, BY_HAND_HALT if on else NO_HALT, 0.0))
        return "new entries are refused" if on else "new entries are taken again"

    def _unhalt(self, symbol: str, moment_ms: int) -> str:
        """End what reconciliation has halted."""
        n = self._ledger.update("symbol_halts", {"symbol": symbol}, {"until_ms": moment_ms})
        return f"new entries of {symbol} are sent again" if n else ""

    def _close(self, target: str, done: Done, moment_ms: int) -> str:
        rows = [*self._ledger.rows(ACTIVE_TRADES, (target,)), *self._ledger.rows(WAITING_ENTRIES, (target,))]
        legs = sorted({self._legs[row["leg"]] for row in rows if row["leg"] in self._legs})
        done.acts += [(moment_ms, CLOSE_ACT, leg, 0.0) for leg in legs]
        return f"{len(legs)} trades are closed at their next bar's open" if legs else ""

    def _flatten(self, done: Done, moment_ms: int) -> str:
        halted = self._halt(True, done, moment_ms)
        return f"{halted}; {self._close('*', done, moment_ms) or 'nothing is open'}"

    def _cash(self, kind: str, amount: float, note: str, done: Done, moment_ms: int) -> str:
        done.acts.append((moment_ms, CASH_ACT, 0, amount))
        self._ledger.insert("cash_flows", {"ts_ms": moment_ms, "kind": kind, "amount": abs(amount), "note": note})
        return f"{kind} of {abs(amount):,.2f}"


def broken(ledger: Ledger) -> set[str]:
    """Instances that are off since their strategy raised."""
    return {row["id"] for row in ledger.rows(BROKEN)}


def disabled(ledger: Ledger, instance: str, why: str) -> None:
    """An instance whose strategy raised is off until somebody enables it."""
    ledger.update("instances", {"id": instance}, {"enabled": 0, "note": why[:500]})
