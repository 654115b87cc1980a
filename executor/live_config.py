"""`LiveConfig`: what the table [live] of `executor.toml` says."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from toolkit.errors import InputError, UnknownNameError

MARGIN_MODES = ("isolated", "cross")


@dataclass(frozen=True)
class LiveConfig:
    """How real orders are handled.

    Attributes
    ----------
    gateway : a file with `make_gateway(keys, exchange_options)`, of a venue that ccxt lacks; None = ccxt.
    keys_file : with `key`, `secret` and `password`; None = the environment says them, see `executor.keys`.
    allow_withdraw_keys : also a key that may take money out.
    leverage, margin_mode : of swaps, set and verified at the start.
    protect_within_secs : a trade whose stop is not at the venue for so long, while the venue answers, is closed.
    poll_secs : open orders are asked for that often, whatever is heard meanwhile.
    reconcile_secs : the ledger is compared with the venue that often, at a start and after each reconnect besides.
    balance_tolerance : of the allocated capital; a balance that differs by more is reported.
    max_orders_a_day : orders of a UTC day, exits and stops counted, after which no entry leaves. max_turnover_a_day :
        notional of a day's entries after which none leaves, in multiples of the account's equity.
    """

    gateway: Path | None = None
    keys_file: Path | None = None
    allow_withdraw_keys: bool = False
    leverage: float = 1.0
    margin_mode: str = "isolated"
    protect_within_secs: float = 10.0
    poll_secs: float = 10.0
    reconcile_secs: float = 300.0
    balance_tolerance: float = 0.01
    max_orders_a_day: int = 1000
    max_turnover_a_day: float = 50.0

    def __post_init__(self) -> None:
        if self.margin_mode not in MARGIN_MODES:
            raise UnknownNameError("margin_mode", self.margin_mode, MARGIN_MODES)
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if not value >= least:
                raise InputError(f"`{name}` must be at least {least:g}, was {value:g}")


_LEAST = {
    "leverage": 1, "protect_within_secs": 1, "poll_secs": 1, "reconcile_secs": 10, "balance_tolerance": 0,
    "max_orders_a_day": 0, "max_turnover_a_day": 0,
}  # fmt: skip


def live_from(table: Mapping[str, Any], path: Path) -> LiveConfig:
    """The table of a file; a path in it is meant from the file's folder.

    Raises
    ------
    InputError : a value breaks its rule. UnknownNameError : a key that there is not.
    """
    types = {f.name: f.type for f in fields(LiveConfig)}
    given: dict[str, Any] = {}
    for name, value in table.items():
        if name not in types:
            raise UnknownNameError("key of [live]", name, types, f"(in {path})")
        given[name] = _typed(name, value, types[name], path)
    try:
        return LiveConfig(**given)
    except InputError as error:
        raise InputError(f"{path}: in [live] {error}") from None


def _typed(name: str, value: Any, kind: object, path: Path) -> Any:
    # A bool is an int to Python, and no number to a person.
    if kind is float and type(value) in (int, float) and not math.isnan(value):
        return float(value)
    if kind == Path | None:
        if isinstance(value, str) and value:
            return path.parent / Path(value).expanduser()
    elif kind is not float and type(value) is kind:
        return value
    raise InputError(f"{path}: `{name}` in [live] must be {_SAID.get(kind, 'the path of a file')}, was {value!r}")


_SAID: dict[object, str] = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
