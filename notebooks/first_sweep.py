# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # From bars to a sweep
#
# Load bars, look at a factor, backtest one strategy, sweep its parameters, hand a result to vectorbt.
# The bars here are **synthetic** (seeded), so every figure below is about nothing; put your own in with
# `toolkit data import` and load them with `tk.load_bars("BTC/USDT", "15m", "2022-01-01", "2023-01-01")`.

# %%
import plotly.graph_objects as go
import plotly.io as pio
import vectorbt as vbt

import toolkit as tk

pio.renderers.default = "plotly_mimetype+notebook_connected"
vbt.settings["plotting"]["use_widgets"] = False
minutes = tk.synthetic_bars(symbols=("BTC/USDT",), start="2023-01-01", days=120, seed=7)["BTC/USDT"]
bars = minutes.to("15m")
bars

# %% [markdown]
# ## A factor
#
# A factor is asked of the bars and made once. Its value at a bar depends on a fixed number of closed bars and nothing
# else, so the live trader sees the same float. `bars.at("1d")` reads daily bars as they were known at each close.

# %%
efficiency = bars.factor("efficiency_ratio", 50)
daily_range = bars.at("1d").factor("range_pct", 10)
figure = go.Figure()
figure.add_scatter(x=bars.ts.astype("datetime64[ms]"), y=efficiency, name="efficiency ratio, 50 bars")
figure.add_scatter(x=bars.ts.astype("datetime64[ms]"), y=daily_range, name="daily range over 10 days", yaxis="y2")
figure.update_layout(yaxis2={"overlaying": "y", "side": "right"}, height=350)
figure

# %% [markdown]
# ## One backtest
#
# Decided at a close, filled at the next open, with fees and slippage. `ambiguity` says how much hangs on the order of
# stop and target inside one bar.

# %%
result = tk.backtest(
    "volatility_breakout",
    bars,
    params={"window": 50},
    rules=tk.TradeRules(target="2R", max_hold="1d"),
    costs=tk.Costs(taker_rate=0.0005, maker_rate=0.0002, slippage_bps=1.0),
)
result

# %%
result.ambiguity

# %%
result.trades.select(
    "side", "entry_ts", "exit_ts", "entry_price", "exit_price", "exit_reason", "pnl", "r_multiple"
).head()

# %%
result.plot()

# %% [markdown]
# ## A sweep
#
# Every combination of parameters and trade rules. Signals are made once per distinct parameters; a trade rule costs
# microseconds. `combinations_tried` belongs beside any best row.

# %%
found = tk.sweep(
    bars={"BTC/USDT": minutes},
    intervals=["15m"],
    strategies=[
        {
            "name": "volatility_breakout",
            "params": {"window": [20, 30, 50, 80, 120, 200], "expansion": [1.0, 1.5, 2.0, 2.5]},
        }
    ],
    rules={"target": ["1R", "2R", "4R", "none"], "max_hold": ["4h", "12h", "1d"]},
    by="sharpe",
    min_trades=20,
)
print(found.combinations_tried, "combinations")
found.top(5)

# %%
found.heatmap("window", "expansion", "sharpe")

# %% [markdown]
# ## vectorbt
#
# Any result becomes a `vbt.Portfolio` made of its order records: its statistics and plots work, on these very fills.

# %%
portfolio = result.to_vectorbt()
portfolio.stats()

# %%
portfolio.plot(subplots=["cum_returns", "drawdowns", "underwater"])

# %%
portfolio.orders.regroup(False)["long"].plot()
