"""`toolkit portfolio`: many strategies on one account."""

import typer

from toolkit.cli import portfolio_backtest, portfolio_select, portfolio_weights

app = typer.Typer(
    name="portfolio", help="Many strategies on one account: weights, selection, backtest.", no_args_is_help=True
)
app.command("backtest")(portfolio_backtest.backtest)
app.command("weights")(portfolio_weights.weights)
app.command("correlations")(portfolio_weights.correlations)
app.command("select")(portfolio_select.select)
app.command("rebalance")(portfolio_select.rebalance)
