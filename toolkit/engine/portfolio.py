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
    CASH,
    DAY_START,
    EQUITY,
    GROSS,
    GROSS_SHARE,
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
    N_STEPS,
    N_TRADES,
    NET,
    NET_SHARE,
    NEXT_MIDNIGHT,
    PEAK,
    RESERVED,
    SCHEDULE_ROW,
    SLOTS,
    SYMBOL_SHARE,
    Book,
    Exposure,
    Ledger,
    Tape,
    add_leg,
    drop_leg,
    forget_ahead,
    load_leg,
    pop,
    push,
    save_leg,
    set_ahead,
)  # fmt: skip
from toolkit.engine.exposure import measure, note_shares
from toolkit.engine.hop import bar_at, end_signal, next_event, open_signal, record_trade, signal_at, signal_end
from toolkit.engine.lifecycle import cancel_entry, decide, entry_period, flat_leg, step
from toolkit.engine.rule_table import rule_numbers
from toolkit.engine.sizing import DAILY_LOSS_HALT, DRAWDOWN_HALT, NO_HALT, AccountAt, LegAt, Reason, size_entry
from toolkit.engine.types import (
    ACCEPTED,
    ENTRY_ORDER,
    EXIT_ORDER,
    NO_ORDER,
    NO_SIGNAL,
    REJECTED,
    VETOED,
    ExitReason,
    LegState,
    Market,
    Matched,
    Order,
    Rules,
    SignalEnd,
)  # fmt: skip
from toolkit.engine.views import costs_of, floats, market_at, signals_of
from toolkit.types import IntArray

LEG_BITS = 20
MAX_LEGS = 2**LEG_BITS
FAR = 2**62
_PAID_TOLERANCE = 1.0 + 1e-9
_VETOED, _REFUSED, _UNPAID = int(Reason.VETOED), int(Reason.REFUSED), int(Reason.UNPAID)
_HALT_EXIT, _END_HALT, _END_UNPAID = int(ExitReason.HALT), int(SignalEnd.HALT), int(SignalEnd.UNPAID)
_END_REFUSED = int(SignalEnd.REFUSED)


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


@inlined
def write_audit(
    book: Book, ledger: Ledger, tape: Tape, leg: int, moment: int, exposure: Exposure, verdict: tuple[float, int, float]
) -> None:  # fmt: skip
    """A row of the audit: `verdict` is the quantity given, the reason, and the quantity asked."""
    row, state, seat = tape.audit[ledger.counts[N_AUDIT]], ledger.legs[leg], book.seats[leg]
    ledger.counts[N_AUDIT] += 1
    row["ts"] = moment
    row["member"] = seat["member"]
    row["side"] = seat["side"]
    row["open_trades"] = exposure.slots[SLOTS]
    row["given"], row["reason"], row["asked"] = verdict
    row["price"] = state["signal_price"]
    row["weight"] = state["trade_weight"]
    row["equity"] = exposure.money[EQUITY]
    row["gross"] = exposure.money[GROSS]
    row["net"] = exposure.money[NET]


@inlined
def leave_queue_of_entries(ledger: Ledger, leg: int) -> None:
    """The leg's waiting entry is filled or gone: its reservation ends."""
    ledger.clock[N_PENDING] = drop_leg(ledger.pending_legs, ledger.clock[N_PENDING], leg)
    ledger.legs[leg]["pending"] = 0.0
    ledger.legs[leg]["reserved"] = 0.0


@inlined
def pays(book: Book, ledger: Ledger, leg: int, bar_ms: int, cost: float, exposure: Exposure) -> bool:
    """Whether what the account has free when the bar opens covers a fill there; other waiting entries do not count."""
    measure(book, ledger, bar_ms, exposure)
    return bool(cost <= (exposure.money[EQUITY] - exposure.money[HELD]) * _PAID_TOLERANCE)


