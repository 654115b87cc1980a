"""Steering a running daemon: each command is a row that it applies before its next event."""

import getpass
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolkit.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from executor.ledger import Ledger

LedgerPath = Annotated[Path | None, typer.Option("--ledger", help="Default: executor.sqlite in the data folder.")]
Wait = Annotated[bool, typer.Option("--wait", help="Until the daemon has applied it; exit code 1 where it did not.")]
Secs = Annotated[float, typer.Option("--timeout", help="Seconds that --wait waits at most.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object.")]
Target = Annotated[str, typer.Argument(help="A strategy, a symbol, an instance, or * for all.")]
Amount = Annotated[float, typer.Argument(help="Money, in the account's currency.")]
Note = Annotated[str, typer.Option("--note", help="What for; kept with the cash flow.")]

_POLL_SECS = 0.2
_TIMEOUT_SECS = 120.0

_INSTANCES = "SELECT id, strategy, symbol FROM instances"
_CLOSABLE = """
    SELECT trade_id, symbol, instance FROM trades WHERE status = 'ACTIVE'
    UNION SELECT trade_id, symbol, instance FROM orders WHERE kind = 'entry' AND status IN ('NEW', 'OPEN')
"""
_EQUITY = "SELECT equity FROM equity WHERE equity IS NOT NULL ORDER BY ts_ms DESC LIMIT 1"
_COMMAND = "SELECT id, verb, target, value, status, answer FROM commands WHERE id = ?"


def enable(
    target: Target, ledger: LedgerPath = None, wait: Wait = False, timeout: Secs = _TIMEOUT_SECS, as_json: Json = False
) -> None:
    """Let what was disabled trade again, from the daemon's next bar on.

    Example: executor enable channel_trend
    """
    _ask(ledger, "enable", _Asked(target, check=_instances), (wait, timeout, as_json))


def disable(
    target: Target, ledger: LedgerPath = None, wait: Wait = False, timeout: Secs = _TIMEOUT_SECS, as_json: Json = False
) -> None:
    """Take no more entries of a strategy, symbol or instance; its open trades go on to their own exits.

    Example: executor disable BTC/USDT --wait
    """
    _ask(ledger, "disable", _Asked(target, check=_instances), (wait, timeout, as_json))


def halt(
    flatten: Annotated[
        bool, typer.Option("--flatten", help="Also close every open trade: live at once, dry at the next bar's open.")
    ] = False,
    ledger: LedgerPath = None,
    wait: Wait = False,
    timeout: Secs = _TIMEOUT_SECS,
    as_json: Json = False,
) -> None:
    """Take no entry at all until `executor resume`; open trades go on, unless all is to be closed.

    Example: executor halt --flatten --wait
    """
    _ask(ledger, "flatten" if flatten else "halt", _Asked(), (wait, timeout, as_json))


def resume(
    symbol: Annotated[
        str, typer.Argument(help="One that reconciliation has halted. Default: end `executor halt`.")
    ] = "",
    ledger: LedgerPath = None,
    wait: Wait = False,
    timeout: Secs = _TIMEOUT_SECS,
    as_json: Json = False,
) -> None:
    """Take entries again after `executor halt`, or on a symbol whose position at the venue has been looked at.

    Halts of the account's limits end by their own rules.

    Example: executor resume BTC/USDT
    """
    _ask(ledger, "resume", _Asked(symbol, check=_symbol_halted if symbol else None), (wait, timeout, as_json))


def close(
    target: Annotated[str, typer.Argument(help="A trade, a symbol, an instance, or * for all.")],
    ledger: LedgerPath = None,
    wait: Wait = False,
    timeout: Secs = _TIMEOUT_SECS,
    as_json: Json = False,
) -> None:
    """Leave open trades at the open after the daemon's next bar, and withdraw entries that wait.

    The strategies may enter again; to keep them out, disable them first.

    Example: executor close BTC/USDT
    """
    _ask(ledger, "close", _Asked(target, check=_open), (wait, timeout, as_json))


def deposit(
    amount: Amount,
    note: Note = "",
    ledger: LedgerPath = None,
    wait: Wait = False,
    timeout: Secs = _TIMEOUT_SECS,
    as_json: Json = False,
) -> None:
    """Say that money was added to the account: it sizes trades from the next bar on, and is no profit.

    Example: executor deposit 5000 --note "second half"
    """
    _ask(ledger, "deposit", _Asked(note, amount), (wait, timeout, as_json))


