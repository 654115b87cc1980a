"""A small account for the tests of the page's sections, and what a section shows as plain numbers."""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from tests.portfolio.report_case import Case, portfolio_folder
from toolkit.analysis.portfolio_report.blocks import Block, Chart, Note, Pair, Section, Table
from toolkit.analysis.portfolio_report.source import Source, read_source

START, DAYS = dt.date(2022, 10, 20), 130


def account(root: Path) -> Source:
    """130 days over a new year, nine instances with 25 trades each, one of them open."""
    return read_source(portfolio_folder(root, Case(seed=5, days=DAYS, trades_each=25, start=str(START))))


def blocks(section: Section) -> list[Block]:
    def single(block: Block) -> Iterator[Block]:
        if isinstance(block, Pair):
            yield from (*single(block.left), *single(block.right))
        else:
            yield block

    return [one for block in section.blocks for one in single(block)]


def table(section: Section, name: str) -> dict[str, list[Any]]:
    """A table's numbers by the text of each row's first cell; None where it shows a dash."""
    (found,) = (b for b in blocks(section) if isinstance(b, Table) and b.id == name)
    assert all(len(row.cells) == len(found.columns) for row in found.rows)
    shown = {row.cells[0].text: [cell.sort for cell in row.cells[1:]] for row in found.rows}
    assert len(shown) == len(found.rows)
    return shown


def chart(section: Section, name: str) -> dict[str, Any]:
    (found,) = (b for b in blocks(section) if isinstance(b, Chart) and b.id == name)
    return dict(found.data)


def notes(section: Section) -> str:
    return " ".join(b.text for b in blocks(section) if isinstance(b, Note))


def with_tables(source: Source, **tables: pl.DataFrame) -> Source:
    return replace(source, tables={**source.tables, **tables})


def closed(source: Source) -> list[dict[str, Any]]:
    return [row for row in source.trades.iter_rows(named=True) if row["exit_ts"] is not None]


def won(profits: Sequence[float]) -> float:
    return sum(p > 0 for p in profits) / len(profits)