@inlined
def wind_down(ledger: Ledger, tape: Tape, leg: int, t: int) -> None:
    """At the close of bar `t`, for a halt that closes: cancel the leg's waiting entry, or order its trade closed."""
    row = ledger.legs[leg]
    state = load_leg(row)
    if state.order.kind == ENTRY_ORDER:
        end_signal(state, t, _END_HALT, tape.signals, row["signal_row"])
        save_leg(row, cancel_entry(state))
        leave_queue_of_entries(ledger, leg)
    elif state.trade.active and state.order.kind == NO_ORDER:
        order = Order(EXIT_ORDER, t, _HALT_EXIT)
        save_leg(row, LegState(state.side, order, state.trade, state.signal, state.period))


@inlined
def step_leg(book: Book, ledger: Ledger, tape: Tape, leg: int, t: int, exposure: Exposure) -> bool:
    """`step` of one leg on its base bar `t`: the account pays and is paid; returns whether an entry is proposed."""
    ledger.counts[N_STEPS] += 1
    row, seat, cursors = ledger.legs[leg], book.seats[leg], ledger.cursors[leg]
    base_ms = book.markets[seat["market"]]["base_ms"]
    market, signals = market_at(book.markets, seat["market"]), signals_of(book.seats, leg)
    rules, costs = Rules(*(rule_numbers(book.rules[leg]) + (book.exit_rules[leg],))), costs_of(book.seats, leg)
    state, side = load_leg(row), seat["side"]
    bar = bar_at(market, t)
    waiting = state.order.kind == ENTRY_ORDER
    if waiting and bar.can_trade:
        price = bar.open * (1.0 + side * costs.slippage)
        if not pays(book, ledger, leg, t * base_ms, state.signal.qty * price * (1.0 + costs.taker), exposure):
            write_audit(book, ledger, tape, leg, (t + 1) * base_ms, exposure, (0.0, _UNPAID, state.signal.qty))
            tape.signal_reason[row["signal_row"]] = _UNPAID
            end_signal(state, t, _END_UNPAID, tape.signals, row["signal_row"])
            state = cancel_entry(state)
    funding = state.trade.funding if state.trade.active else 0.0
    at = signal_at(t, bar.close, signals, rules, cursors)
    i = (t - market.t0) * market.fine_ratio
    state, matched, managed = step(state, bar, at, rules, costs, market.fine[i : i + market.fine_ratio])
    trade = state.trade
    if trade.active or matched.exit_reason != 0:
        ledger.money[CASH] += trade.funding - funding
    if matched.entered:
        ledger.money[CASH] -= side * trade.qty * trade.entry_price + trade.entry_fee
        ledger.clock[N_OPEN] = add_leg(ledger.open_legs, ledger.clock[N_OPEN], leg)
    if matched.exit_reason != 0:
        ledger.money[CASH] += side * trade.qty * matched.exit_price - matched.exit_fee
        ledger.clock[N_OPEN] = drop_leg(ledger.open_legs, ledger.clock[N_OPEN], leg)
        record(ledger, tape, leg, state, t, matched, market)
    if waiting and state.order.kind != ENTRY_ORDER:
        leave_queue_of_entries(ledger, leg)
    end = signal_end(matched, managed)
    if end != 0:
        end_signal(state, t, end, tape.signals, row["signal_row"])
    save_leg(row, state)
    row["last_t"] = t
    if row["halt_t"] >= 0 and (t >= row["halt_t"] or (not state.trade.active and state.order.kind == NO_ORDER)):
        row["halt_t"] = -1
        wind_down(ledger, tape, leg, t)
    return bool(managed.proposed and row["weight"] > 0.0)


