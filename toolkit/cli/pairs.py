"""Repeated `--option NAME=VALUE`, read alike by every command."""

from collections.abc import Sequence
from typing import Any


def pairs(option: str, texts: Sequence[str]) -> dict[str, Any]:
    """Values by name: numbers, true and false as themselves, everything else as text."""
    from toolkit.sweep.flags import pairs_of, value_of

    return {name: value_of(text) for name, text in pairs_of(option, texts).items()}
