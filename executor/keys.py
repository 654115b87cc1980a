"""Keys of a venue's account: where they are read from, and that nothing says them."""

import logging
import os
import stat
from pathlib import Path
from typing import Any

from executor.broker.exchange import Keys
from toolkit.errors import InputError
from toolkit.toml_file import read_toml

VARIABLES = {"key": "LOCKSTEP_KEY", "secret": "LOCKSTEP_SECRET", "password": "LOCKSTEP_PASSWORD"}
_SHORTEST = 6
_HIDDEN = "[hidden]"


def read_keys(file: Path | None) -> Keys:
    """The keys of a file, or of the environment where there is no file; the environment forgets them.

    A file is TOML with `key`, `secret` and, where the venue has one, `password` (KuCoin's passphrase).

    Raises
    ------
    InputError : there are none, or others than its owner may read the file.
    """
    table = dict(_of_environment() if file is None else _of_file(file))
    unknown = sorted(set(table) - set(VARIABLES))
    if unknown:
        raise InputError(f"{file}: `{unknown[0]}` is no part of keys; they are {', '.join(VARIABLES)}")
    for name in VARIABLES:
        value = table.setdefault(name, "")
        if not isinstance(value, str) or (name != "password" and len(value) < _SHORTEST):
            where = VARIABLES[name] if file is None else f"{file}: `{name}`"
            raise InputError(f"{where} must be a text of at least {_SHORTEST} characters")
    keys = Keys(**table)
    hide(keys)
    return keys


def hide(keys: Keys) -> None:
    """From now on no log line of this process says them."""
    _hiding.words = {word for word in (keys.key, keys.secret, keys.password) if len(word) >= _SHORTEST}
    for handler in logging.getLogger().handlers:
        if _hiding not in handler.filters:
            handler.addFilter(_hiding)


class _Hiding(logging.Filter):
    """Takes words out of records before a handler formats them."""

    def __init__(self) -> None:
        super().__init__()
        self.words: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        said = record.getMessage()
        if record.exc_info:
            said += "\n" + logging.Formatter().formatException(record.exc_info)
        if any(word in said for word in self.words):
            record.msg, record.args, record.exc_info = self._without(said), None, None
        for name, value in list(vars(record).items()):
            if isinstance(value, str) and name != "msg":
                setattr(record, name, self._without(value))
        return True

    def _without(self, text: str) -> str:
        for word in self.words:
            text = text.replace(word, _HIDDEN)
        return text


_hiding = _Hiding()


def _of_environment() -> dict[str, Any]:
    found = {name: os.environ.pop(variable, "") for name, variable in VARIABLES.items()}
    if not found["key"]:
        raise InputError(
            f"there are no keys: name `keys_file` in [live] of executor.toml, a file that only its owner may read, or "
            f"set {', '.join(VARIABLES.values())}"
        )
    return found


def _of_file(file: Path) -> dict[str, Any]:
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
    except OSError as error:
        raise InputError(f"the keys {file} cannot be read: {error.strerror}") from None
    if mode & 0o077:
        raise InputError(
            f"others may read the keys in {file} (mode {mode:04o}); it must be 0600: chmod 600 {file}, and have the "
            f"venue replace them if anybody did"
        )
    return read_toml(file, "the keys")