@inlined
def record(ledger: Ledger, tape: Tape, leg: int, state: LegState, t: int, matched: Matched, market: Market) -> None:
    """Write a closed trade, or one that is still open at its mark."""
    n = ledger.counts[N_TRADES]
    record_trade(state, t, matched, market, tape.trades, n)
    tape.trade_leg[n] = leg
    tape.trade_weight[n] = ledger.legs[leg]["trade_weight"]
    ledger.counts[N_TRADES] = n + 1


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
        place = book.markets[book.seats[leg]["market"]]
        # The first bar that closes at or after this moment; one that is done with stays the last.
        t = min(-(-moment // place["base_ms"]), place["t0"] + place["n"]) - 1
        if t > row["last_t"]:
            row["halt_t"] = t
        else:
            forget_ahead(row)
            wind_down(ledger, tape, leg, row["last_t"])
        requeue(book, ledger, leg)


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
                end_signal(load_leg(state), earliest - 1, _END_REFUSED, tape.signals, state["signal_row"])
            save_leg(state, flat_leg(seat["side"]))
            state["last_t"] = earliest - 1
            requeue(book, ledger, leg)


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
    predicted = floats(seat["predictions"], seat["n_predictions"])
    prediction = predicted[cursors[0]] if len(predicted) > 0 else math.nan
    other = exposure.by_side[2 * symbol + (1 if side > 0 else 0)]
    free = limits.leverage * money[EQUITY] - money[HELD] - money[RESERVED]
    account = AccountAt(
        money[EQUITY], free, money[GROSS], money[NET],
        exposure.symbol_gross[symbol], exposure.slots[SLOTS],
        exposure.by_side[2 * symbol] + exposure.by_side[2 * symbol + 1], exposure.by_strategy[seat["strategy"]],
        other > 0, book.n_on[ledger.clock[SCHEDULE_ROW]], ledger.clock[HALTED],
    )  # fmt: skip
    volume = floats(book.markets[seat["market"]]["volume"], len(market.open))[t - market.t0]
    venue = LegAt(
        side, seat["taker"], volume, seat["lot_step"], seat["min_qty"], seat["min_notional"], seat["spot"] != 0,
        seat["hedge"] != 0,
    )  # fmt: skip
    qty, reason, asked = size_entry(
        account, venue, bar.close, bar.close - side * distance, row["weight"], prediction, limits
    )
    verdict = ACCEPTED if qty > 0.0 else REJECTED
    if len(signals.verdicts) > 0 and signals.verdicts[cursors[0]] != ACCEPTED:
        verdict = int(signals.verdicts[cursors[0]])
        qty, reason = 0.0, _VETOED if verdict == VETOED else _REFUSED
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
    """Decide what is proposed at one moment, the largest weight first, then in the legs' order."""
    for k in range(1, len(proposed)):
        leg, j = proposed[k], k
        while j > 0 and ledger.legs[proposed[j - 1]]["weight"] < ledger.legs[leg]["weight"]:
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
        row = clock[SCHEDULE_ROW] + 1
        if row < len(book.effective_ms):
            moment = min(moment, max(book.effective_ms[row], book.start_ms))
        if clock[NEXT_MIDNIGHT] < min(moment, book.end_ms + 1):
            # Nothing happens until then. A halt may order trades closed, so what is next is looked up again.
            mark_day(book, ledger, tape, clock[NEXT_MIDNIGHT], exposure)
            clock[NEXT_MIDNIGHT] += DAY_MS
            continue
        if moment > book.end_ms:
            return True
        while row < len(book.effective_ms) and book.effective_ms[row] <= moment:
            clock[SCHEDULE_ROW] = row
            reweigh(book, ledger, tape, moment)
            row += 1
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
            if step_leg(book, ledger, tape, leg, t, exposure):
                proposed[n_proposed] = leg
                n_proposed += 1
        if moment == clock[NEXT_MIDNIGHT]:
            mark_day(book, ledger, tape, moment, exposure)
            clock[NEXT_MIDNIGHT] += DAY_MS
        if n_proposed > 0:
            decide_all(book, ledger, tape, proposed[:n_proposed], moment, exposure)
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
            record(ledger, tape, leg, state, t, mark, market)
