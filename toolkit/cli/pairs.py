"""Repeated `--option NAME=VALUE`, read alike by every command."""

from collections.abc import Sequence
from typing import Any

_EXAMPLES = {
    "--rules": "stop=0.02",
    "--cost": "taker_rate=0.0005",
    "--limit": "max_gross=0.8",
    "--instrument": "BTC/USDT,lot_step=0.001",
}


def pairs(option: str, texts: Sequence[str]) -> dict[str, Any]:
    """Values by name, each given once: numbers, true and false as themselves, everything else as text."""
    from toolkit.sweep.flags import pairs_of, value_of

    found = pairs_of(option, texts, example=_EXAMPLES.get(option, "window=96"), twice="give it once")
    return {name: value_of(text) for name, text in found.items()}
