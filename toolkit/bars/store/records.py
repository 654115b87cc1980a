"""What the store is told and what it answers."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

# "recorded" bars are what the executor saw live; the venue's later "official" ones are kept beside them.
Origin: TypeAlias = Literal["official", "recorded"]


@dataclass(frozen=True)
class Source:
    """Where bars came from: a file (its name, sha256 of its bytes) or a request (its URL or description)."""

    kind: Literal["file", "request"]
    name: str
    sha256: str


@dataclass(frozen=True)
class ImportResult:
    """What one write did, in rows: new ones, ones that were stored already, ones that took another's place."""

    rows_new: int
    rows_same: int
    rows_replaced: int

    @property
    def changed(self) -> bool:
        return bool(self.rows_new or self.rows_replaced)


@dataclass(frozen=True)
class SeriesKey:
    """Name of a stored series."""

    exchange: str
    symbol: str
    interval: str
    origin: Origin = "official"

    def __str__(self) -> str:
        mark = "" if self.origin == "official" else f" ({self.origin})"
        return f"{self.exchange} {self.symbol} {self.interval}{mark}"


@dataclass(frozen=True)
class SeriesInfo:
    """One stored series: rows, epoch ms of its first and last bar, and slots between them without a bar."""

    key: SeriesKey
    rows: int
    first_ts: int
    last_ts: int
    missing: int
    imports: int


@dataclass(frozen=True)
class ImportRecord:
    """Provenance of one write; times are epoch ms."""

    import_id: int
    key: SeriesKey
    source: Source
    result: ImportResult
    first_ts: int
    last_ts: int
    imported_ts: int


@dataclass(frozen=True)
class Instrument:
    """A venue's trading rules for a symbol; None = not known. Tick in quote units, lot and minimum in base units."""

    exchange: str
    symbol: str
    tick: float | None = None
    lot: float | None = None
    min_qty: float | None = None
    min_notional: float | None = None
