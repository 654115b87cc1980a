"""`executor venues`: what each venue can do, and what it allows now."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolkit.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from executor.broker.exchange.quirks import Quirks
    from executor.broker.venue import Capabilities, Rules


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("venues")(venues)


def venues(
    venue: Annotated[str | None, typer.Argument(help="Of this one alone, with its ways. Default: all.")] = None,
    symbols: Annotated[
        str | None, typer.Option("--symbols", help="Ask the venue for its rules of these, comma between them.")
    ] = None,
    market: Annotated[str | None, typer.Option("--market", help="spot or swap; a bare BTC/USDT is of it.")] = None,
    hedge: Annotated[bool, typer.Option("--hedge", help="With --toml: both sides of a swap may be open.")] = False,
    config: Annotated[
        Path | None, typer.Option("--config", help="For `exchange_options`. Default: executor.toml of the project.")
    ] = None,
    as_toml: Annotated[bool, typer.Option("--toml", help="[instruments] to freeze in a deployment.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Say where stops and targets work on each venue and market, and in what it differs.

    With --symbols the venue is asked, without a key, for its tick, lot, minimums and fees as they are now.

    Example: executor venues gate --symbols BTC/USDT,ETH/USDT --market swap --toml
    """
    if market not in (None, "spot", "swap"):
        raise UnknownNameError("market", market, ("spot", "swap"))
    if symbols is None:
        if as_toml:
            raise InputError("--toml writes the rules of symbols; name them, such as --symbols BTC/USDT")
        rows = _table(venue, market)
        typer.echo(json.dumps([_as_json(one) for one in rows]) if as_json else "\n".join(_lines(rows, venue)))
        return
    if venue is None:
        raise InputError("--symbols asks a venue; name it, such as: executor venues gate --symbols BTC/USDT")
    found = _ask(venue, symbols, market, config)
    if as_json:
        typer.echo(json.dumps({name: rules._asdict() for name, rules in found.items()}))
    elif as_toml:
        typer.echo("\n".join(_toml(found, market, hedge)))
    else:
        typer.echo("\n".join(_rules_lines(found)))


def _table(venue: str | None, market: str | None) -> list["Quirks"]:
    from executor.broker.exchange.known import TABLE

    if venue is not None and venue not in {name for name, _ in TABLE}:
        raise UnknownNameError("venue for live trading", venue, {name for name, _ in TABLE})
    return [one for (name, kind), one in TABLE.items() if venue in (None, name) and market in (None, kind)]


def _ask(venue: str, symbols: str, market: str | None, config: Path | None) -> dict[str, "Rules"]:
    """Rules by the name that was asked for."""
    import asyncio

    from executor.broker.exchange.asking import ask_rules
    from executor.config import load_config

    names = {}
    for name in filter(None, (one.strip() for one in symbols.split(","))):
        if "/" not in name:
            raise InputError(f"a symbol is BASE/QUOTE, such as BTC/USDT, was {name!r}")
        names[name] = f"{name}:{name.partition('/')[2]}" if market == "swap" and ":" not in name else name
    if not names:
        raise InputError("--symbols names none; such as --symbols BTC/USDT,ETH/USDT")
    options = load_config(config).exchange_options
    found = asyncio.run(ask_rules(venue, list(names.values()), options))
    return {name: found[theirs] for name, theirs in names.items()}


def _as_json(one: "Quirks") -> dict[str, Any]:
    life = one.capabilities.trigger_life_secs
    return {
        "venue": one.venue,
        "market": one.market,
        "stop": one.capabilities.stop.value,
        "target": one.capabilities.target.value,
        "stop_is_limit": one.capabilities.stop_is_limit,
        "triggers_lock": one.capabilities.triggers_lock,
        "trigger_life_secs": None if life == float("inf") else life,
        "ways": dict(one.texts),
        "sources": list(one.sources),
    }


def _lines(rows: list["Quirks"], venue: str | None) -> Iterator[str]:
    yield f"{'venue':12} {'market':6} {'stop':28} {'target':8} {'balance of triggers':20} triggers live"
    for one in rows:
        can = one.capabilities
        bound = "bound" if can.triggers_lock else "free"
        yield f"{one.venue:12} {one.market:6} {_stop(can):28} {can.target.value:8} {bound:20} {_life(can)}"
    if venue is None:
        yield ""
        yield "venue: the order waits there; daemon: the bot watches the price. In detail: executor venues VENUE"
        return
    for one in rows:
        yield ""
        yield f"{one.venue} {one.market}:"
        for what, text in one.texts.items():
            yield f"  {what}: {text}"
        for source in one.sources:
            yield f"  see {source}"


def _stop(can: "Capabilities") -> str:
    return f"{can.stop.value}, {'limit that is supervised' if can.stop_is_limit else 'market'}"


def _life(can: "Capabilities") -> str:
    if can.trigger_life_secs == float("inf"):
        return "until cancelled"
    return f"{can.trigger_life_secs / 3_600:g} h, renewed"


def _rules_lines(found: Mapping[str, "Rules"]) -> Iterator[str]:
    yield f"{'symbol':16} {'tick':>10} {'lot':>10} {'min qty':>10} {'min money':>10} {'maker':>9} {'taker':>9}"
    for name, rules in found.items():
        halted = "" if rules.is_trading else "  not traded now"
        yield (
            f"{name:16} {rules.tick:>10g} {rules.lot_step:>10g} {rules.min_qty:>10g} {rules.min_notional:>10g} "
            f"{rules.maker:>9g} {rules.taker:>9g}{halted}"
        )


def _toml(found: Mapping[str, "Rules"], market: str | None, hedge: bool) -> Iterator[str]:
    for name, rules in found.items():
        kind = market or ("swap" if ":" in name else "spot")
        yield f"[instruments.{json.dumps(name)}]"
        for key in ("lot_step", "min_qty", "min_notional", "tick"):
            yield f"{key} = {getattr(rules, key):.12f}".rstrip("0").rstrip(".")
        yield f'market = "{kind}"'
        yield f"hedge_mode = {'true' if hedge and kind == 'swap' else 'false'}"
        yield ""
