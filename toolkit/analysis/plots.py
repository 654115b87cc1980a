"""Interactive figures (plotly) of a result."""

from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go
import polars as pl
from plotly.subplots import make_subplots

from toolkit.bars.intervals import INTERVAL_MS
from toolkit.bars.series import Bars

if TYPE_CHECKING:
    from toolkit.analysis.result import BacktestResult

_MOST_CANDLES = 3000
_SIDES = {"long": ("#1a7f64", "triangle-up"), "short": ("#c2410c", "triangle-down")}


def backtest_figure(result: "BacktestResult") -> Any:
    """Candles with entries and exits, daily equity, drawdown; one time axis.

    Long histories are drawn on the first interval with at most 3,000 candles; trades keep their times and prices.
    """
    figure = make_subplots(
        rows=3, cols=1, shared_xaxes=True, vertical_spacing=0.03, row_heights=[0.6, 0.25, 0.15],
        subplot_titles=(result.instance.id, "equity", "drawdown"),
    )  # fmt: skip
    start_ms = result.prepared.start_t * result.bars.base.interval_ms
    figure.add_trace(_candles(drawn_bars(result.bars, start_ms), start_ms), row=1, col=1)
    for trace in _trade_traces(result.trades):
        figure.add_trace(trace, row=1, col=1)
    equity = result.equity
    line = {"color": "#2563eb", "width": 1.5}
    figure.add_trace(go.Scatter(x=equity["ts"], y=equity["equity"], name="equity", line=line), row=2, col=1)
    fall = go.Scatter(
        x=equity["ts"], y=equity["drawdown"], name="drawdown", fill="tozeroy", line={"color": "#b91c1c", "width": 1}
    )
    figure.add_trace(fall, row=3, col=1)
    figure.update_yaxes(tickformat=".0%", row=3, col=1)
    figure.update_layout(height=760, xaxis_rangeslider_visible=False, legend={"orientation": "h"}, hovermode="x")
    return figure


def drawn_bars(bars: Bars, start_ms: int) -> Bars:
    """The bars on the shortest interval from their own up that has few enough candles from `start_ms` on."""
    span = int(bars.ts[-1]) + bars.interval_ms - start_ms if len(bars) else 0
    for name, step in INTERVAL_MS.items():
        if step >= bars.interval_ms and step % bars.base.interval_ms == 0 and span // step <= _MOST_CANDLES:
            drawn = bars.to(name)
            if len(drawn):
                return drawn
    return bars


def _candles(bars: Bars, start_ms: int) -> Any:
    shown = bars.ts >= start_ms
    ts = pl.Series(bars.ts[shown]).cast(pl.Datetime("ms", "UTC"))
    return go.Candlestick(
        x=ts, open=bars.open[shown], high=bars.high[shown], low=bars.low[shown], close=bars.close[shown],
        name=f"{bars.symbol} {bars.interval}",
    )  # fmt: skip


def _trade_traces(trades: pl.DataFrame) -> list[Any]:
    traces = []
    for side, (colour, symbol) in _SIDES.items():
        of_side = trades.filter(pl.col("side") == side)
        closed = of_side.filter(pl.col("exit_ts").is_not_null())
        hover = [f"{r}: {p:,.2f}" for r, p in closed.select("exit_reason", "pnl").iter_rows()]
        for name, ts, price, mark, text in (
            (f"{side} entry", of_side["entry_ts"], of_side["entry_price"], symbol, None),
            (f"{side} exit", closed["exit_ts"], closed["exit_price"], "x", hover),
        ):
            marker = {"color": colour, "symbol": mark, "size": 8}
            traces.append(go.Scatter(x=ts, y=price, mode="markers", name=name, text=text, marker=marker))
    return traces
