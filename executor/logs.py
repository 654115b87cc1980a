"""The structured log: one JSON object a line, in files that rotate; the same in words on stderr."""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

from toolkit.errors import InputError

_MB = 1_000_000
# Libraries that say every request.
_TALKERS = ("asyncio", "aiohttp", "apprise", "urllib3", "numba", "ccxt")
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """A record as one JSON object: `ts`, `level`, `logger`, `message`, what was given as `extra`, and `error`."""

    def format(self, record: logging.LogRecord) -> str:
        fact: dict[str, object] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        fact |= {name: value for name, value in vars(record).items() if name not in _OWN}
        if record.exc_info:
            fact["error"] = self.formatException(record.exc_info)
        return json.dumps(fact, default=str, ensure_ascii=False)


@contextmanager
def logging_to(folder: Path, name: str, *, size_mb: int, count: int) -> Iterator[Path]:
    """Log to `NAME.log` in the folder, and in words to stderr, until the block ends.

    Parameters
    ----------
    size_mb : where a file ends and the next begins. count : how many full ones are kept.

    Raises
    ------
    InputError : the folder cannot be written.
    """
    path = folder / f"{name}.log"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = RotatingFileHandler(path, maxBytes=size_mb * _MB, backupCount=count, encoding="utf-8")
    except OSError as error:
        raise InputError(f"the log {path} cannot be written: {error.strerror}; set another `log_folder`") from error
    file.setFormatter(JsonLines())
    words = logging.StreamHandler(sys.stderr)
    words.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.INFO)
    for talker in _TALKERS:
        logging.getLogger(talker).setLevel(logging.WARNING)
    for handler in (file, words):
        root.addHandler(handler)
    try:
        yield path
    finally:
        root.setLevel(before)
        for handler in (file, words):
            root.removeHandler(handler)
        file.close()
