"""Many legs on one account: their events merged in time, entries decided and sized in one order, one compiled pass.

At each moment T, the close of some base bar: legs whose bar closes at T are stepped in their order (fills and exits),
then, at 00:00 UTC, the day is marked, then proposed entries are decided by weight and order. A leg hops to its next
event by itself; only the verdict on its entries and their size come from here, so `step`, `decide` and `size_entry` are
the same calls that the executor makes.
"""

import math

import numpy as np

from toolkit.bars.intervals import DAY_MS
from toolkit.compiled import borrowing, inlined, kernel
from toolkit.engine.account import (
    ACT_ROW,
    CASH,
    CASH_ACT,
    DAY_START,
    EQUITY,
    GROSS,
    GROSS_SHARE,
    HALT_ACT,
    HALTED,
    HALTED_TODAY,
    HELD,
    HELD_NET,
    N_AUDIT,
    N_DAYS,
    N_HALTS,
    N_OPEN,
    N_PENDING,
    N_QUEUE,
    N_SIGNALS,
    N_TRADES,
    NET,
    NET_SHARE,
    NEXT_MIDNIGHT,
    PEAK,
    RESERVED,
    SAID,
    SCHEDULE_ROW,
    SLOTS,
    SYMBOL_SHARE,
    Book,
    Exposure,
    Ledger,
    Tape,
    add_leg,
    forget_ahead,
    load_leg,
    pop,
    push,
    save_leg,
    set_ahead,
)  # fmt: skip
from toolkit.engine.account_leg import manage_leg, record, settle, wind_down, write_audit
from toolkit.engine.exposure import measure, note_shares
from toolkit.engine.hop import END_REFUSED, bar_at, end_signal, next_event, open_signal, signal_at
from toolkit.engine.lifecycle import decide, entry_period, flat_leg
from toolkit.engine.rule_table import rule_numbers
from toolkit.engine.sizing import DAILY_LOSS_HALT, DRAWDOWN_HALT, NO_HALT, AccountAt, LegAt, Reason, size_entry
from toolkit.engine.types import (
    ACCEPTED,
    NO_ORDER,
    NO_SIGNAL,
    REJECTED,
    UNANSWERED,
    VETOED,
    ExitReason,
    Matched,
    Rules,
)  # fmt: skip
from toolkit.engine.views import costs_of, floats, market_at, signals_of
from toolkit.types import IntArray

LEG_BITS = 20
MAX_LEGS = 2**LEG_BITS
FAR = 2**62
_VETOED, _REFUSED, _UNANSWERED = int(Reason.VETOED), int(Reason.REFUSED), int(Reason.UNANSWERED)
HALT_EXIT, MANUAL_EXIT = int(ExitReason.HALT), int(ExitReason.MANUAL)


@inlined
def requeue(book: Book, ledger: Ledger, leg: int) -> None:
    """Hop: find the leg's next event from where it stands and queue it; an idle leg that is off has none."""
    row, seat = ledger.legs[leg], book.seats[leg]
    forget_ahead(row)
    row["queued"] = -1
    if row["weight"] <= 0.0 and row["active"] == 0 and row["status"] == NO_SIGNAL:
        return
    place = book.markets[seat["market"]]
    market, signals = market_at(book.markets, seat["market"]), signals_of(book.seats, leg)
    rules = Rules(*(rule_numbers(book.rules[leg]) + (book.exit_rules[leg],)))
    end_t = market.t0 + len(market.open)
    if row["halt_t"] >= 0:
        end_t = min(end_t, row["halt_t"] + 1)
    t, state = next_event(
        load_leg(row), row["last_t"], end_t, market, signals, rules, costs_of(book.seats, leg), ledger.cursors[leg]
    )
    set_ahead(row, state)
    if t >= end_t:
        return
    key = ((t + 1) * place["base_ms"] << LEG_BITS) | leg
    row["queued"] = key
    if ledger.clock[N_QUEUE] == len(ledger.queue):
        n = 0
        for other in range(len(ledger.legs)):
            if other != leg and ledger.legs[other]["queued"] >= 0:
                n = push(ledger.queue, n, ledger.legs[other]["queued"])
        ledger.clock[N_QUEUE] = n
    ledger.clock[N_QUEUE] = push(ledger.queue, ledger.clock[N_QUEUE], key)


