"""Interactive figure (plotly) of a portfolio's result."""

from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

if TYPE_CHECKING:
    from toolkit.portfolio.result import PortfolioResult


def portfolio_figure(result: "PortfolioResult") -> Any:
    """Daily equity of the portfolio and its variants, drawdown, gross and net exposure as shares of equity."""
    figure = make_subplots(
        rows=3, cols=1, shared_xaxes=True, vertical_spacing=0.04, row_heights=[0.6, 0.2, 0.2],
        subplot_titles=("equity", "drawdown", "exposure"),
    )  # fmt: skip
    for name, variant in result.variants.items():
        line = {"width": 2.0 if name == "portfolio" else 1.0}
        daily = variant.equity
        figure.add_trace(go.Scatter(x=daily["ts"], y=daily["equity"], name=name, line=line), row=1, col=1)
    own = result.equity
    fall = go.Scatter(x=own["ts"], y=own["drawdown"], name="drawdown", fill="tozeroy", line={"color": "#b91c1c"})
    figure.add_trace(fall, row=2, col=1)
    for name in ("gross_exposure", "net_exposure"):
        share = own[name] / own["equity"]
        figure.add_trace(go.Scatter(x=own["ts"], y=share, name=name.replace("_", " ")), row=3, col=1)
    for row in (2, 3):
        figure.update_yaxes(tickformat=".0%", row=row, col=1)
    return figure.update_layout(height=720, legend={"orientation": "h"}, hovermode="x")
