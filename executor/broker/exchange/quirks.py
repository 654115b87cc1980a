"""`Quirks`: what a market of a venue does in its own way. The table of them is `executor.broker.exchange.known`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from executor.broker.venue import Capabilities
from toolkit.errors import InputError, UnknownNameError

# What every client id of ours begins with.
OURS = "ls-"


@dataclass(frozen=True)
class SwapSettings:
    """How swaps are traded. leverage : of every symbol. margin_mode : "isolated" or "cross". hedge : both sides held.

    Raises
    ------
    InputError : leverage below 1, or an unknown margin mode.
    """

    leverage: float = 1.0
    margin_mode: str = "isolated"
    hedge: bool = False

    def __post_init__(self) -> None:
        if not self.leverage >= 1:
            raise InputError(f"leverage must be 1 or more, was {self.leverage:g}")
        if self.margin_mode not in ("isolated", "cross"):
            raise UnknownNameError("margin mode", self.margin_mode, ("isolated", "cross"))


@dataclass(frozen=True)
class Quirks:
    """One market of one venue.

    Attributes
    ----------
    capabilities : see `executor.broker.venue.Capabilities`.
    client_param, client_prefix : the field of ccxt's `params` for the client id, and what must precede it.
    finds_by_client : an order can be asked for by its client id; `finds_triggers_by_client` likewise.
    buys_by_cost : a market buy takes quote money, so it is sent as an IOC limit of exact base quantity.
    triggers_apart : triggers are a list of their own, with ids of their own, asked for with `trigger=True`.
    fills_by_rest : news of fills are asked for over REST before they are told: streamed ones are not to be trusted.
    trigger_news : changes of triggers are told by a websocket channel.
    fired_keys : fields of a trigger that name the order which it became.
    ended_triggers_vanish : a trigger that has ended is listed nowhere.
    pages, trigger_pages : the field that asks for a further page of open orders, and of triggers; "" = all in one.
    needs_uid : websocket channels want the account's number.
    refusals : the venue's own words, beyond ccxt's classes, for an order that does not exist.
    halts : its words for a market that is closed. unsure : words that look like refusals and are none.
    skews : its words for a clock that is off.
    texts : the same for people, with `sources`.
    """

    venue: str
    market: str
    capabilities: Capabilities
    client_param: str
    client_prefix: str = ""
    finds_by_client: bool = True
    finds_triggers_by_client: bool = False
    buys_by_cost: bool = False
    triggers_apart: bool = True
    trigger_news: bool = True
    fills_by_rest: bool = False
    fired_keys: tuple[str, ...] = ()
    ended_triggers_vanish: bool = False
    pages: str = ""
    trigger_pages: str = ""
    needs_uid: bool = False
    refusals: frozenset[str] = frozenset()
    halts: frozenset[str] = frozenset()
    unsure: frozenset[str] = frozenset()
    skews: frozenset[str] = frozenset()
    texts: Mapping[str, str] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
