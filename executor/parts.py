"""`Parts`: what a daemon is put together from, by its configuration."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from executor.broker.paper import PaperBroker
from executor.config import ExecutorConfig
from executor.engine.asking import InProcess, OpenModel
from executor.engine.engine import Engine, wall_ms
from executor.engine.model import DeployedModels
from executor.feed.base import Feed, Series
from executor.feed.renamed import Renamed
from executor.ledger import Ledger
from toolkit.errors import InputError

OpenFeed: TypeAlias = Callable[[ExecutorConfig, Mapping[Series, int], int], Feed]
"""Makes a feed of (configuration, first bar of each series, moment of the last event)."""


def open_feed(
    config: ExecutorConfig, starts: Mapping[Series, int], after_ms: int, *, clock: Callable[[], int] = wall_ms
) -> Feed:
    """The feed of the venue that the series are of, or that is configured; `InputError` where they are of several."""
    from executor.feed.exchange import ExchangeFeed

    venue = venue_of(config, {series.exchange for series in starts})
    names = {one: one._replace(exchange=venue, symbol=config.venue_symbol(one.symbol)) for one in starts}
    if len(set(names.values())) < len(names):
        raise InputError(
            f"several series of the deployment are the same one at {venue}: they differ by their exchange alone; make "
            f"a deployment and a ledger for each"
        )
    feed = ExchangeFeed(
        venue,
        {names[one]: first for one, first in starts.items()},
        stream=config.feed == "stream",
        decide_by_ms=round(1000 * config.decide_by_secs),
        fill_after_ms=round(1000 * config.fill_after_secs),
        options=config.exchange_options,
        after_ms=after_ms,
        clock=clock,
    )
    return feed if all(one == theirs for one, theirs in names.items()) else Renamed(feed, names)


def venue_of(config: ExecutorConfig, exchanges: set[str]) -> str:
    """Where series of these exchanges are traded; `InputError` where that is not one place."""
    if config.venue:
        return config.venue
    if len(exchanges) != 1:
        raise InputError(
            f"the deployment trades on {' and '.join(sorted(exchanges))}, and a daemon takes its bars from one "
            f"exchange; make a deployment and a ledger for each, or name `venue` in executor.toml"
        )
    return exchanges.pop()


def open_models(config: ExecutorConfig, ledger: Ledger) -> DeployedModels:
    """The ledger's models, as they are asked; `InputError` where a server's address or token cannot be used."""
    return DeployedModels(ledger, _asking(config), deadline_secs=config.model_deadline_secs)


def make_engine(config: ExecutorConfig, ledger: Ledger) -> Engine:
    """The engine of a dry run: its orders fill on paper."""
    age_ms = round(1000 * config.max_entry_age_secs)
    return Engine(ledger, PaperBroker(), model=open_models(config, ledger), max_entry_age_ms=age_ms)


def _asking(config: ExecutorConfig) -> OpenModel:
    if not config.model_url:
        return InProcess
    from executor.engine.asking import over_http
    from toolkit.models.client import ModelClient
    from toolkit.models.serve.token import default_token_file, read_token

    token = read_token(config.model_token_file or default_token_file())
    return over_http(ModelClient(config.model_url, token, deadline_secs=config.model_deadline_secs))


class Live(Protocol):
    """An engine whose orders a venue fills, with what connects the two."""

    engine: Engine

    async def open(self) -> None:
        """Connect and reconcile; VenueError where that is to be tried again."""
        ...

    async def news(self) -> None:
        """Until the venue reports something."""
        ...

    def take(self) -> None:
        """Let the engine apply what was reported; raises what went wrong in the background."""
        ...

    async def close(self) -> None:
        """Wait for what is under way, as long as that is reasonable, and disconnect."""
        ...


def make_live(config: ExecutorConfig, ledger: Ledger) -> Live:
    """What trades at the configured venue."""
    from executor.going_live import go_live

    return go_live(config, ledger)


@dataclass(frozen=True)
class Parts:
    """What a daemon is put together from. clock : epoch ms."""

    open_feed: OpenFeed = open_feed
    make_engine: Callable[[ExecutorConfig, Ledger], Engine] = make_engine
    make_live: Callable[[ExecutorConfig, Ledger], Live] = make_live
    clock: Callable[[], int] = wall_ms
