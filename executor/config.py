"""`ExecutorConfig`: what `executor.toml` and the flags of `executor run` say."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from executor.live_config import LiveConfig, live_from
from toolkit import settings
from toolkit.errors import InputError, UnknownNameError
from toolkit.toml_file import read_toml

FILE = "executor.toml"
MODES = ("dry", "live")
MARKETS = ("", "spot", "swap")
FEEDS = ("stream", "poll")


def _default_ledger() -> Path:
    # As `executor.ledger.names` says it, whose package the supervisor is too thin to import.
    return settings.data_dir() / "executor.sqlite"


@dataclass(frozen=True)
class ExecutorConfig:
    """How a daemon runs; what it trades is in its ledger.

    Attributes
    ----------
    ledger : the account's file. mode : what the ledger must be of, "dry" or "live"; said on the command line alone.
    venue : where bars come from and live orders go, by its name in ccxt; "" = the exchange that the deployment's series
        are of. market : "spot" or "swap": a symbol BASE/QUOTE of the deployment is the venue's of that market; "" = as
        the deployment says. symbols : the venue's name by the deployment's, where `market` alone does not give it.
    live : the table [live], see `executor.live_config.LiveConfig`.
    feed : "stream" (websockets, holes filled by REST) or "poll" (REST alone).
    exchange_options : settings of ccxt for the exchange, such as a proxy.
    decide_by_secs : after a close, for the bars of all series; who is later steps alone.
    fill_after_secs : after a close, before a bar that the venue does not have counts as one without trades.
    stale_after_secs : without a sign of life of a series, before it is reported.
    max_entry_age_secs : entries of bars that closed longer ago are refused as stale; what is open is managed.
    models : folder of the registry; None = `models` in the data folder. follow_models : whether versions that `toolkit
        model train --due` leaves there are taken up.
    model_url : of a server of `toolkit model run` that is asked; "" = models are read into the daemon.
    model_token_file : of that server; None = `models.token` in the data folder.
    model_deadline_secs : for the questions of one moment that get no answer, before their entries are vetoed.
    api : whether it answers over HTTP; api_host, api_port, api_write as in `executor.api.ApiConfig`.
    metrics : whether /metrics answers.
    ping_url : asked each minute while the daemon is well: whoever is behind it raises the alarm when that ends.
    notify_urls : of apprise, each gets every notice. notify_gap_secs : at least so long between two messages.
    log_folder : None = `logs/NAME` beside the ledger. log_mb, log_count : size of a log file, and how many are kept.
    heartbeat_limit_secs : without a heartbeat, before the supervisor kills the daemon; a start has five times as long.
    """

    ledger: Path = field(default_factory=_default_ledger)
    mode: str = "dry"
    venue: str = ""
    market: str = ""
    symbols: Mapping[str, str] = field(default_factory=dict)
    live: LiveConfig = field(default_factory=LiveConfig)
    feed: str = "stream"
    exchange_options: Mapping[str, Any] = field(default_factory=dict)
    decide_by_secs: float = 10.0
    fill_after_secs: float = 30.0
    stale_after_secs: float = 180.0
    max_entry_age_secs: float = 60.0
    models: Path | None = None
    follow_models: bool = True
    model_url: str = ""
    model_token_file: Path | None = None
    model_deadline_secs: float = 0.5
    api: bool = True
    api_host: str = "127.0.0.1"
    api_port: int = 8787
    api_write: bool = False
    metrics: bool = True
    ping_url: str = ""
    notify_urls: tuple[str, ...] = ()
    notify_gap_secs: float = 30.0
    log_folder: Path | None = None
    log_mb: int = 20
    log_count: int = 10
    heartbeat_limit_secs: float = 120.0

    def __post_init__(self) -> None:
        _one_of("mode", self.mode, MODES)
        _one_of("feed", self.feed, FEEDS)
        _one_of("market", self.market, MARKETS)
        for name in ("decide_by_secs", "fill_after_secs", "notify_gap_secs"):
            _at_least(name, getattr(self, name), 0)
        if not 0 < self.model_deadline_secs <= self.max_entry_age_secs:
            raise InputError(
                f"`model_deadline_secs` must be above 0 and at most `max_entry_age_secs` "
                f"({self.max_entry_age_secs:g}), was {self.model_deadline_secs:g}"
            )
        for name in ("stale_after_secs", "max_entry_age_secs", "log_mb", "log_count"):
            _at_least(name, getattr(self, name), 1)
        # The daemon gives a sign every few seconds, and a long bar or a slow disk must not look like death.
        _at_least("heartbeat_limit_secs", self.heartbeat_limit_secs, 30)
        if self.fill_after_secs < self.decide_by_secs:
            raise InputError(
                f"`fill_after_secs` must be at least `decide_by_secs` ({self.decide_by_secs:g}), was "
                f"{self.fill_after_secs:g}; a bar that is merely late is not one without trades"
            )
        if self.max_entry_age_secs < self.decide_by_secs:
            raise InputError(
                f"`max_entry_age_secs` must be at least `decide_by_secs` ({self.decide_by_secs:g}), was "
                f"{self.max_entry_age_secs:g}; otherwise whatever waits for a late series is refused"
            )
        if not 0 <= self.api_port <= 65_535:
            raise InputError(f"`api_port` must be 0 (any) to 65535, was {self.api_port}")
        address = urlsplit(self.ping_url)
        if self.ping_url and not (address.scheme in ("http", "https") and address.netloc):
            raise InputError(f"`ping_url` must be an http or https address, was {self.ping_url!r}; leave it out")

    def venue_symbol(self, symbol: str) -> str:
        """The venue's name of a symbol of the deployment."""
        if symbol in self.symbols:
            return self.symbols[symbol]
        pair, _, settle = symbol.partition(":")
        if self.market == "swap" and not settle:
            return f"{pair}:{pair.partition('/')[2]}"
        return pair if self.market == "spot" else symbol

    @property
    def logs(self) -> Path:
        """Where log files go."""
        return self.log_folder or self.ledger.parent / "logs" / self.ledger.stem

    @property
    def heartbeat(self) -> Path:
        """The file that says when the daemon was last well."""
        return self.ledger.with_name(self.ledger.name + ".heartbeat")


