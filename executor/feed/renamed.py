"""A feed under the deployment's names: bars of the venue that is traded, for series that were backtested elsewhere."""

from collections.abc import AsyncIterator, Mapping, Sequence

from executor.feed.base import BarEvent, ClosedBar, Feed, Series


class Renamed:
    """`feed` with other names of its series. names : the venue's series by the deployment's."""

    def __init__(self, feed: Feed, names: Mapping[Series, Series]) -> None:
        self._feed, self._theirs = feed, dict(names)
        self._ours = {theirs: ours for ours, theirs in names.items()}

    async def events(self) -> AsyncIterator[BarEvent]:
        events = self._feed.events()
        try:
            async for event in events:
                bars = tuple((self._ours[series], bar) for series, bar in event.bars)
                yield BarEvent(event.moment_ms, bars, event.recorded)
        finally:
            close = getattr(events, "aclose", None)
            if close is not None:
                await close()

    async def history(self, series: Series, start_ms: int, end_ms: int) -> Sequence[ClosedBar]:
        return await self._feed.history(self._theirs[series], start_ms, end_ms)

    def ages(self) -> Mapping[Series, float]:
        return {self._ours[series]: age for series, age in self._feed.ages().items()}

    def corrections(self) -> Sequence[tuple[Series, ClosedBar]]:
        """As `executor.feed_signs.Corrects`; none where the feed hears of none."""
        found = getattr(self._feed, "corrections", None)
        return () if found is None else [(self._ours[series], bar) for series, bar in found()]

    async def close(self) -> None:
        await self._feed.close()
