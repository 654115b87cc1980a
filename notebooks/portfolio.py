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
# # From a sweep to a portfolio
#
# Sweep three months, look at what moves with what, put the best on one account, and test it on a month that the sweep
# has not seen. The bars are **synthetic** (seeded): no figure below says that anything earns money.

# %%
import plotly.express as px
import plotly.io as pio

import toolkit as tk
from toolkit.portfolio.correlations import add_what_helps, correlation_matrix

pio.renderers.default = "plotly_mimetype+notebook_connected"
minutes = tk.synthetic_bars(symbols=("BTC/USDT", "ETH/USDT"), start="2023-01-01", days=120, seed=11)
cut = "2023-04-01"

# %% [markdown]
# ## Candidates
#
# The sweep ends at the cut: whatever it chooses, it has not seen the days after it.

# %%
swept = tk.sweep(
    bars=minutes,
    intervals=["15m", "1h"],
    strategies=[
        {"name": "volatility_breakout", "params": {"window": [50, 100, 200], "expansion": [1.5, 2.5]}},
        {"name": "open_range_breakout", "params": {"range_minutes": [30, 60, 120]}},
        {"name": "reversal_breakout", "params": {"stretch": [6.0, 10.0], "target_r": [1.0, 2.0]}},
    ],
    rules={"side": ["long", "short"], "max_hold": ["12h", "1d"]},
    costs={"taker_rate": 0.0005, "slippage_bps": 1.0},
    end=cut,
    min_trades=10,
)
print(swept.combinations_tried, "combinations")
swept.top(5)

# %% [markdown]
# ## One account
#
# Thirty candidates. At the cut, and every week from then on, what was known then decides which of them are on and with
# what weight. Equal weight, 1/0 and the first choice kept to the end ("static") stand beside it.

# %%
policy = tk.RebalancePolicy(
    every="7d",
    lookback="60d",
    rule=tk.SelectionRule("expectancy > 0 and win_rate >= 0.3", min_trades=5, max_correlation=0.7, top=10),
    method="hrp",
)
limits = tk.Limits(exposure=2.0, max_trade=0.25, max_symbol=0.8, max_gross=1.0, drawdown_halt=0.3)
result = tk.portfolio_backtest(swept, bars=minutes, top=30, start=cut, policy=policy, limits=limits)
result

# %%
result.plot()

# %% [markdown]
# ## What the account refused, and why
#
# Every entry is a row: what was asked, what was given, the reason, and the account at that moment.

# %%
result.audit.group_by("decision", "reason").len().sort("len", descending=True)

# %%
result.audit.select("ts", "strategy", "symbol", "side", "decision", "reason", "asked_notional", "given_notional").head()

# %% [markdown]
# ## Weights over time

# %%
px.area(result.weights.sort("effective_from"), x="effective_from", y="weight", color="instance", line_shape="hv")

# %% [markdown]
# ## What moves with what
#
# Stand-alone daily returns on the days before the cut. Rows of one strategy that differ by a parameter are nearly one
# strategy: the greedy table says which of them still helps once others are in.

# %%
known = result.track.between(None, result.run.start_ms)
matrix = correlation_matrix(known)
px.imshow(matrix.drop("instance").to_numpy(), zmin=-1, zmax=1, color_continuous_scale="RdBu_r")

# %%
helps = add_what_helps(known, steps=6)
helps.filter("chosen")

# %% [markdown]
# ## Keep it
#
# The run folder has every table, `results.json` and one report that opens offline.

# %%
folder = result.save()
sorted(file.name for file in folder.iterdir())
