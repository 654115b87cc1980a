"""An account that the engine and vectorbt's `from_orders(cash_sharing=True)` both define, and both answers to it.

Instances enter and leave on signals, at the next open, sized by their share of the account's equity at the decision's
close: in vectorbt a target share of the group's value, valued at the close before, ordered at the open. Weights are so
small that nothing is short of money, for there the two differ: an account refuses, vectorbt fills what it can.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import vectorbt as vbt

from toolkit.bars.intervals import interval_ms
from toolkit.bars.series import Bars, from_arrays
from toolkit.engine.identity import Instance
from toolkit.engine.rules import Costs, TradeRules
from toolkit.engine.run import prepare
from toolkit.portfolio.limits import Limits
from toolkit.portfolio.loading import LoadedMember
from toolkit.portfolio.members import Member
from toolkit.portfolio.schedule import WeightSchedule
from toolkit.portfolio.simulate import PortfolioRun, simulate
from toolkit.strategy import Signals
from toolkit.types import BoolArray, FloatArray, IntArray

CAPITAL = 100_000.0
COSTS = Costs(taker_rate=0.0005, maker_rate=0.0005, slippage_bps=2.0)
_START_MS = 1_640_995_200_000


@dataclass(frozen=True)
class SharedAccount:
    """Bars by symbol; for each instance its symbol, side, weight, and bool[n] entries and exits."""

    bars: tuple[Bars, ...]
    symbol: IntArray
    side: IntArray
    weight: FloatArray
    enter: BoolArray
    leave: BoolArray


def random_account(seed: int, n: int, instances: int, *, trades: int, interval: str = "5m") -> SharedAccount:
    """Three symbols of `n` bars; each instance enters about `trades` times, long or short."""
    rng = np.random.default_rng(seed)
    bars = []
    for k in range(3):
        close = 50.0 * 10.0**k * np.exp(np.cumsum(rng.normal(0.0, 1e-3, n)))
        open_ = np.r_[close[0], close[:-1]] * (1.0 + rng.normal(0.0, 3e-4, n))
        high, low = np.maximum(open_, close) * 1.0005, np.minimum(open_, close) * 0.9995
        ts = _START_MS + interval_ms(interval) * np.arange(n, dtype=np.int64)
        bars.append(from_arrays(ts, open_, high, low, close, np.ones(n), interval=interval, symbol=f"S{k}/USDT"))
    enter, leave = np.zeros((2, n, instances), np.bool_)
    for k in range(instances):
        moments = np.sort(rng.choice(n, min(2 * trades, n // 2), replace=False))
        enter[moments[::2], k] = True
        leave[moments[1::2], k] = True
    weight = rng.dirichlet(np.full(instances, 5.0)) * 0.4
    return SharedAccount(
        tuple(bars), rng.integers(0, 3, instances), rng.choice([1, -1], instances), weight, enter, leave
    )


def members_of(account: SharedAccount) -> list[LoadedMember]:
    """The instances, prepared; their ids ascend with their number."""
    none, nan = np.zeros(len(account.enter), np.bool_), np.full(len(account.enter), np.nan)
    out = []
    for k, side in enumerate(account.side.tolist()):
        rules = TradeRules(stop=None, target=None, side="long" if side > 0 else "short")
        bars, name = account.bars[account.symbol[k]], f"s{k:05d}"
        flags = [account.enter[:, k], none, account.leave[:, k], none]
        signals = Signals(*(flags if side > 0 else [flags[1], flags[0], flags[3], flags[2]]), nan, nan)
        instance = Instance(name, {}, rules, bars.symbol, bars.interval, "code")
        member = Member(name, bars.symbol, bars.interval, {}, rules, COSTS)
        out.append(LoadedMember(member, instance, bars, prepare(bars, signals, rules, COSTS)))
    return out


def ours(account: SharedAccount, members: list[LoadedMember]) -> PortfolioRun:
    names = [one.instance.id for one in members]
    schedule = WeightSchedule.static(dict(zip(names, account.weight.tolist(), strict=True)), names)
    return simulate(members, schedule, Limits(price_buffer=0.0), capital=CAPITAL)


def theirs(account: SharedAccount) -> Any:
    """The `vbt.Portfolio`, one column an instance, all of them one group."""

    def column(name: str) -> FloatArray:
        return np.stack([getattr(b, name) for b in account.bars], axis=1)[:, account.symbol]

    close = column("close")
    # Decided at a close, ordered in the row of the next open.
    size = np.full(close.shape, np.nan)
    size[1:][account.enter[:-1]] = np.broadcast_to(account.weight * account.side, close.shape)[1:][account.enter[:-1]]
    size[1:][account.leave[:-1]] = 0.0
    return vbt.Portfolio.from_orders(
        pd.DataFrame(close, index=pd.to_datetime(account.bars[0].ts, unit="ms")),
        size=size, size_type="targetpercent", direction="both", price=column("open"),
        val_price=np.vstack([close[:1], close[:-1]]), fees=COSTS.taker_rate, slippage=COSTS.slippage_bps / 1e4,
        init_cash=CAPITAL, cash_sharing=True, group_by=True, freq=account.bars[0].interval.replace("m", "min"),
    )  # fmt: skip


def our_trades(run: PortfolioRun, account: SharedAccount) -> pd.DataFrame:
    """Closed and open trades by instance and entry, with the columns of `their_trades`."""
    t = run.trades
    first = int(account.bars[0].ts[0]) // account.bars[0].interval_ms
    gross = t["side"] * t["qty"] * (t["exit_price"] - t["entry_price"])
    table = pd.DataFrame({
        "instance": run.trade_member, "entry": t["entry_t"] - first, "exit": t["exit_t"] - first, "qty": t["qty"],
        "entry_price": t["entry_price"], "exit_price": t["exit_price"], "entry_fee": t["entry_fee"],
        "exit_fee": t["exit_fee"], "pnl": gross - t["entry_fee"] - t["exit_fee"],
    })  # fmt: skip
    return table.sort_values(["instance", "entry"], ignore_index=True)


def their_trades(portfolio: Any) -> pd.DataFrame:
    t = portfolio.trades.values
    table = pd.DataFrame({
        "instance": t["col"], "entry": t["entry_idx"], "exit": t["exit_idx"], "qty": t["size"],
        "entry_price": t["entry_price"], "exit_price": t["exit_price"], "entry_fee": t["entry_fees"],
        "exit_fee": t["exit_fees"], "pnl": t["pnl"],
    })  # fmt: skip
    return table.sort_values(["instance", "entry"], ignore_index=True)