def load_config(file: Path | None = None, **flags: object) -> ExecutorConfig:
    """The configuration of a file and of flags, which come first; a flag that is None was not given.

    `file` None takes `executor.toml` of the project's folder where there is one. Paths in the file are meant from its
    folder.

    Raises
    ------
    InputError : the file cannot be read, or a value breaks its rule. UnknownNameError : a key that there is not.
    """
    path = file or settings.project_root() / FILE
    table: dict[str, Any] = {}
    if file is not None or path.is_file():
        table = read_toml(path, "the configuration")
        if table.get("mode", "dry") != "dry":
            raise InputError(
                f"{path}: `mode` {table['mode']!r} is not for the file, so that nobody trades money by mistake; leave "
                f"it out and say executor run --live"
            )
    given = {**_checked(table, path), **{name: value for name, value in flags.items() if value is not None}}
    try:
        return ExecutorConfig(**given)
    except InputError as error:
        where = f"{path}: " if table else ""
        raise InputError(f"{where}{error}") from None


def _checked(table: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The file's values in the types of the dataclass."""
    types = {f.name: f.type for f in fields(ExecutorConfig)}
    found: dict[str, Any] = {}
    for name, value in table.items():
        if name not in types:
            raise UnknownNameError("key", name, types, f"(in {path})")
        found[name] = _typed(name, value, types[name], path)
    return found


def _typed(name: str, value: Any, kind: object, path: Path) -> Any:
    if name in ("ledger", "log_folder", "models", "model_token_file"):
        if isinstance(value, str) and value:
            return path.parent / Path(value).expanduser()
    elif name == "notify_urls":
        if isinstance(value, list) and all(isinstance(url, str) for url in value):
            return tuple(value)
    elif name in ("exchange_options", "symbols"):
        if isinstance(value, dict) and (name != "symbols" or all(isinstance(one, str) for one in value.values())):
            return value
    elif name == "live":
        if isinstance(value, dict):
            return live_from(value, path)
    # A bool is an int to Python, and no number to a person.
    elif kind is float and type(value) in (int, float) and math.isfinite(value):
        return float(value)
    elif kind is not float and type(value) is kind:
        return value
    # Addresses of notifications hold passwords.
    was = "" if name == "notify_urls" else f", was {value!r}"
    raise InputError(f"{path}: `{name}` must be {_SAID.get(name) or _SAID[kind]}{was}")


_SAID: dict[object, str] = {
    str: "a text",
    int: "a whole number",
    float: "a finite number",
    bool: "true or false",
    "ledger": "the path of a file",
    "log_folder": "the path of a folder",
    "models": "the path of a folder",
    "model_token_file": "the path of a file",
    "notify_urls": "a list of texts, each an address of apprise",
    "exchange_options": "a table",
    "symbols": "a table of texts",
    "live": "a table",
}


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise UnknownNameError(name, value, known)


def _at_least(name: str, value: float, least: float) -> None:
    if not value >= least:
        raise InputError(f"`{name}` must be at least {least:g}, was {value:g}")
