"""`toolkit data`: bars into the store, and what is in it."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from toolkit.cli.data_pull import pull
from toolkit.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from toolkit.bars.files.importer import FileImport
    from toolkit.bars.files.parse import ParsedFile
    from toolkit.bars.quality import Finding
    from toolkit.bars.store import SeriesInfo, SeriesKey

app = typer.Typer(no_args_is_help=True, help="Bring bars into the store, list, check and export them.")
app.command("pull")(pull)

Db = Annotated[Path | None, typer.Option("--db", help="Bars database; default: bars.duckdb in the data folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Exchange = Annotated[str | None, typer.Option(help="Exchange, such as binance.")]


@app.command("import")
def import_(
    files: Annotated[list[str], typer.Argument(help="Files or quoted glob patterns.")],
    symbol: Annotated[str | None, typer.Option(help="Symbol, where the file name does not say it.")] = None,
    exchange: Exchange = None,
    interval: Annotated[str | None, typer.Option(help="Interval, such as 1m; default: file name or spacing.")] = None,
    map_: Annotated[list[str] | None, typer.Option("--map", help="Columns by field: open=o,ts=time.")] = None,
    stamp: Annotated[str, typer.Option(help="What a bar's time is: its open, or its close.")] = "open",
    replace: Annotated[bool, typer.Option("--replace", help="Let bars that disagree replace stored ones.")] = False,
    db: Db = None,
    json_: Json = False,
) -> None:
    """Import bars from Parquet, Binance CSV or zip, freqtrade feather or JSON, or any CSV with a header.

    All files are checked first; if one is bad, or disagrees with the store, none is imported.

    Example: toolkit data import "downloads/BTCUSDT-1m-*.zip"
    """
    from toolkit.bars.files.importer import expand, import_files
    from toolkit.bars.files.mapping import parse_map
    from toolkit.bars.files.parse import FileOptions
    from toolkit.bars.store import Store

    options = FileOptions(exchange, symbol, interval, _stamp(stamp), parse_map(map_ or []))
    paths = expand(files)

    def on_checked(parsed: "ParsedFile", done: int) -> None:
        if any(field != column for field, column in parsed.chosen.items()) or "volume" not in parsed.chosen:
            columns = " ".join(f"{field}={column}" for field, column in parsed.chosen.items())
            unknown = "" if "volume" in parsed.chosen else " (no volume column: volume is unknown)"
            _note(f"{parsed.path.name}: {parsed.symbol} {parsed.interval}, columns {columns}{unknown}")
        if parsed.newest_first:
            _note(f"{parsed.path.name}: its rows are newest first, and were read the other way round")
        if len(paths) > 1 and (done % 25 == 0 or done == len(paths)):
            _note(f"checked {done} of {len(paths)} files")

    done = import_files(paths, Store(db), options, replace=replace, on_checked=on_checked)
    if json_:
        print(json.dumps([_import_row(one) for one in done], indent=2))
        return
    header = ("file", "series", "bars", "first", "last", "new", "same", "replaced")
    _print_table(header, [tuple(_import_row(one).values()) for one in done])
    if not any(one.result.changed for one in done):
        print("nothing changed: all of these bars were stored already")


@app.command("ls")
def ls(db: Db = None, json_: Json = False) -> None:
    """List the stored series, their ranges, and how many bars are missing inside them.

    Example: toolkit data ls
    """
    from toolkit.bars.store import Store

    store = Store(db)
    series = store.series()
    if json_:
        print(json.dumps([_series_row(info) for info in series], indent=2))
        return
    if not series:
        print(f"no bars are stored in {store.path}; bring some in with `toolkit data import` or `toolkit data pull`")
        return
    rows = [tuple(_series_row(info).values()) for info in series]
    _print_table(("exchange", "symbol", "interval", "origin", "bars", "first", "last", "missing", "imports"), rows)


@app.command("check")
def check(
    symbols: Annotated[list[str] | None, typer.Argument(help="Symbols; default: all.")] = None,
    exchange: Exchange = None,
    interval: Annotated[str | None, typer.Option(help="Only series stored at this interval.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Findings printed a series and kind; --json prints all.")] = 10,
    db: Db = None,
    json_: Json = False,
) -> None:
    """Look for gaps, halts, duplicates, broken, frozen or partial bars, outliers and flat stretches.

    Nothing is mended. Exit code 1 where something was found, 0 where not.

    Example: toolkit data check BTC/USDT
    """
    from toolkit.bars.quality import check_stored
    from toolkit.bars.store import Store

    with Store(db).reader() as reader:
        keys = _chosen(reader.series_keys(), symbols or [], exchange, interval)
        found = {}
        for number, key in enumerate(keys, 1):
            if len(keys) > 1:
                _note(f"checking {number} of {len(keys)}: {key}")
            found[key] = check_stored(reader, key)
    if json_:
        print(json.dumps([_check_row(key, findings) for key, findings in found.items()], indent=2))
    else:
        for key, findings in found.items():
            _print_findings(str(key), findings, limit)
    if any(found.values()):
        raise typer.Exit(1)


@app.command("export")
def export(
    symbol: Annotated[str, typer.Argument(help="Symbol, such as BTC/USDT.")],
    interval: Annotated[str, typer.Option(help="Interval; resampled from the finest stored series.")] = "1m",
    start: Annotated[str | None, typer.Option(help="First moment, ISO, UTC.")] = None,
    end: Annotated[str | None, typer.Option(help="First moment that is left out, ISO, UTC.")] = None,
    exchange: Exchange = None,
    base: Annotated[str | None, typer.Option(help="Stored interval to resample from.")] = None,
    format_: Annotated[str, typer.Option("--format", help="parquet or csv.")] = "parquet",
    out: Annotated[Path | None, typer.Option(help="File; default: exchange_SYMBOL_interval here.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Write over a file that exists.")] = False,
    db: Db = None,
    json_: Json = False,
) -> None:
    """Write bars to Parquet or CSV; missing bars stay missing, so importing the file gives the same bars.

    Example: toolkit data export BTC/USDT --interval 1h --start 2022-01-01 --format csv --out btc.csv
    """
    from toolkit.bars.export import default_name, export_bars
    from toolkit.bars.load import load_bars

    kind: Literal["parquet", "csv"] = "csv" if format_ == "csv" else "parquet"
    if format_ != kind:
        raise InputError(f"--format must be parquet or csv, was {format_!r}")
    bars = load_bars(symbol, interval, start, end, exchange=exchange, base=base, db=db)
    path = out or Path(default_name(bars, kind))
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists; name another file with --out, or add --overwrite")
    rows = export_bars(bars, path, kind)
    if json_:
        print(json.dumps({"file": str(path), "bars": rows}, indent=2))
    else:
        print(f"{path}: {rows} bars")


def _stamp(text: str) -> Literal["open", "close"]:
    if text == "open":
        return "open"
    if text == "close":
        return "close"
    raise InputError(f"--stamp must be open or close, was {text!r}")


def _chosen(
    keys: list["SeriesKey"], symbols: Sequence[str], exchange: str | None, interval: str | None
) -> list["SeriesKey"]:
    from toolkit.bars.symbols import canonical_symbol

    wanted = [canonical_symbol(symbol) for symbol in symbols]
    for symbol in wanted:
        if symbol not in {key.symbol for key in keys}:
            raise UnknownNameError("symbol", symbol, {key.symbol for key in keys}, "(see `toolkit data ls`)")
    if exchange is not None and exchange.lower() not in {key.exchange for key in keys}:
        raise UnknownNameError("exchange", exchange.lower(), {key.exchange for key in keys}, "(see `toolkit data ls`)")
    if interval is not None and interval not in {key.interval for key in keys}:
        raise UnknownNameError("stored interval", interval, {key.interval for key in keys}, "(see `toolkit data ls`)")
    chosen = [
        key
        for key in keys
        if (not wanted or key.symbol in wanted)
        and (exchange is None or key.exchange == exchange.lower())
        and (interval is None or key.interval == interval)
    ]
    if not chosen:
        raise InputError("no series is stored that could be checked; see `toolkit data ls`")
    return chosen


def _import_row(one: "FileImport") -> dict[str, Any]:
    from toolkit.bars.series import utc

    result = one.result
    return {
        "file": one.path.name,
        "series": str(one.key),
        "bars": one.rows,
        "first": utc(one.first_ts),
        "last": utc(one.last_ts),
        "new": result.rows_new,
        "same": result.rows_same,
        "replaced": result.rows_replaced,
    }


def _series_row(info: "SeriesInfo") -> dict[str, Any]:
    from toolkit.bars.series import utc

    key = info.key
    return {
        "exchange": key.exchange,
        "symbol": key.symbol,
        "interval": key.interval,
        "origin": key.origin,
        "bars": info.rows,
        "first": utc(info.first_ts),
        "last": utc(info.last_ts),
        "missing": info.missing,
        "imports": info.imports,
    }


def _check_row(key: "SeriesKey", findings: list["Finding"]) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "exchange": key.exchange,
        "symbol": key.symbol,
        "interval": key.interval,
        "origin": key.origin,
        "findings": [asdict(finding) for finding in findings],
    }


def _print_findings(series: str, findings: list["Finding"], limit: int) -> None:
    from toolkit.bars.quality import MEANING
    from toolkit.bars.series import utc

    print(f"{series}: {len(findings) or 'no'} finding{'' if len(findings) == 1 else 's'}")
    for kind, meaning in MEANING.items():
        of_kind = [f for f in findings if f.kind == kind]
        if not of_kind:
            continue
        print(f"  {kind}: {len(of_kind)} ({meaning})")
        for finding in of_kind[:limit]:
            print(f"    {utc(finding.first_ts)} .. {utc(finding.last_ts)}  {finding.detail}")
        if len(of_kind) > limit:
            print(f"    ... and {len(of_kind) - limit} more (--limit)")


def _print_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    cells = [list(header), *([str(value) for value in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    numeric = [all(isinstance(row[i], int) for row in rows) for i in range(len(header))]
    for row in cells:
        line = (t.rjust(w) if right else t.ljust(w) for t, w, right in zip(row, widths, numeric, strict=True))
        print("  ".join(line).rstrip())


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
