"""The question that `executor run --live` asks before money is traded."""

import json
import sys

import typer

from executor.config import ExecutorConfig
from toolkit.errors import InputError

_SERIES = """
    SELECT DISTINCT i.exchange, i.symbol, i.strategy FROM instances AS i JOIN deployments AS d ON d.id = i.deployment
    WHERE d.state = 'active'
"""
_DEPLOYMENT = "SELECT id, document FROM deployments WHERE state = 'active'"
_EQUITY = "SELECT equity FROM equity WHERE equity IS NOT NULL ORDER BY ts_ms DESC LIMIT 1"
_FLOWS = "SELECT total(CASE kind WHEN 'withdrawal' THEN -abs(amount) ELSE amount END) FROM cash_flows"


def confirm(config: ExecutorConfig) -> None:
    """Show what is going to be traded with how much, and let a person type the venue's name.

    Raises
    ------
    InputError : another answer, nobody there to ask, or a ledger that cannot be traded live.
    """
    from executor.ledger import Ledger
    from executor.parts import venue_of

    with Ledger.open(config.ledger, readonly=True) as book:
        rows, found = book.rows(_SERIES), book.rows(_DEPLOYMENT)
        if not found:
            raise InputError(f"{config.ledger} has no deployment; load one: executor load DEPLOYMENT --live")
        money, currency = book.value(_EQUITY) or book.value(_FLOWS), book.meta("currency")
    venue = venue_of(config, {row["exchange"] for row in rows})
    limits = {name: value for name, value in json.loads(found[0]["document"])["limits"].items() if value is not None}
    symbols = sorted({config.venue_symbol(row["symbol"]) for row in rows})
    lines = {
        "venue": venue,
        "symbols": ", ".join(symbols),
        "strategies": ", ".join(sorted({row["strategy"] for row in rows})),
        "deployment": found[0]["id"],
        "ledger": config.ledger,
        "money": f"{money:,.2f} {currency}",
        "limits": ", ".join(f"{name} {value}" for name, value in limits.items()),
    }
    if not sys.stdin.isatty():
        raise InputError(
            f"--live would trade {lines['money']} on {venue}, and there is nobody to ask whether that is meant; add "
            f"--confirmed"
        )
    for name, value in lines.items():
        typer.echo(f"{name:<12}{value}", err=True)
    said = typer.prompt(f"Real orders. Type the venue's name ({venue}) to go on", err=True)
    if said.strip() != venue:
        raise InputError(f"the answer was {said.strip()!r}, not {venue!r}: nothing was started")
