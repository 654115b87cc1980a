"""How far the stored bars of members reach."""

from collections.abc import Sequence
from pathlib import Path

from toolkit.bars.intervals import interval_ms
from toolkit.bars.store import SeriesInfo, Store
from toolkit.errors import InputError
from toolkit.portfolio.members import Member


def stored_span(members: Sequence[Member], db: Path | None = None) -> tuple[int, int]:
    """First open and last close (epoch ms) of the bars that any of the members fills on.

    Raises
    ------
    InputError : no bars of them are stored. StoreError : the database cannot be used.
    """
    stored = Store(db).series()
    asked = {(one.symbol, one.exchange, one.base, one.interval): one for one in members}.values()
    spans = [(info.first_ts, info.last_ts + _step(info)) for one in asked for info in _filled_on(one, stored)]
    if not spans:
        symbols = ", ".join(sorted({one.symbol for one in members}))
        raise InputError(
            f"no bars of {symbols} are stored; bring some in with `toolkit data import` or `toolkit data pull`"
        )
    return min(first for first, _ in spans), max(last for _, last in spans)


def _filled_on(member: Member, stored: Sequence[SeriesInfo]) -> list[SeriesInfo]:
    """The series that a member's orders fill on: the finest, or the one that it names, of each exchange."""
    mine = [info for info in stored if _serves(info, member)]
    finest = min(map(_step, mine), default=0)
    return [info for info in mine if _step(info) == finest]


def _serves(info: SeriesInfo, member: Member) -> bool:
    key = info.key
    if key.origin != "official" or key.symbol != member.symbol:
        return False
    if member.exchange is not None and key.exchange != member.exchange.lower():
        return False
    return key.interval == member.base if member.base else _step(info) <= interval_ms(member.interval)


def _step(info: SeriesInfo) -> int:
    return interval_ms(info.key.interval)
