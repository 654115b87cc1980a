"""Files as tables: Parquet, feather, freqtrade JSON, CSV, and CSV in a zip."""

import csv
import gzip
import io
import json
import zipfile
from pathlib import Path

import polars as pl

from toolkit.bars.columns import COLUMNS
from toolkit.errors import BarsError

# Binance's kline columns, which its older files leave unnamed.
KLINE = (
    "open_time", "open", "high", "low", "close", "volume", "close_time", "quote_volume", "count",
    "taker_buy_volume", "taker_buy_quote_volume", "ignore",
)  # fmt: skip

SUFFIXES = (".parquet", ".pq", ".feather", ".ipc", ".arrow", ".json", ".csv", ".txt", ".zip", ".gz")


def read_table(path: Path) -> pl.DataFrame:
    """The file's table, by the ending of its name; not yet told which column is which.

    Raises
    ------
    BarsError : the file is missing, or is not what its name says. Damage raises what the format's reader raises.
    """
    what, suffix = path.name, path.suffix.lower()
    if not path.is_file():
        raise BarsError(f"{path} must be a file, {'is a folder' if path.is_dir() else 'does not exist'}")
    if suffix not in SUFFIXES:
        raise BarsError(f"{what} must end in one of {' '.join(SUFFIXES)}, ends in {suffix!r}")
    if suffix in (".parquet", ".pq"):
        return pl.read_parquet(path)
    if suffix in (".feather", ".ipc", ".arrow"):
        return pl.read_ipc(path)
    if suffix == ".json":
        return _freqtrade_json(path.read_bytes(), what)
    if suffix == ".zip":
        return _zipped_csv(path, what)
    return _csv(path.read_bytes(), what)


def _freqtrade_json(data: bytes, what: str) -> pl.DataFrame:
    rows = json.loads(data)
    if not (isinstance(rows, list) and all(isinstance(r, list) and len(r) == 6 for r in rows)):
        raise BarsError(f"{what} must be freqtrade's JSON, a list of [time, open, high, low, close, volume]")
    return pl.DataFrame([pl.Series(name, [row[i] for row in rows]) for i, name in enumerate(COLUMNS)])


def _zipped_csv(path: Path, what: str) -> pl.DataFrame:
    with zipfile.ZipFile(path) as archive:
        names = [n for n in archive.namelist() if n.lower().endswith((".csv", ".txt")) and not n.startswith("__MACOSX")]
        if len(names) != 1:
            raise BarsError(f"{what} must hold one CSV file, holds {len(names)}; unpack it and import the files")
        return _csv(archive.read(names[0]), what)


def _csv(data: bytes, what: str) -> pl.DataFrame:
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    if b"\n" not in data:
        data = data.replace(b"\r", b"\n")
    first, _, rest = data.partition(b"\n")
    header = first.decode("utf-8-sig", errors="replace").strip()
    separator = max(",;\t|", key=header.count)
    # Some sites put a line with their address above the header.
    if separator not in header and rest:
        data, header = rest, rest.partition(b"\n")[0].decode(errors="replace").strip()
        separator = max(",;\t|", key=header.count)
    fields = next(csv.reader([header], delimiter=separator), [])
    headed = not all(_is_number(f) for f in fields)
    if not fields or separator not in header:
        raise BarsError(f"{what} must be a CSV file with a header line, begins with {header[:60]!r}")
    if not headed and len(fields) != len(KLINE):
        raise BarsError(
            f"{what} has no header and {len(fields)} columns; only Binance's {len(KLINE)} are known without one: "
            f"add a header line such as {','.join(COLUMNS)}"
        )
    # Text, because a type guessed from the first rows refuses a later one that is honest.
    table = pl.read_csv(io.BytesIO(data), has_header=headed, separator=separator, infer_schema=False)
    if not headed:
        table.columns = list(KLINE)
    return table.rename({name: name.strip() for name in table.columns})


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
