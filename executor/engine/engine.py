"""The engine: one event of closed bars in, durable decisions and orders out."""

import contextlib
import gc
import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from functools import partial
from typing import Any

from executor.broker.base import Broker, Intent, Kind, Order, Report, Status
from executor.engine import commands, state
from executor.engine.account import Account, Terms
from executor.engine.callbacks import Callbacks
from executor.engine.commands import Commands
from executor.engine.model import DeployedModels, EntryModel
from executor.engine.plan import load_plan
from executor.engine.records import Changes, Recorder
from executor.engine.signals import AtClose, Evaluator, Traded, seeing
from executor.engine.state import LoadPlan
from executor.engine.windows import History
from executor.feed.base import BarEvent, ClosedBar, Series
from executor.ledger import Ledger, number
from toolkit.bars.intervals import DAY_MS, floor_ts, origin_ms
from toolkit.bars.series import utc
from toolkit.engine.account import CLOSE_ACT, HALT_ACT, SAID
from toolkit.engine.sizing import NO_HALT, STALE_HALT
from toolkit.engine.types import NO_ORDER, NO_SIGNAL
from toolkit.errors import LedgerError, LockstepError
from toolkit.types import IntArray

_log = logging.getLogger(__name__)
_HOUR_MS = 3_600_000
_PIECE = 1_000


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