def withdraw(
    amount: Amount,
    note: Note = "",
    ledger: LedgerPath = None,
    wait: Wait = False,
    timeout: Secs = _TIMEOUT_SECS,
    as_json: Json = False,
) -> None:
    """Say that money was taken out of the account: it no longer sizes trades, and is no loss.

    Example: executor withdraw 1000
    """
    _ask(ledger, "withdraw", _Asked(note, amount, _affordable), (wait, timeout, as_json))


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (enable, disable, halt, resume, close, deposit, withdraw):
        app.command(command.__name__)(command)


class _Asked:
    """A command's target and amount, and what of them the ledger must agree to."""

    def __init__(
        self, target: str = "", value: float | None = None, check: "Callable[[Ledger, _Asked], None] | None" = None
    ) -> None:
        self.target, self.value, self.check = target, value, check


def _ask(ledger: Path | None, verb: str, asked: _Asked, how: tuple[bool, float, bool]) -> None:
    """Write the command; where that is wanted, wait for the daemon's answer. how : wait, timeout, as_json."""
    from executor.ledger import Ledger
    from executor.ledger.lock import holder
    from executor.ledger.names import default_ledger

    wait, timeout, as_json = how
    path = ledger or default_ledger()
    if asked.value is not None and not 0 < asked.value < 1e15:
        raise InputError(f"{verb} needs an amount above 0, was {asked.value:g}")
    with Ledger.open(path, check=False) as book:
        if asked.check is not None:
            asked.check(book, asked)
        number = book.insert("commands", {
            "ts_ms": time.time_ns() // 1_000_000, "verb": verb, "target": asked.target, "value": asked.value,
            "by": f"cli {_user()}".strip(),
        })  # fmt: skip
        if wait:
            until = time.monotonic() + timeout
            while _row(book, number)["status"] == "waiting" and time.monotonic() < until:
                time.sleep(_POLL_SECS)
        row = _row(book, number)
    _say(row, as_json, holder(path) is not None)
    if row["status"] == "refused" or (wait and row["status"] == "waiting"):
        raise typer.Exit(1)


def _say(row: dict[str, Any], as_json: bool, is_running: bool) -> None:
    if as_json:
        typer.echo(json.dumps({**row, "daemon": is_running}))
        return
    if row["status"] != "waiting":
        typer.echo(f"{row['verb']}: {row['status']}, {row['answer']}")
        return
    when = "before the daemon's next bar" if is_running else "when a daemon is started: executor run"
    typer.echo(f"{row['verb']} {row['target']}".strip() + f" is command {row['id']}, applied {when}")


def _row(book: "Ledger", number: int) -> dict[str, Any]:
    return dict(book.rows(_COMMAND, (number,))[0])


def _instances(book: "Ledger", asked: _Asked) -> None:
    known = {name for row in book.rows(_INSTANCES) for name in row} | {"*"}
    if asked.target not in known:
        raise UnknownNameError("strategy, symbol or instance", asked.target, known)


def _open(book: "Ledger", asked: _Asked) -> None:
    known = {name for row in book.rows(_CLOSABLE) for name in row}
    if not known:
        raise InputError(f"{book.path} has no open trade and no entry that waits, so there is nothing to close")
    if asked.target not in known | {"*"}:
        raise UnknownNameError("open trade, or symbol or instance with one", asked.target, known | {"*"})


def _symbol_halted(book: "Ledger", asked: _Asked) -> None:
    known = {row["symbol"] for row in book.rows("SELECT symbol FROM symbol_halts WHERE until_ms IS NULL")}
    if asked.target not in known:
        raise UnknownNameError("halted symbol", asked.target, known, "(executor halt is ended by resume without one)")


def _affordable(book: "Ledger", asked: _Asked) -> None:
    equity = book.value(_EQUITY)
    if equity is not None and asked.value is not None and asked.value > equity:
        raise InputError(f"withdraw takes at most the equity of the account, {equity:,.2f}, was {asked.value:,.2f}")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A service's user may have no name.
        return ""
