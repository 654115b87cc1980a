"""Reading a TOML file that a user names."""

import tomllib
from pathlib import Path
from typing import Any

from toolkit.errors import InputError


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """The file's tables; a file that cannot be read, or is no TOML, is one sentence that calls it `what`."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{what} {path} cannot be read: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{what} {path} is not valid TOML: {error}") from None
