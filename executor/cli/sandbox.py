"""`executor sandbox`: a local exchange to try the executor on."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolkit.errors import InputError

if TYPE_CHECKING:
    from executor.sandbox.running import Local
    from executor.sandbox.street import Street

_SEED = 7


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("sandbox")(sandbox)


def sandbox(
    exchange: Annotated[str, typer.Argument(help="gate or kucoin.")] = "gate",
    market: Annotated[str, typer.Option("--market", help="spot or swap.")] = "spot",
    symbols: Annotated[str, typer.Option("--symbols", help="Of synthetic bars, comma between.")] = "BTC/USDT,ETH/USDT",
    bars: Annotated[
        list[str] | None,
        typer.Option("--bars", help="Prices of a file of bars, FILE or SYMBOL=FILE; the first half is the past."),
    ] = None,
    synthetic: Annotated[
        int | None, typer.Option("--synthetic", help=f"Seed of made-up bars. Default: {_SEED}.")
    ] = None,
    balance: Annotated[float, typer.Option("--balance", help="USDT of the account.")] = 10_000.0,
    speed: Annotated[
        float, typer.Option("--speed", help="Of the market's clock. An executor's is the machine's: leave it at 1.")
    ] = 1.0,
    port: Annotated[int, typer.Option("--port", help="0 for a free one.")] = 0,
    keys_file: Annotated[
        Path | None, typer.Option("--keys-file", help="Leave the account's keys there, readable by the owner alone.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object in place of the executor.toml.")] = False,
) -> None:
    """Run an exchange on this machine that speaks Gate's or KuCoin's protocol, until SIGINT or SIGTERM.

    Nothing on it is money. What an executor.toml must say to trade there goes to stdout, the rest to stderr.

    Example: executor sandbox gate --market swap --port 8777 --keys-file keys.toml > executor.toml

    What goes wrong is asked for over HTTP, as JSON to POST /control:

    {"fault": {"kind": "lost_response", "match": "POST", "first": 0, "times": 1}}: of the requests whose "METHOD /path"
    has `match` in it, after the `first`, so many befall it. Kinds: lost_request, lost_response, reset, bad_gateway,
    rate_limit (with "secs" to wait), slow ("secs"), cut_body, cut_json.

    {"fault": {"kind": "down", "secs": 600}}: while it lasts ("secs" 0: until cleared). Kinds: down, skew ("ms"),
    socket_mute, socket_freeze, duplicate_events, late_events (as late as it lasts). At once: socket_drop,
    expired_token.

    {"fault": {"kind": "trigger_fails", "match": "BTC/USDT", "times": 1}}: a trigger that fires fails.

    {"clear": true} or {"clear": "down"}; {"price": ["BTC/USDT", 50000.0]}: the market trades there once;
    {"advance_ms": 60000}: the market's clock goes on. GET /control/log is what was asked of the exchange.
    """
    import asyncio

    from executor.sandbox.running import keep_going, open_local, write_keys

    streets = _streets(bars or [], synthetic, symbols)
    local = open_local(exchange, market, streets, balance=balance, speed=speed, port=port)
    if keys_file is not None:
        write_keys(keys_file, local.keys())
    asyncio.run(keep_going(local, lambda: _tell(local, streets, keys_file, as_json=as_json)))


def _streets(bars: list[str], seed: int | None, symbols: str) -> "list[Street]":
    from executor.sandbox import street

    if bars and seed is not None:
        raise InputError("prices are of --bars or of --synthetic; leave one of them out")
    if bars:
        return [street.from_file(text) for text in bars]
    names = [name for name in (one.strip() for one in symbols.split(",")) if name]
    return street.synthetic(names, _SEED if seed is None else seed)


def _tell(local: "Local", streets: "list[Street]", keys_file: Path | None, *, as_json: bool) -> None:
    from toolkit.bars.series import utc

    if as_json:
        found: dict[str, Any] = {
            "venue": local.exchange,
            "market": local.market,
            "symbols": list(local.ends_ms),
            "url": f"http://{local.front.host}",
            **local.keys(),
            "exchange_options": local.exchange_options(),
            "sources": [one.source for one in streets],
        }
        print(json.dumps(found), flush=True)
    else:
        print(local.executor_toml(keys_file), end="", flush=True)
    for one, (name, ends_ms) in zip(streets, local.ends_ms.items(), strict=True):
        print(f"{name}: {one.source}; it stands still after {utc(ends_ms)}", file=sys.stderr)
    print(f"the local {local.exchange} answers on http://{local.front.host}; its keys:", file=sys.stderr)
    for name, value in local.keys().items():
        print(f"  {name} = {value}    (LOCKSTEP_{name.upper()})", file=sys.stderr)
