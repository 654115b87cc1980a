"""One leg of an account on one bar, in the two halves that a broker and a strategy do.

`settle` is the broker's: what is pending fills, stop and target are looked at, the account pays and is paid. `manage`
is the strategy's: the stop is trailed, an exit ordered, an entry proposed. A backtest calls both for a leg in turn;
the executor calls the first for all legs that are due, then the second. A leg's second half touches neither cash nor
open trades of others, so both orders are the same.
"""

from toolkit.compiled import borrowing, inlined
from toolkit.engine.account import (
    CASH,
    EQUITY,
    GROSS,
    HELD,
    N_AUDIT,
    N_OPEN,
    N_PENDING,
    N_STEPS,
    N_TRADES,
    NET,
    SLOTS,
    Book,
    Exposure,
    Ledger,
    Tape,
    add_leg,
    drop_leg,
    load_leg,
    save_leg,
)  # fmt: skip
from toolkit.engine.exposure import measure
from toolkit.engine.hop import (
    END_CANCELLED,
    END_EXPIRED,
    END_TIMED_OUT,
    END_TRADE,
    bar_at,
    end_signal,
    record_trade,
    signal_at,
)
from toolkit.engine.lifecycle import cancel_entry, manage, match
from toolkit.engine.rule_table import rule_numbers
from toolkit.engine.sizing import Reason
from toolkit.engine.types import (
    ENTRY_ORDER,
    EXIT_ORDER,
    NO_ORDER,
    LegState,
    Matched,
    Order,
    Rules,
    SignalEnd,
)  # fmt: skip
from toolkit.engine.views import costs_of, market_at, signals_of

_PAID_TOLERANCE = 1.0 + 1e-9
_UNPAID, _END_UNPAID = int(Reason.UNPAID), int(SignalEnd.UNPAID)


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
def pays(book: Book, ledger: Ledger, bar_ms: int, cost: float, exposure: Exposure) -> bool:
    """Whether what the account has free when the bar opens covers a fill there; other waiting entries do not count."""
    measure(book, ledger, bar_ms, exposure)
    return bool(cost <= (exposure.money[EQUITY] - exposure.money[HELD]) * _PAID_TOLERANCE)


@inlined
def wind_down(book: Book, ledger: Ledger, tape: Tape, leg: int, t: int) -> None:
    """At the close of bar `t`: cancel the leg's waiting entry, or order its trade closed, for its `halt_reason`."""
    row = ledger.legs[leg]
    state = load_leg(row)
    if state.order.kind == ENTRY_ORDER:
        # An entry signal ends for the same reason as a trade is left; both enumerations count them alike.
        end_signal(state, t, row["halt_reason"], tape.signals, row["signal_row"])
        save_leg(row, cancel_entry(state))
        leave_queue_of_entries(ledger, leg)
    elif state.trade.active and state.order.kind == NO_ORDER:
        order = Order(EXIT_ORDER, t, row["halt_reason"])
        save_leg(row, LegState(state.side, order, state.trade, state.signal, state.period))
        market = market_at(book.markets, book.seats[leg]["market"])
        row["order_price"] = market.close[t - market.t0]


@inlined
def record(ledger: Ledger, tape: Tape, leg: int, state: LegState, t: int, matched: Matched) -> None:
    """Write a closed trade, or one that is still open at its mark."""
    n, row = ledger.counts[N_TRADES], ledger.legs[leg]
    record_trade(state, t, matched, row["order_price"], tape.trades, n)
    tape.trade_leg[n] = leg
    tape.trade_weight[n] = row["trade_weight"]
    ledger.counts[N_TRADES] = n + 1


@borrowing
def settle(book: Book, ledger: Ledger, tape: Tape, leg: int, t: int, exposure: Exposure) -> None:
    """The broker's half of a leg on its base bar `t`: fills, stop and target; the account pays and is paid."""
    ledger.counts[N_STEPS] += 1
    row, seat = ledger.legs[leg], book.seats[leg]
    base_ms = book.markets[seat["market"]]["base_ms"]
    market, costs = market_at(book.markets, seat["market"]), costs_of(book.seats, leg)
    rules = Rules(*(rule_numbers(book.rules[leg]) + (book.exit_rules[leg],)))
    state, side = load_leg(row), seat["side"]
    bar = bar_at(market, t)
    waiting = state.order.kind == ENTRY_ORDER
    if waiting and bar.can_trade:
        price = bar.open * (1.0 + side * costs.slippage)
        if not pays(book, ledger, t * base_ms, state.signal.qty * price * (1.0 + costs.taker), exposure):
            write_audit(book, ledger, tape, leg, (t + 1) * base_ms, exposure, (0.0, _UNPAID, state.signal.qty))
            if row["signal_row"] >= 0:
                tape.signal_reason[row["signal_row"]] = _UNPAID
            end_signal(state, t, _END_UNPAID, tape.signals, row["signal_row"])
            state = cancel_entry(state)
    funding = state.trade.funding if state.trade.active else 0.0
    i = (t - market.t0) * market.fine_ratio
    state, matched = match(state, bar, rules, costs, market.fine[i : i + market.fine_ratio])
    trade = state.trade
    if trade.active or matched.exit_reason != 0:
        ledger.money[CASH] += trade.funding - funding
    if matched.entered:
        ledger.money[CASH] -= side * trade.qty * trade.entry_price + trade.entry_fee
        ledger.clock[N_OPEN] = add_leg(ledger.open_legs, ledger.clock[N_OPEN], leg)
    if matched.exit_reason != 0:
        ledger.money[CASH] += side * trade.qty * matched.exit_price - matched.exit_fee
        ledger.clock[N_OPEN] = drop_leg(ledger.open_legs, ledger.clock[N_OPEN], leg)
        record(ledger, tape, leg, state, t, matched)
        end_signal(state, t, END_TRADE, tape.signals, row["signal_row"])
    elif matched.expired:
        end_signal(state, t, END_EXPIRED, tape.signals, row["signal_row"])
    if waiting and state.order.kind != ENTRY_ORDER:
        leave_queue_of_entries(ledger, leg)
    save_leg(row, state)
    row["last_t"] = t


@borrowing
def manage_leg(book: Book, ledger: Ledger, tape: Tape, leg: int) -> bool:
    """The strategy's half of a leg on the bar that it was settled on; returns whether an entry is proposed."""
    row, seat = ledger.legs[leg], book.seats[leg]
    market, signals = market_at(book.markets, seat["market"]), signals_of(book.seats, leg)
    rules, costs = Rules(*(rule_numbers(book.rules[leg]) + (book.exit_rules[leg],))), costs_of(book.seats, leg)
    t, state = row["last_t"], load_leg(row)
    bar = bar_at(market, t)
    waiting = state.order.kind == ENTRY_ORDER
    state, managed = manage(state, bar, signal_at(t, bar.close, signals, rules, ledger.cursors[leg]), rules, costs)
    if waiting and state.order.kind != ENTRY_ORDER:
        leave_queue_of_entries(ledger, leg)
    if managed.exit_ordered:
        row["order_price"] = bar.close
    if managed.cancelled:
        end_signal(state, t, END_CANCELLED, tape.signals, row["signal_row"])
    elif managed.timed_out:
        end_signal(state, t, END_TIMED_OUT, tape.signals, row["signal_row"])
    save_leg(row, state)
    if row["halt_t"] >= 0 and (t >= row["halt_t"] or (not state.trade.active and state.order.kind == NO_ORDER)):
        row["halt_t"] = -1
        wind_down(book, ledger, tape, leg, t)
    return bool(managed.proposed and row["weight"] > 0.0)
