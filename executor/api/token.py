"""The secret that opens the API: from the environment, or from a file that only its owner may read."""

import os
import secrets
from pathlib import Path

from toolkit.errors import InputError

VARIABLE = "LOCKSTEP_API_TOKEN"
_LEAST = 16
_BYTES = 32


def token_path(ledger: Path) -> Path:
    """File of a ledger's token, beside it: a canary's token does not open the live daemon."""
    return ledger.with_name(ledger.name + ".token")


def current(ledger: Path) -> str:
    """The token that opens the API now: `LOCKSTEP_API_TOKEN`, else the file's, which is made where there is none.

    Raises
    ------
    InputError : the token is shorter than 16 characters or has others than letters, digits and signs, its file may be
    read by others, or cannot be read or made.
    """
    named = os.environ.get(VARIABLE)
    if named is not None:
        return _checked(named, VARIABLE)
    path = token_path(ledger)
    try:
        if not path.exists():
            _write(path, replace=False)
        rights = path.stat().st_mode & 0o777
        text = path.read_text(errors="replace").strip()
    except OSError as error:
        raise InputError(
            f"the token's file {path} cannot be used: {error.strerror}; check its folder, or set {VARIABLE}"
        ) from error
    if rights & 0o077:
        raise InputError(f"{path} may be read by others (mode {rights:o}); make a new token: {_rotation(ledger)}")
    return _checked(text, str(path), _rotation(ledger))


def rotate(ledger: Path) -> str:
    """Make a new token in the file; a running daemon takes it from its next request on, and the old one no longer.

    Raises
    ------
    InputError : the environment names the token, or the file cannot be written.
    """
    if VARIABLE in os.environ:
        raise InputError(f"the token comes from {VARIABLE}, not from a file; change it there")
    path = token_path(ledger)
    try:
        return _write(path, replace=True)
    except OSError as error:
        raise InputError(f"the token's file {path} cannot be written: {error.strerror}; check its folder") from error


def same(given: str, token: str) -> bool:
    """Whether they are equal, in a time that does not tell how much of it is."""
    return secrets.compare_digest(given.encode(errors="replace"), token.encode())


def _write(path: Path, *, replace: bool) -> str:
    """A new token, on disk whole or not at all; without `replace` one that another process made first stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    token = secrets.token_urlsafe(_BYTES)
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    draft.unlink(missing_ok=True)
    # Its rights are there before its content is.
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(token + "\n")
        file.flush()
        os.fsync(file.fileno())
    if replace:
        draft.replace(path)
        return token
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return token


def _checked(text: str, where: str, remedy: str = "") -> str:
    if len(text) < _LEAST or not text.isascii() or not text.isprintable() or " " in text:
        remedy = remedy or "python -c 'import secrets; print(secrets.token_urlsafe())' makes one"
        raise InputError(
            f"the token of {where} must be at least {_LEAST} letters, digits and signs, it has {len(text)}; {remedy}"
        )
    return text


def _rotation(ledger: Path) -> str:
    return f"executor token --rotate --ledger {ledger}"
