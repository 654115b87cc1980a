"""Files into the store: every file is checked before the first is written, and all are kept or none."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from toolkit.bars.files.parse import FileOptions, ParsedFile, parse_file
from toolkit.bars.store import ImportResult, SeriesKey, Source, Store, series_key
from toolkit.errors import InputError, LockstepError

# Bars kept in memory between the check and the write (about 500 MB); files beyond them are read a second time.
KEPT_ROWS = 10_000_000


@dataclass(frozen=True)
class FileImport:
    """What became of one file."""

    path: Path
    key: SeriesKey
    rows: int
    first_ts: int
    last_ts: int
    result: ImportResult


def expand(patterns: Sequence[str]) -> list[Path]:
    """Files of the paths and glob patterns, each once, in order; `InputError` for a pattern without a file."""
    found: dict[Path, None] = {}
    for pattern in patterns:
        matches = [Path(pattern)] if Path(pattern).exists() else sorted(_glob(pattern))
        if not matches:
            raise InputError(f"no file matches {pattern!r}; check the path, or quote the pattern")
        found.update(dict.fromkeys(matches))
    return list(found)


def _glob(pattern: str) -> Iterator[Path]:
    path = Path(pattern)
    return Path(path.anchor).glob(str(path.relative_to(path.anchor)))


def import_files(
    files: Sequence[Path],
    store: Store,
    options: FileOptions | None = None,
    *,
    replace: bool = False,
    on_checked: Callable[[ParsedFile, int], None] | None = None,
) -> list[FileImport]:
    """Check all files, then store them in one transaction; a bad file, or one that disagrees, stores none of them.

    Parameters
    ----------
    on_checked : called with each file once it is checked, and how many are done, for progress.

    Raises
    ------
    InputError : names every file that cannot be imported, with its reason. StoreError : as for `Store.write`.
    """
    kept: dict[Path, ParsedFile] = {}
    bad: list[str] = []
    room = KEPT_ROWS
    for done, path in enumerate(files, 1):
        try:
            parsed = parse_file(path, options)
        except LockstepError as error:
            bad.append(str(error))
            continue
        if len(parsed.columns["ts"]) <= room:
            kept[path] = parsed
            room -= len(parsed.columns["ts"])
        if on_checked is not None:
            on_checked(parsed, done)
    if bad:
        count = f" ({len(bad)} of {len(files)} files are bad and none was imported)" if len(files) > 1 else ""
        raise InputError("; ".join(bad) + count)
    out = []
    with store.batch() as batch:
        for path in files:
            parsed = kept.pop(path) if path in kept else parse_file(path, options)
            key = series_key(parsed.exchange, parsed.symbol, parsed.interval)
            ts = parsed.columns["ts"]
            source = Source("file", path.name, parsed.sha256)
            result = batch.write(key, parsed.columns, source, replace=replace)
            out.append(FileImport(path, key, len(ts), int(ts[0]), int(ts[-1]), result))
    return out
