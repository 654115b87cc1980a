"""What a page is made of: sections of tables, charts, facts and sentences, as data. The template draws them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Attributes
    ----------
    text : what is read. small : a second, quieter line.
    sort : what the column sorts by, the text itself unless given; None with `missing` sorts last.
    figure : name of the figure in `results.json` that the cell shows.
    tint : -1 to 1, how strongly the cell is coloured as a loss or a gain.
    spark : points of a small line, 0 to 1 in both directions, as SVG's `points`.
    """

    text: str
    small: str = ""
    sort: float | str | None = None
    figure: str = ""
    tint: float | None = None
    spark: str = ""


@dataclass(frozen=True)
class Column:
    """A column's head; `numeric` ones are right-aligned and sort by number, `wide` ones may wrap."""

    label: str
    numeric: bool = True
    hint: str = ""
    wide: bool = False


@dataclass(frozen=True)
class Row:
    """A table's row; `trade` is the id of the trade that a click opens."""

    cells: Sequence[Cell]
    trade: str = ""


@dataclass(frozen=True)
class Table:
    """A table that sorts by click. `tall`: scrolls inside itself; `folded`: behind a line that opens it."""

    id: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    title: str = ""
    tall: bool = False
    folded: str = ""
    sortable: bool = True
    kind: str = field(default="table", init=False)


@dataclass(frozen=True)
class Chart:
    """A chart; `data` is what the page's script draws, by its `kind`: lines, bars, grouped, intervals, chance,
    histogram, heat, scatter.
    """

    id: str
    title: str
    data: Mapping[str, Any]
    caption: str = ""
    height: int = 300
    kind: str = field(default="chart", init=False)


@dataclass(frozen=True)
class Note:
    """A sentence; `tone` is plain, soft, missing (why something is not here) or warn."""

    text: str
    tone: str = "plain"
    kind: str = field(default="note", init=False)


@dataclass(frozen=True)
class Fact:
    """A headline figure: its value large, what it means small; `tone` is gain, loss or nothing."""

    label: str
    text: str
    meaning: str
    figure: str = ""
    value: float | None = None
    tone: str = ""


@dataclass(frozen=True)
class Facts:
    """Figures side by side."""

    facts: Sequence[Fact]
    kind: str = field(default="facts", init=False)


@dataclass(frozen=True)
class Code:
    """Preformatted text behind a line that opens it."""

    title: str
    text: str
    kind: str = field(default="code", init=False)


@dataclass(frozen=True)
class Pair:
    """Two blocks side by side where there is room."""

    left: "Block"
    right: "Block"
    kind: str = field(default="pair", init=False)


Block: TypeAlias = Table | Chart | Note | Facts | Code | Pair


@dataclass(frozen=True)
class Section:
    """A part of the page under one heading; `lead` says how to read it."""

    id: str
    title: str
    blocks: Sequence[Block]
    lead: str = ""


def number(value: float | None, text: str | None = None, digits: int = 2) -> Cell:
    """A number's cell; a dash where it is missing."""
    if missing(value):
        return Cell("-")
    assert value is not None
    value = float(value) + 0.0  # -0.0, what is lost of nothing, reads as 0
    return Cell(f"{value:,.{digits}f}" if text is None else text, sort=value)


def percent(value: float | None, digits: int = 2, scale: float | None = None) -> Cell:
    """A fraction's cell, in percent; tinted against `scale` where that is given."""
    if missing(value):
        return Cell("-")
    assert value is not None
    tint = None if not scale else max(-1.0, min(1.0, value / scale))
    return Cell(f"{100 * value:,.{digits}f} %", sort=float(value), tint=tint)


def words(text: str, small: str = "") -> Cell:
    """A text's cell, sorted by its letters."""
    return Cell(text, small=small, sort=text)


def missing(value: float | None) -> bool:
    return value is None or not math.isfinite(value)


def spark(values: Sequence[float]) -> str:
    """SVG points of a line through `values` in a box of 100 x 24, at most 100 of them."""
    if len(values) < 2:
        return ""
    step = max(1, len(values) // 100)
    kept = [*values[:-1][::step], values[-1]]
    low, high = min(kept), max(kept)
    spread = (high - low) or 1.0
    return " ".join(f"{100 * k / (len(kept) - 1):.1f},{1 + 22 * (high - v) / spread:.1f}" for k, v in enumerate(kept))
