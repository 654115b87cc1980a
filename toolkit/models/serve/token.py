"""The secret that opens the server: a file that only its owner may read, made where there is none."""

import contextlib
import os
import secrets
from pathlib import Path

from toolkit.errors import InputError
from toolkit.settings import data_dir

_LEAST = 16
_BYTES = 32


def default_token_file() -> Path:
    """`models.token` under the data folder."""
    return data_dir() / "models.token"


def read_token(path: Path) -> str:
    """The token that a file holds.

    Raises
    ------
    InputError : it cannot be read, others may read it, or it holds no token of at least 16 letters, digits and signs.
    """
    remedy = "delete it, and `toolkit model run` makes a new one"
    try:
        rights = path.stat().st_mode & 0o777
        text = path.read_text(errors="replace").strip()
    except OSError as error:
        raise InputError(
            f"the token's file {path} cannot be read: {error.strerror}; name the one of the server"
        ) from None
    if rights & 0o077:
        raise InputError(f"the token's file {path} may be read by others (mode {rights:o}); {remedy}")
    if len(text) < _LEAST or not text.isascii() or not text.isprintable() or " " in text:
        raise InputError(
            f"the token of {path} must be at least {_LEAST} letters, digits and signs, it has {len(text)}; {remedy}"
        )
    return text


def make_token(path: Path) -> str:
    """The token that a file holds, which is made, for its owner alone, where there is none.

    Raises
    ------
    InputError : it cannot be made, or see `read_token`.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            draft.unlink(missing_ok=True)
            # Its rights are there before its content is; what another process made first stays.
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_urlsafe(_BYTES) + "\n")
            with contextlib.suppress(FileExistsError):
                path.hardlink_to(draft)
            draft.unlink()
    except OSError as error:
        raise InputError(
            f"the token's file {path} cannot be made: {error.strerror}; name another with --token-file"
        ) from None
    return read_token(path)


def may_enter(header: str, token: str) -> bool:
    """Whether an `Authorization` header has the token, found in a time that does not tell how much of it."""
    scheme, _, given = header.partition(" ")
    same = secrets.compare_digest(given.strip().encode(errors="replace"), token.encode())
    return same and scheme.lower() == "bearer"