class Engine:
    """Trades the deployments of a ledger.

    What it knows lives in the ledger; a start and a start after a crash are the same. When a call raises, the engine is
    done with: make another from the ledger.

    Parameters
    ----------
    broker : where orders go. model : what is asked before an entry; default the models that the deployments name.
    load : the members of the ledger's deployments; for tests.
    clock : the wall's epoch milliseconds. max_entry_age_ms : entries of older moments are refused; None = never.
    """

    def __init__(
        self,
        ledger: Ledger,
        broker: Broker,
        *,
        load: LoadPlan = load_plan,
        model: EntryModel | None = None,
        clock: Callable[[], int] = wall_ms,
        max_entry_age_ms: int | None = None,
    ) -> None:
        self.ledger, self.broker = ledger, broker
        self._load, self._clock = load, clock
        self._model = model if model is not None else DeployedModels(ledger)
        self._max_entry_age_ms = max_entry_age_ms
        self.reload()
        self._callbacks.started()

    def reload(self) -> None:
        """Read everything from the ledger anew: after a deployment was loaded, and at a start."""
        ledger = self.ledger
        kept = state.read(ledger)
        plan = self._load(ledger, kept.busy)
        if not plan.members:
            raise LockstepError(f"{ledger.path} has no deployment to trade; load one: executor load DEPLOYMENT")
        self._start_ms = int(ledger.meta("start_ms") or 0)
        self.seq, self.moment_ms = kept.seq, kept.moment_ms
        self._model.reload()
        members = [seeing(one, self._model.features_of(one.instance_id)) for one in plan.members]
        self._lengths = _lengths(members, self._model)
        self._restamp(kept.moment_ms)
        traded = {one.series for one in members}
        self._next = {series: self._begins(series, series in traded) for series in self._lengths}
        self._histories = {series: self._history(series) for series in self._lengths}
        rows, applied = state.schedule(ledger, self._applied())
        capital = sum_of_capital(ledger)
        terms = Terms(plan.rates(), plan.instruments, capital, self._start_ms, rows, applied)
        self.account = Account(members, self._histories, terms)
        self._recorder = Recorder(self.account)
        if kept.saved is not None:
            self.account.restore(kept.saved, self._recorder.names)
        self._commands = Commands(ledger, self.account, self._recorder.names)
        self._callbacks = Callbacks(self.account.members)
        self._broken = commands.broken(ledger)
        self._first = _first_legs(self.account.members)
        self._gate_again(set(self._histories))
        self._acknowledge("resume", self.broker.resume(self._working()))

    def series(self) -> Mapping[Series, int]:
        """Every series that is read, with the base bars that its windows hold."""
        return {series: lengths[0] for series, lengths in self._lengths.items()}

    def next_ts(self, series: Series) -> int:
        """Open time of the bar that is wanted next: behind the last one, or the first of an account or of a series."""
        return self._next[series]

    def held(self, series: Series) -> int:
        """How many bars its window holds now."""
        return len(self._histories[series].base)

    def warm(self, series: Series, bars: Iterable[ClosedBar], source: str = "store") -> None:
        """Keep bars from before `next_ts`, and fill the series' window with what is there by now."""
        now, until = self._clock(), self.next_ts(series)
        known = {row["ts"] for row in self.ledger.rows(_KNOWN, (*series,))}
        fresh = [bar for bar in bars if bar.ts < until and bar.ts not in known]
        with self.ledger.transaction("warm"):
            # In pieces: weeks of minutes as rows would be the most memory that the daemon ever takes.
            for k in range(0, len(fresh), _PIECE):
                rows = [state.bar_row(series, bar, source, None, now) for bar in fresh[k : k + _PIECE]]
                self.ledger.put("bars", rows)
        self._replace(series, self._history(series))

    def rehearse(self) -> None:
        """Ask every strategy once about the last bars of its windows, and forget the answers.

        Code is loaded or compiled now, and not while the first decision waits.
        """
        evaluator = Evaluator(self._histories)
        for one in self.account.members:
            if self.held(one.series):
                with contextlib.suppress(Exception):
                    evaluator.at(one, floor_ts(self.next_ts(one.series), one.signal_ms))

    def on_event(self, event: BarEvent) -> Sequence[Intent]:
        """Step on an event: durable as a whole, then its orders are sent.

        Bars that were decided on, and those of series that nobody trades, are left aside.

        Raises
        ------
        LedgerError : the ledger cannot be written.
        """
        self._activate(event.moment_ms)
        known = ((series, bar) for series, bar in event.bars if series in self._histories)
        bars = {series: bar for series, bar in known if bar.ts >= self.next_ts(series)}
        if not bars:
            return ()
        # A late symbol's bar is decided on now, not in the past.
        self.moment_ms = max(event.moment_ms, self.moment_ms)
        with self.ledger.transaction(f"event {self.moment_ms}"):
            changes = self._step(event, bars)
        for table, key, said in changes.updates:
            if table == "orders" and said["status"] == Status.CLOSED.value:
                self.broker.ended(str(key["order_id"]))
        self._ask(changes.intents)
        if self.moment_ms % DAY_MS == 0:
            # Windows and what is memoised on them refer to each other: left alone they would lie about for days.
            gc.collect()
        self._callbacks.tell(changes)
        return changes.intents

    def apply_commands(self) -> bool:
        """Take a new deployment over where one was loaded; other commands wait for the next event. A model's version
        that waits is read, so that the event that it judges from need not wait for that.
        """
        self._model.prepare()
        found = self.ledger.rows(commands.RELOADS)
        if not found:
            return False
        with self.ledger.transaction("reload"):
            for row in found:
                self.ledger.update("commands", {"id": row["id"]}, {
                    "status": "done", "answer": "taken over", "seq": self.seq, "done_ms": self._clock(),
                })  # fmt: skip
        self.reload()
        return True

    def _activate(self, moment: int) -> None:
        """Let a deployment take over that was loaded for this moment; its limits hold from here on."""
        due = self.ledger.value(_DUE, (moment,))
        if due is None:
            return
        with self.ledger.transaction("activate"):
            self.ledger.update("deployments", {"state": "active"}, {"state": "retired"})
            self.ledger.update("deployments", {"id": due}, {"state": "active"})
            self.ledger.set_meta("deployment", str(due))
        self.reload()

    def close_book(self) -> float:
        """Write the account's mark at the last event; returns its equity."""
        mark = self.account.mark(max(self.moment_ms, self._start_ms))
        if self.moment_ms >= 0:
            self.ledger.put("equity", [{"ts_ms": self.moment_ms, **mark}])
        return mark["equity"]

    def _step(self, event: BarEvent, bars: Mapping[Series, ClosedBar]) -> Changes:
        ledger, account, moment = self.ledger, self.account, self.moment_ms
        now, self.seq = self._clock(), self.seq + 1
        for series, bar in bars.items():
            if bar.ts != self._next[series] and self.held(series):
                self._hole(series, bar)
            self._histories[series].append(bar)
            self._next[series] = bar.ts + series.base_ms
        ledger.put("bars", [state.bar_row(s, bar, event.recorded, self.seq, now) for s, bar in bars.items()])
        self._model.take_up(moment)
        done = self._commands.apply(moment, self.seq, now)
        if done.reweighed:
            self._broken = commands.broken(ledger)
            self._reweigh(moment, "by hand")
        self._stale(moment, now, done)
        before = account.state.copy()
        traded = {s: bar.ts for s, bar in bars.items() if s in account.series}
        due = self._settle(moment, traded, done)
        changes = self._recorder.after_settling(before, self.seq)
        middle = account.state.copy()
        self._say(moment, traded)
        account.manage(moment, due)
        _join(changes, self._recorder.after_managing(middle, self.seq, moment))
        self._write(changes, before, event, (now, self._said(done)))
        account.keep_signals()
        return changes

    def _settle(self, moment: int, bars: Mapping[Series, int], done: commands.Done) -> IntArray:
        """The broker's half of the moment, by the backtest's matching; returns the legs that are due."""
        return self.account.settle(moment, bars, done.records())

    def _hole(self, series: Series, bar: ClosedBar) -> None:
        """Bars that nobody has: the series' windows begin anew, and until they are full its strategies say nothing.

        Open trades go on at this bar with the stops that they had.
        """
        missing = (bar.ts - self._next[series]) // series.base_ms
        what = f"{missing:,} bars of {series.symbol} {series.base}"
        text = f"{what} are missing before {utc(bar.ts)}; its windows begin anew"
        _log.error(text)
        self.ledger.insert("notices", {"ts_ms": self._clock(), "level": "error", "kind": "feed", "text": text})
        self._replace(series, History(series, *self._lengths[series]))

    def _replace(self, series: Series, history: History) -> None:
        self._histories[series] = history
        if series in self.account.series:
            self.account.replace(series, history)
        self._gate_again({series})

    def _gate_again(self, series: Set[Series]) -> None:
        """Exit conditions hold between signal bars too: what the last ones say, from windows that were read anew."""
        evaluator = Evaluator(self._histories)
        for first, one in zip(self._first, self.account.members, strict=True):
            if one.columns.gates and series & {one.series, *one.peers, *one.native} and self.held(one.series):
                self._gate(evaluator, one, first, floor_ts(self.next_ts(one.series), one.signal_ms))

    def _gate(self, evaluator: Evaluator, one: Traded, first: int, close_ms: int) -> None:
        self.account.gate(one, first, evaluator.gates(one, close_ms), _signal_bar(one, close_ms))

    def _say(self, moment: int, bars: Mapping[Series, int]) -> None:
        """Ask the strategies whose bar closes now, of the instances that trade or may."""
        account, evaluator = self.account, Evaluator(self._histories)
        legs: Any = account.state
        awake = (
            (legs["weight"] > 0.0)
            | (legs["active"] != 0)
            | (legs["order_kind"] != NO_ORDER)
            | (legs["status"] != NO_SIGNAL)
        )
        for k, one in enumerate(account.members):
            first = self._first[k]
            if one.series not in bars:
                continue
            if not awake[first : first + len(one.sides)].any():
                continue
            close_ms = bars[one.series] + one.series.base_ms
            if floor_ts(close_ms, one.signal_ms) != close_ms:
                continue
            if one.instance_id in self._broken:
                self._gate(evaluator, one, first, close_ms)
                continue
            try:
                said = evaluator.at(one, close_ms)
            except Exception as error:
                self._failed(one, first, error, moment)
                self._gate(evaluator, one, first, close_ms)
                continue
            said = self._allowed(first, said)
            account.say(one, first, said, (bars[one.series] // one.series.base_ms, _signal_bar(one, close_ms)))
            for j, side in enumerate(one.sides):
                if said.sides[side].enter and not legs["active"][first + j]:
                    see = partial(evaluator.features, one, side, said, close_ms)
                    account.judge(first + j, self._model.decide(one, side, moment, see))

    def _allowed(self, first: int, said: AtClose) -> AtClose:
        """What of a member's word its legs, from number `first` on, may follow: all of it."""
        return said

    def _failed(self, one: Traded, first: int, error: Exception, moment: int) -> None:
        """An instance whose strategy raises is switched off, and not asked again; the others go on.

        Its open trade keeps its stop, target and time rules.
        """
        _log.error("%s is disabled: %s", one.instance_id, error)
        commands.disabled(self.ledger, one.instance_id, str(error))
        self._broken.add(one.instance_id)
        text = f"{one.instance_id} is disabled, its strategy raised: {error}"
        self.ledger.insert("notices", {"ts_ms": self._clock(), "level": "error", "kind": "disabled", "text": text})
        self.account.state["weight"][first : first + len(one.sides)] = 0.0
        self._reweigh(moment, "the strategy raised")

    def _reweigh(self, moment: int, cause: str) -> None:
        """A row of weights from this moment on: the deployment's, without the instances that are disabled."""
        rows = self.ledger.rows(_WEIGHTS_NOW)
        self.ledger.put("weights", [
            {"effective_ms": moment, "instance": row["id"], "weight": row["weight"], "cause": cause} for row in rows
        ])  # fmt: skip
        self.account.reschedule(*state.schedule(self.ledger, self._applied()))

    def _stale(self, moment: int, now: int, done: commands.Done) -> None:
        """Entries that are decided too late are refused, by an act that says when and for how long."""
        if self._max_entry_age_ms is None or self.ledger.meta("halted"):
            return
        said = STALE_HALT if now - moment > self._max_entry_age_ms else NO_HALT
        if said != int(self.account.ledger.clock[SAID]):
            done.acts.append((moment, HALT_ACT, said, 0.0))

    def _keep_weights(self) -> None:
        """The weights that hold from now on, as they were applied: without what was disabled at that moment."""
        effective = self.account.applied_ms
        self.ledger.set_meta("weights_applied", str(effective))
        for name, weight in self.account.weights_now().items():
            key = {"effective_ms": effective, "instance": name}
            self.ledger.update("weights", key, {"weight": weight})

    def _said(self, done: commands.Done) -> str | None:
        """Acts of an event as its row keeps them: kind, whom (a leg's id, or the kind of a halt), amount."""
        names = self._recorder.names
        acts = [(kind, names[leg] if kind == CLOSE_ACT else leg, amount) for _, kind, leg, amount in done.acts]
        return json.dumps(acts) if acts else None

    def _write(self, changes: Changes, before: Any, event: BarEvent, wall: tuple[int, str | None]) -> None:
        ledger, account, moment = self.ledger, self.account, self.moment_ms
        now, acts = wall
        ledger.put("events", [
            {"seq": self.seq, "moment_ms": moment, "wall_ms": now, "kind": "bars", "detail": acts}
        ])  # fmt: skip
        traded = "trades" in changes.puts
        if account.applied_ms != self._applied():
            self._keep_weights()
        for table, rows in changes.puts.items():
            ledger.put(table, rows)
        for table, key, said in changes.updates:
            ledger.update(table, key, said)
        ledger.put("legs", self._recorder.legs(before, self.seq))
        ledger.put("account", [state.account_row(account, moment, self.seq)])
        if traded or moment % _HOUR_MS == 0:
            ledger.put("equity", [{"ts_ms": moment, **account.mark(moment)}])
        self._notice(changes, now)

    def _notice(self, changes: Changes, now: int) -> None:
        for row in changes.puts.get("trades", ()):
            opened = row["status"] == "ACTIVE"
            text = f"{'opened' if opened else 'closed'} {row['side']} {row['symbol']} {row['qty']:.6g}" + (
                f" at {row['entry_price']:.6g}" if opened else f" at {row['exit_price']:.6g}, {row['pnl']:+.2f}"
            )
            kind = "trade opened" if opened else "trade closed"
            self.ledger.insert("notices", {
                "ts_ms": now, "level": "info", "kind": kind, "text": f"{text} ({row['strategy']})",
            })  # fmt: skip
        for row in changes.puts.get("halts", ()):
            text = f"halted: equity {row['equity']:,.2f}"
            self.ledger.insert("notices", {"ts_ms": now, "level": "warning", "kind": "halt", "text": text})

    def _ask(self, intents: Iterable[Intent]) -> None:
        for intent in intents:
            self._acknowledge(f"sent {intent.order.order_id}", self.broker.send(intent))
        self.broker.flush(self._clock())

    def _acknowledge(self, label: str, reports: Sequence[Report]) -> None:
        """Write that orders are known to the broker."""
        taken = [report for report in reports if report.status is Status.OPEN]
        if not taken:
            return
        with self.ledger.transaction(label):
            for report in taken:
                self.ledger.update(
                    "orders",
                    {"order_id": report.order_id, "status": Status.NEW.value},
                    {"status": Status.OPEN.value, "venue_order_id": report.venue_order_id},
                )

    def _history(self, series: Series) -> History:
        length, higher = self._lengths[series]
        history = History(series, length, higher)
        history.extend(state.newest_bars(self.ledger, series, self._next[series], length))
        return history

    def _begins(self, series: Series, is_traded: bool) -> int:
        """Where a series goes on; one that comes later begins with the bar in which the last event lies.

        One that is only looked at begins with the bar in which the account does: those before it have closed by then,
        and a daily factor need not wait for midnight.
        """
        base_ms = series.base_ms
        last = self.ledger.value(_LAST_EVENT_BAR, (*series,))
        if last is not None:
            return int(last) + base_ms
        first = -(-self._start_ms // base_ms) if is_traded else self._start_ms // base_ms
        return max(first, self.moment_ms // base_ms) * base_ms

    def _restamp(self, moment_ms: int) -> None:
        """Weights that were loaded for a moment that has passed hold from the next event on."""
        late = [row["effective_ms"] for row in self.ledger.rows(_LATE_WEIGHTS, (self._applied(), moment_ms))]
        if moment_ms >= 0 and late:
            with self.ledger.transaction("weights"):
                for k, effective in enumerate(late):
                    self.ledger.update("weights", {"effective_ms": effective}, {"effective_ms": moment_ms + 1 + k})

    def _working(self) -> list[Order]:
        """Orders that are wanted and not done with, oldest first."""
        return working_orders(self.ledger)

    def _applied(self) -> int | None:
        """The moment of the weights that hold; None where none do yet."""
        found = self.ledger.meta("weights_applied")
        return None if found is None else int(found)


_KNOWN = "SELECT ts FROM bars WHERE exchange = ? AND symbol = ? AND base = ?"
_LAST_EVENT_BAR = "SELECT max(ts) FROM bars WHERE exchange = ? AND symbol = ? AND base = ? AND event IS NOT NULL"
_WEIGHTS_NOW = """
SELECT i.id, i.weight * i.enabled AS weight FROM instances i JOIN deployments d ON d.id = i.deployment
WHERE d.state = 'active' ORDER BY i.id
"""
_LATE_WEIGHTS = """
SELECT DISTINCT effective_ms FROM weights WHERE effective_ms > coalesce(?, effective_ms) AND effective_ms <= ?
ORDER BY effective_ms
"""
_WORKING = "SELECT * FROM orders WHERE status IN ('NEW', 'OPEN') ORDER BY created_ms, order_id"
_DUE = "SELECT id FROM deployments WHERE state = 'loaded' AND effective_from_ms <= ? ORDER BY effective_from_ms, id"
_CAPITAL = "SELECT sum(amount) FROM cash_flows WHERE kind = 'allocated'"


def working_orders(ledger: Ledger) -> list[Order]:
    """Orders that are wanted and not done with, oldest first."""
    return [
        Order(
            r["order_id"], r["trade_id"], r["instance"], r["symbol"], Kind(r["kind"]), r["side"], r["type"], r["qty"],
            number(r["price"]), r["created_ms"],
        )
        for r in ledger.rows(_WORKING)
    ]  # fmt: skip


def sum_of_capital(ledger: Ledger) -> float:
    """What the account was given to begin with."""
    found = ledger.value(_CAPITAL)
    if not found:
        raise LedgerError(f"{ledger.path} has no allocated capital; load a deployment: executor load DEPLOYMENT")
    return float(found)


def _lengths(members: Sequence[Traded], model: EntryModel) -> dict[Series, tuple[int, dict[str, int]]]:
    """Bars that each series' windows hold: the longest that anybody looks back, and enough to mark the account by."""
    slowest = max(one.series.base_ms for one in members)
    found: dict[Series, tuple[int, dict[str, int]]] = {}
    for one in members:
        base_bars, higher = one.bars_needed(model.features_of(one.instance_id))
        reach_ms = base_bars * one.series.base_ms
        for series in (one.series, *one.peers, *one.native):
            bars, known = found.get(series, (0, {}))
            needed = max(bars, -(-reach_ms // series.base_ms) + 1, slowest // series.base_ms + 2)
            names = higher if series.base == one.series.base else {}
            merged = {name: max(known.get(name, 0), names.get(name, 0)) for name in {*known, *names}}
            found[series] = (needed, merged)
    return found


def _first_legs(members: Sequence[Traded]) -> list[int]:
    firsts, n = [], 0
    for one in members:
        firsts.append(n)
        n += len(one.sides)
    return firsts


def _signal_bar(one: Traded, close_ms: int) -> int:
    """The absolute number of the signal bar that closes at `close_ms`, as `LegSignals.first` counts them."""
    return (close_ms - origin_ms(one.signal_ms)) // one.signal_ms - 1


def _join(changes: Changes, more: Changes) -> None:
    for table, rows in more.puts.items():
        changes.puts.setdefault(table, []).extend(rows)
    changes.updates += more.updates
    changes.intents += more.intents