@borrowing
def fold_until(book: Book, ledger: Ledger, leg: int, end_t: int) -> None:
    """Fold what the bars before `end_t` add into the leg, instead of those before its next event."""
    row = ledger.legs[leg]
    forget_ahead(row)
    market, signals = market_at(book.markets, book.seats[leg]["market"]), signals_of(book.seats, leg)
    rules = Rules(*(rule_numbers(book.rules[leg]) + (book.exit_rules[leg],)))
    costs, cursors = costs_of(book.seats, leg), ledger.cursors[leg]
    _, state = next_event(load_leg(row), row["last_t"], end_t, market, signals, rules, costs, cursors)
    set_ahead(row, state)


@borrowing
def close_out(book: Book, ledger: Ledger, tape: Tape, leg: int, moment: int, reason: int) -> None:
    """Wind the leg down at the close of the first of its bars that closes at or after this moment."""
    row, place = ledger.legs[leg], book.markets[book.seats[leg]["market"]]
    # Where no bar comes any more, the last one that is done with.
    t = min(-(-moment // place["base_ms"]), place["end_t"]) - 1
    row["halt_reason"] = reason
    if t > row["last_t"]:
        row["halt_t"] = t
    else:
        forget_ahead(row)
        wind_down(book, ledger, tape, leg, row["last_t"])
    requeue(book, ledger, leg)


@borrowing
def halt(book: Book, ledger: Ledger, tape: Tape, kind: int, moment: int, exposure: Exposure) -> None:
    """Stop new entries; where the limits ask for it, cancel waiting ones and order every open trade closed.

    A leg that has not been stepped at this moment is, before anything later; one whose bar is in progress (5m beside
    1m) is reached at that bar's close, since its open lies before the halt.
    """
    ledger.clock[HALTED] = kind
    ledger.clock[HALTED_TODAY] = 1
    said = tape.halts[ledger.counts[N_HALTS]]
    ledger.counts[N_HALTS] += 1
    said["ts"], said["kind"], said["equity"] = moment, kind, exposure.money[EQUITY]
    # A day's loss that only its last mark shows stops no entry: the next day has begun.
    said["until_ts"] = -(-moment // DAY_MS) * DAY_MS if kind == DAILY_LOSS_HALT else -1
    if not book.limits.halt_closes:
        return
    for leg in range(len(ledger.legs)):
        row = ledger.legs[leg]
        if row["active"] == 0 and row["order_kind"] == NO_ORDER:
            continue
        close_out(book, ledger, tape, leg, moment, HALT_EXIT)


@inlined
def look_at_halts(book: Book, ledger: Ledger, tape: Tape, moment: int, exposure: Exposure) -> None:
    """At a decision and at 00:00 UTC: the equity's peak, and the halts that a fall from it or in the day brings."""
    equity, money = exposure.money[EQUITY], ledger.money
    money[PEAK] = max(money[PEAK], equity)
    halted = ledger.clock[HALTED]
    if halted != DRAWDOWN_HALT and equity < money[PEAK] * (1.0 - book.limits.halt_drawdown):
        halt(book, ledger, tape, DRAWDOWN_HALT, moment, exposure)
    elif halted == NO_HALT and equity < money[DAY_START] * (1.0 - book.limits.halt_daily_loss):
        halt(book, ledger, tape, DAILY_LOSS_HALT, moment, exposure)


@borrowing
def mark_day(book: Book, ledger: Ledger, tape: Tape, moment: int, exposure: Exposure) -> None:
    """The mark at 00:00 UTC, and the day that begins; at the end of the period, the last mark."""
    measure(book, ledger, moment, exposure)
    note_shares(ledger, exposure)
    money, clock = ledger.money, ledger.clock
    if moment % DAY_MS == 0:
        look_at_halts(book, ledger, tape, moment, exposure)
    row = tape.days[ledger.counts[N_DAYS]]
    ledger.counts[N_DAYS] += 1
    row["ts"], row["open_trades"] = moment, clock[N_OPEN]
    row["halted"] = 1 if clock[HALTED_TODAY] != 0 or clock[HALTED] != NO_HALT else 0
    row["equity"], row["cash"] = exposure.money[EQUITY], money[CASH]
    row["gross"], row["net"] = exposure.money[HELD], exposure.money[HELD_NET]
    row["gross_share"], row["net_share"] = money[GROSS_SHARE], money[NET_SHARE]
    row["symbol_share"] = money[SYMBOL_SHARE]
    money[GROSS_SHARE] = money[NET_SHARE] = money[SYMBOL_SHARE] = 0.0
    money[DAY_START] = exposure.money[EQUITY]
    clock[HALTED_TODAY] = 0
    if clock[HALTED] == DAILY_LOSS_HALT:
        clock[HALTED] = NO_HALT


@borrowing
def reweigh(book: Book, ledger: Ledger, tape: Tape, moment: int) -> None:
    """The weights that hold from this moment: an instance that is switched on starts flat, unless it still trades."""
    row = ledger.clock[SCHEDULE_ROW]
    for leg in range(len(ledger.legs)):
        state, seat = ledger.legs[leg], book.seats[leg]
        weight = book.weights[row, seat["member"]]
        fresh = weight > 0.0 and state["weight"] <= 0.0
        state["weight"] = weight
        if fresh and state["active"] == 0 and state["order_kind"] == NO_ORDER:
            base_ms = book.markets[seat["market"]]["base_ms"]
            # The bar that closes at this very moment may propose: the last one done with is the one before it.
            earliest = max(seat["start_t"], -(-moment // base_ms) - 1)
            if state["status"] != NO_SIGNAL:
                fold_until(book, ledger, leg, earliest)
                end_signal(load_leg(state), earliest - 1, END_REFUSED, tape.signals, state["signal_row"])
            save_leg(state, flat_leg(seat["side"]))
            state["last_t"] = earliest - 1
            requeue(book, ledger, leg)


@inlined
def prediction_at(book: Book, leg: int, entry: int) -> float:
    """What the model says of a leg's raw entry; NaN where there is none."""
    seat = book.seats[leg]
    predicted = floats(seat["predictions"], seat["n_predictions"])
    return predicted[entry] if len(predicted) > 0 else math.nan


@inlined
def decided_before(book: Book, ledger: Ledger, a: int, b: int) -> bool:
    """Whether leg `a` is decided before leg `b` of the same moment: by prediction where the limits ask for it (none is
    the last), then by weight; legs that tie stay in their order.
    """
    if book.limits.by_prediction:
        first = prediction_at(book, a, ledger.cursors[a, 0])
        second = prediction_at(book, b, ledger.cursors[b, 0])
        if first != second and not (math.isnan(first) and math.isnan(second)):
            return math.isnan(second) or first > second
    return bool(ledger.legs[a]["weight"] > ledger.legs[b]["weight"])


@inlined
def decide_leg(book: Book, ledger: Ledger, tape: Tape, leg: int, moment: int, exposure: Exposure) -> None:
    """One proposed entry: the model's verdict, then the account's size; the records, and what is kept free for it."""
    row, seat, cursors = ledger.legs[leg], book.seats[leg], ledger.cursors[leg]
    market, signals = market_at(book.markets, seat["market"]), signals_of(book.seats, leg)
    rules = Rules(*(rule_numbers(book.rules[leg]) + (book.exit_rules[leg],)))
    t = row["last_t"]
    bar = bar_at(market, t)
    shares = rules.period_shared and seat["sibling"] >= 0
    if shares and ledger.legs[seat["sibling"]]["period"] == entry_period(t, rules):
        return
    at = signal_at(t, bar.close, signals, rules, cursors)
    side, limits, symbol, money = seat["side"], book.limits, seat["symbol"], exposure.money
    distance = at.trail_distance if math.isnan(at.stop_distance) else at.stop_distance
    scales = floats(seat["scales"], seat["n_scales"])
    said = (prediction_at(book, leg, cursors[0]), scales[cursors[0]] if len(scales) > 0 else 1.0)
    other = exposure.by_side[2 * symbol + (1 if side > 0 else 0)]
    free = limits.leverage * money[EQUITY] - money[HELD] - money[RESERVED]
    account = AccountAt(
        money[EQUITY], free, money[GROSS], money[NET],
        exposure.symbol_gross[symbol], exposure.slots[SLOTS],
        exposure.by_side[2 * symbol] + exposure.by_side[2 * symbol + 1], exposure.by_strategy[seat["strategy"]],
        other > 0, book.n_on[ledger.clock[SCHEDULE_ROW]],
        ledger.clock[HALTED] if ledger.clock[SAID] == NO_HALT else ledger.clock[SAID],
    )  # fmt: skip
    volume = floats(book.markets[seat["market"]]["volume"], len(market.open))[t - market.t0]
    venue = LegAt(
        side, seat["taker"], volume, seat["lot_step"], seat["min_qty"], seat["min_notional"], seat["spot"] != 0,
        seat["hedge"] != 0,
    )  # fmt: skip
    qty, reason, asked = size_entry(account, venue, bar.close, bar.close - side * distance, row["weight"], said, limits)
    verdict = ACCEPTED if qty > 0.0 else REJECTED
    if len(signals.verdicts) > 0 and signals.verdicts[cursors[0]] != ACCEPTED:
        verdict = int(signals.verdicts[cursors[0]])
        qty, reason = 0.0, _REFUSED
        if verdict == UNANSWERED:
            verdict, reason = VETOED, _UNANSWERED
        elif verdict == VETOED:
            reason = _VETOED
    state = decide(load_leg(row), bar, at, rules, verdict, qty)
    save_leg(row, state)
    row["trade_weight"] = row["weight"]
    if shares:
        sibling = ledger.legs[seat["sibling"]]
        sibling["period"] = max(sibling["period"], state.period)
    n = ledger.counts[N_SIGNALS]
    open_signal(state, verdict, rules, tape.signals, n)
    tape.signal_leg[n], tape.signal_reason[n] = leg, reason
    row["signal_row"] = n
    ledger.counts[N_SIGNALS] = n + 1
    write_audit(book, ledger, tape, leg, moment, exposure, (qty, reason, asked))
    if verdict != ACCEPTED:
        return
    value = qty * bar.close
    row["pending"] = value
    row["reserved"] = value * (1.0 + limits.price_buffer) * (1.0 + seat["taker"])
    ledger.clock[N_PENDING] = add_leg(ledger.pending_legs, ledger.clock[N_PENDING], leg)
    money[GROSS] += value
    money[NET] += side * value
    money[RESERVED] += row["reserved"]
    exposure.symbol_gross[symbol] += value
    exposure.slots[SLOTS] += 1
    exposure.by_side[2 * symbol + (0 if side > 0 else 1)] += 1
    exposure.by_strategy[seat["strategy"]] += 1


@borrowing
def decide_all(
    book: Book, ledger: Ledger, tape: Tape, proposed: IntArray, moment: int, exposure: Exposure
) -> None:  # fmt: skip
    """Decide what is proposed at one moment in the order of `decided_before`."""
    for k in range(1, len(proposed)):
        leg, j = proposed[k], k
        while j > 0 and decided_before(book, ledger, leg, proposed[j - 1]):
            proposed[j] = proposed[j - 1]
            j -= 1
        proposed[j] = leg
    measure(book, ledger, moment, exposure)
    look_at_halts(book, ledger, tape, moment, exposure)
    if book.limits.halt_closes and ledger.clock[HALTED] != NO_HALT:
        measure(book, ledger, moment, exposure)
    for leg in proposed:
        decide_leg(book, ledger, tape, leg, moment, exposure)
    note_shares(ledger, exposure)


@inlined
def conclude(book: Book, ledger: Ledger, tape: Tape, proposed: IntArray, moment: int, exposure: Exposure) -> None:
    """After the legs of a moment were stepped: the day's mark where it is midnight, then the decisions."""
    if moment == ledger.clock[NEXT_MIDNIGHT]:
        mark_day(book, ledger, tape, moment, exposure)
        ledger.clock[NEXT_MIDNIGHT] += DAY_MS
    if len(proposed) > 0:
        decide_all(book, ledger, tape, proposed, moment, exposure)


@inlined
def next_change(book: Book, ledger: Ledger) -> int:
    """The next moment at which weights begin to hold or somebody acts; FAR where there is none."""
    moment, row = FAR, ledger.clock[SCHEDULE_ROW] + 1
    if row < len(book.effective_ms):
        moment = max(book.effective_ms[row], book.start_ms)
    if ledger.clock[ACT_ROW] < len(book.acts):
        moment = min(moment, max(book.acts[ledger.clock[ACT_ROW]]["ts"], book.start_ms))
    return moment


@borrowing
def change(book: Book, ledger: Ledger, tape: Tape, moment: int) -> None:
    """Before the legs of a moment are stepped: weights that hold from it on, and what was done to the account."""
    clock = ledger.clock
    while clock[SCHEDULE_ROW] + 1 < len(book.effective_ms) and book.effective_ms[clock[SCHEDULE_ROW] + 1] <= moment:
        clock[SCHEDULE_ROW] += 1
        reweigh(book, ledger, tape, moment)
    while clock[ACT_ROW] < len(book.acts) and book.acts[clock[ACT_ROW]]["ts"] <= moment:
        act = book.acts[clock[ACT_ROW]]
        clock[ACT_ROW] += 1
        if act["kind"] == HALT_ACT:
            clock[SAID] = act["leg"]
        elif act["kind"] == CASH_ACT:
            ledger.money[CASH] += act["amount"]
            # Money paid in or out is neither profit nor loss: what losses are measured from moves with it.
            ledger.money[PEAK] += act["amount"]
            ledger.money[DAY_START] += act["amount"]
        elif ledger.legs[act["leg"]]["active"] != 0 or ledger.legs[act["leg"]]["order_kind"] != NO_ORDER:
            close_out(book, ledger, tape, act["leg"], moment, MANUAL_EXIT)


@kernel
def begin(book: Book, ledger: Ledger, capital: float) -> None:
    """The account before its first event: flat legs, all of them off until the first weights hold."""
    ledger.money[:] = 0.0
    ledger.money[CASH] = ledger.money[PEAK] = ledger.money[DAY_START] = capital
    ledger.clock[:] = 0
    ledger.clock[NEXT_MIDNIGHT] = (book.start_ms // DAY_MS + 1) * DAY_MS
    ledger.clock[SCHEDULE_ROW] = -1
    ledger.counts[:] = 0
    ledger.cursors[:] = 0
    for leg in range(len(ledger.legs)):
        row = ledger.legs[leg]
        save_leg(row, flat_leg(book.seats[leg]["side"]))
        row["last_t"] = book.seats[leg]["start_t"] - 1
        row["queued"] = row["signal_row"] = row["halt_t"] = -1
        row["halt_reason"] = 0
        row["order_price"] = math.nan
        row["weight"] = row["trade_weight"] = row["pending"] = row["reserved"] = 0.0


@inlined
def has_room(ledger: Ledger, tape: Tape) -> bool:
    """Whether one more moment surely fits the tape: of every leg a trade, a signal, and two rows of the audit."""
    n, counts = len(ledger.legs), ledger.counts
    if counts[N_TRADES] + 2 * n > len(tape.trades) or counts[N_SIGNALS] + n > len(tape.signals):
        return False
    return bool(counts[N_AUDIT] + 2 * n <= len(tape.audit))


@kernel
def advance(book: Book, ledger: Ledger, tape: Tape, exposure: Exposure) -> bool:
    """Go on to the end of the period; False where the tape is full first (make it longer and call again)."""
    clock, legs = ledger.clock, ledger.legs
    due, proposed = np.empty(len(legs), np.int64), np.empty(len(legs), np.int64)
    while True:
        if not has_room(ledger, tape):
            return False
        while clock[N_QUEUE] > 0 and legs[ledger.queue[0] & (MAX_LEGS - 1)]["queued"] != ledger.queue[0]:
            clock[N_QUEUE] = pop(ledger.queue, clock[N_QUEUE])
        moment = ledger.queue[0] >> LEG_BITS if clock[N_QUEUE] > 0 else FAR
        moment = min(moment, next_change(book, ledger))
        if clock[NEXT_MIDNIGHT] < min(moment, book.end_ms + 1):
            # Nothing happens until then. A halt may order trades closed, so what is next is looked up again.
            mark_day(book, ledger, tape, clock[NEXT_MIDNIGHT], exposure)
            clock[NEXT_MIDNIGHT] += DAY_MS
            continue
        if moment > book.end_ms:
            return True
        change(book, ledger, tape, moment)
        n_due = n_proposed = 0
        while clock[N_QUEUE] > 0 and ledger.queue[0] >> LEG_BITS == moment:
            key = ledger.queue[0]
            clock[N_QUEUE] = pop(ledger.queue, clock[N_QUEUE])
            leg = key & (MAX_LEGS - 1)
            if legs[leg]["queued"] != key:
                continue
            legs[leg]["queued"] = -1
            due[n_due] = leg
            n_due += 1
            t = moment // book.markets[book.seats[leg]["market"]]["base_ms"] - 1
            settle(book, ledger, tape, leg, t, exposure)
            if manage_leg(book, ledger, tape, leg):
                proposed[n_proposed] = leg
                n_proposed += 1
        conclude(book, ledger, tape, proposed[:n_proposed], moment, exposure)
        for k in range(n_due):
            requeue(book, ledger, due[k])


@kernel
def finish(book: Book, ledger: Ledger, tape: Tape, exposure: Exposure) -> None:
    """The last mark, what is still open at its market's last close, and the live signals' counts."""
    if book.end_ms % DAY_MS != 0:
        mark_day(book, ledger, tape, book.end_ms, exposure)
    for leg in range(len(ledger.legs)):
        row = ledger.legs[leg]
        state = load_leg(row)
        save_leg(row, state)
        if state.signal.status != NO_SIGNAL and row["signal_row"] >= 0:
            tape.signals[row["signal_row"]]["ignored"] = state.signal.ignored
        if state.trade.active:
            market = market_at(book.markets, book.seats[leg]["market"])
            t = market.t0 + len(market.open) - 1
            mark = Matched(False, False, 0, market.close[t - market.t0], math.nan, 0.0, math.nan)
            record(ledger, tape, leg, state, t, mark)
