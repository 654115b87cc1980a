"""The bars database (DuckDB): bars, their sources, the venues' instruments."""

from toolkit.bars.store.batch import Batch
from toolkit.bars.store.reader import Reader
from toolkit.bars.store.records import ImportRecord, ImportResult, Instrument, Origin, SeriesInfo, SeriesKey, Source
from toolkit.bars.store.store import Store, series_key

__all__ = [
    "Batch",
    "ImportRecord",
    "ImportResult",
    "Instrument",
    "Origin",
    "Reader",
    "SeriesInfo",
    "SeriesKey",
    "Source",
    "Store",
    "series_key",
]
