"""Plain tables as TOML text."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from toolkit.errors import InputError

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def toml_text(table: Mapping[str, Any]) -> str:
    """TOML that `tomllib` reads back as the same table; keys whose value is None are left out, tuples become lists.

    Raises
    ------
    InputError : a value that TOML cannot hold.
    """
    return "\n".join(_lines(table, ())).strip() + "\n"


def _lines(table: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    plain, nested = [], []
    for name, value in table.items():
        if isinstance(value, Mapping):
            nested.append((name, [value], f"[{_path((*path, name))}]"))
        elif isinstance(value, list | tuple) and value and all(isinstance(one, Mapping) for one in value):
            nested.append((name, list(value), f"[[{_path((*path, name))}]]"))
        elif value is not None:
            plain.append(f"{_key(name)} = {_value(value, (*path, name))}")
    for name, tables, head in nested:
        for one in tables:
            plain += ["", head, *_lines(one, (*path, name))]
    return plain


def _path(names: Sequence[str]) -> str:
    return ".".join(_key(name) for name in names)


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _text(name)


def _value(value: Any, path: Sequence[str]) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        inner = (f"{_key(k)} = {_value(v, (*path, k))}" for k, v in value.items() if v is not None)
        return "{" + ", ".join(inner) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(one, path) for one in value) + "]"
    raise InputError(f"`{'.'.join(path)}` cannot be written as TOML: it is a {type(value).__name__}")


def _text(text: str) -> str:
    # TOML's basic strings are JSON's, but for the delete character.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
