"""The `toolkit` command: one module a command group; here only the root, and errors turned into one sentence.

Modules of this package import typer, the standard library and `toolkit.errors` at the top, and everything else inside
the command that needs it, so that `toolkit --help` answers at once.
"""

import gc
import sys

import typer

from toolkit.cli import (
    backtest,
    data,
    demo,
    deploy,
    factors,
    model,
    parity,
    portfolio,
    report,
    strategies,
    sweep,
    verify,
)
from toolkit.errors import LockstepError

app = typer.Typer(
    name="toolkit",
    help="Backtest, sweep and verify systematic crypto strategies. Start with: toolkit demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)
app.add_typer(data.app, name="data")
app.add_typer(factors.app, name="factors")
app.add_typer(model.app, name="model")
app.add_typer(portfolio.app, name="portfolio")
app.add_typer(strategies.app, name="strategies")
app.add_typer(verify.app, name="verify")
app.command("demo")(demo.demo)
app.command("backtest")(backtest.backtest)
app.command("sweep")(sweep.sweep)
app.command("report")(report.report)
app.command("parity")(parity.parity)
app.command("deploy")(deploy.deploy)

RESEARCH_PACKAGES = ("ccxt", "duckdb", "plotly", "polars", "pyarrow", "scipy", "skfolio", "vectorbt")
MODEL_PACKAGES = ("fastapi", "joblib", "lightgbm", "river", "sklearn", "uvicorn")


def main() -> None:
    """Entry point: a `LockstepError` is one sentence on stderr and exit code 2, without a traceback."""
    # Imports make some hundred thousand objects that live to the end; looking through them for garbage after every 700
    # new ones is a tenth of a short command's time.
    gc.set_threshold(100_000, 20, 20)
    try:
        app()
    except LockstepError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except ModuleNotFoundError as error:
        # The executor's install leaves the research packages out, and may leave those of models out.
        package = (error.name or "").partition(".")[0]
        if package not in (*RESEARCH_PACKAGES, *MODEL_PACKAGES):
            raise
        extra = "live" if package == "ccxt" else "models" if package in MODEL_PACKAGES else "research"
        print(f"error: this command needs {error.name}; install the extra lockstep[{extra}]", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted: what was finished is kept", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(0)
