"""The page of a portfolio's run, or of trades made elsewhere: one HTML file that needs no network.

`write_portfolio_report` writes the page of a run's folder, `trades_report` that of a trades table.
"""

from toolkit.analysis.portfolio_report.foreign import trades_report
from toolkit.analysis.portfolio_report.page import render_portfolio, write_portfolio_report

__all__ = ["render_portfolio", "trades_report", "write_portfolio_report"]
