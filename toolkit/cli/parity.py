"""`toolkit parity`: two runs held against each other, bit for bit."""

from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli.machine import print_json

_RUN = "A portfolio's backtest or a session: run id, folder, latest, or a ledger (*.sqlite)."


def parity(
    a: Annotated[str, typer.Argument(metavar="RUN_A", help=_RUN)],
    b: Annotated[
        str | None,
        typer.Argument(metavar="RUN_B", help="The other one; default: the backtest of a ledger's own records."),
    ] = None,
    root: Annotated[Path | None, typer.Option(help="Folder of the runs; default: in the data folder.")] = None,
    db: Annotated[Path | None, typer.Option(help="Bars database of a backtest; default: in the data folder.")] = None,
    strict_counts: Annotated[
        bool, typer.Option(help="No certificate where no signals, orders, trades, audit rows or equity were compared.")
    ] = True,
    csv: Annotated[Path | None, typer.Option(help="Write every cell that differs, with its first cause.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Hold a backtest against a session of the executor, or two of a kind: certified where all is equal bit for bit.

    Compared are signals, decisions, orders, trades, audit rows, equity and bars over the period that both cover. What
    differs is attributed to its first causes: a bar, a signal, a timeout, a veto, a size, a fill's price, a fee, an act
    by hand. Exit code 1: something differs, or there was nothing to compare.

    A live session's ledger is held against the backtest of its own records: slippage, fees, quantities, latency,
    refusals and what follows from them, in money; what was assumed and what came, by strategy and deployed version.
    Exit code 1: a difference has no cause.

    Example: toolkit parity BACKTEST_RUN data/executor.sqlite

    Example: toolkit parity data/executor.sqlite
    """
    from toolkit.verify.parity import parity as held

    report = held(a, b, root=root, db=db)
    if csv is not None:
        from toolkit.analysis.runs import write_csv

        write_csv(csv, report.frame())
    if json_:
        print_json(report.to_dict())
    else:
        typer.echo(str(report))
    raise typer.Exit(0 if report.ok or (report.equal and not strict_counts) else 1)
