"""What was tried before this was chosen, which models were made, and how to make it again."""

import json
from collections.abc import Mapping
from typing import Any

import polars as pl

from toolkit.analysis.portfolio_report.blocks import Block, Cell, Code, Column, Note, Row, Section, Table, number, words
from toolkit.models.report.cells import count, ratio
from toolkit.models.report.source import Source

_LISTED = 200


def tried(source: Source) -> Section | None:
    """The leaderboard of an experiment, or how many trials the recipe came from."""
    results = source.results
    board = source.tables.get("leaderboard")
    trials = int(results.get("trials") or 1)
    if board is None:
        if not source.pooled:
            return None
        said = "Nobody says that more than this one recipe was tried." if trials == 1 else (
            f"The recipe is the best of {trials:,} that were tried, which the deflated Sharpe ratio counts."
        )  # fmt: skip
        return Section("tried", "What was tried", [Note(said), *_before_it(results)])
    shown = board.head(_LISTED)
    axes = [name for name in board.columns if name not in _FIXED and board[name].n_unique() > 1]
    columns = [
        Column("rank"), *(Column(name.replace("_", " "), numeric=False) for name in axes), Column("score"),
        Column("Sortino before"), Column("after"), Column("trades after"), Column("failed", numeric=False, wide=True),
    ]  # fmt: skip
    rows = [_trial(row, axes) for row in shown.iter_rows(named=True)]
    blocks: list[Block] = [Table("leaderboard-table", columns, rows, tall=len(rows) > 24)]
    blocks += _before_it(results)
    if board.height > _LISTED:
        blocks.append(Note(f"The first {_LISTED} of {board.height:,}; all are in leaderboard.csv.", "soft"))
    period = results.get("period") or {}
    lead = (
        f"{trials:,} ways were scored on inner walk-forward folds that end before {str(period.get('test_from'))[:16]}. "
        f"Only the best went on to the days from then on, once. All of them count in the deflated Sharpe ratio."
    )
    return Section("tried", "What was tried", blocks, lead)


def _before_it(results: Mapping[str, Any]) -> list[Block]:
    """How many combinations the strategies themselves were chosen from, where that is known."""
    origin = results.get("selected_from") or {}
    tried, members = origin.get("combinations_tried") or 0, results.get("members") or 0
    if tried <= members:
        return []
    text = f"The {members:,} instances were chosen from {tried:,} combinations before ({origin.get('source')}); "
    return [Note(text + "that choice flatters what they earn without a model, and is not in the trials.", "soft")]


_FIXED = {"rank", "trial", "score", "sortino_before", "sortino_after", "trades_before", "trades_after", "error"}


def _trial(row: Mapping[str, Any], axes: list[str]) -> Row:
    return Row(
        [
            count(row["rank"]), *(words("-" if row[name] is None else str(row[name])) for name in axes),
            number(row["score"], digits=3), ratio(row["sortino_before"]), ratio(row["sortino_after"]),
            count(row["trades_after"]), Cell(row["error"] or ""),
        ]
    )  # fmt: skip


def models(source: Source) -> Section | None:
    """The models that a training made."""
    table = source.tables.get("models")
    if table is None or not table.height:
        return None
    columns = [
        Column("group", numeric=False), Column("version", numeric=False), Column("signals"), Column("wins"),
        Column("instances"), Column("features used"), Column("applied", numeric=False),
        *(Column(name.replace("_", " ")) for name in _scores(table)),
    ]  # fmt: skip
    rows = [
        Row(
            [
                words(row["group"]), words(row["version"]), count(row["rows"]), number(row["wins"], digits=3),
                count(row["members"]), count(row["features"]), words(row["application"]),
                *(number(row[name], digits=3) for name in _scores(table)),
            ]
        )
        for row in table.iter_rows(named=True)
    ]  # fmt: skip
    lead = "Scores are of predictions that were made for signals outside of what each fold had learned from."
    return Section("models", "Models", [Table("models-table", columns, rows, tall=len(rows) > 24)], lead)


def _scores(table: pl.DataFrame) -> list[str]:
    return [name for name in table.columns if name.startswith("score_")]


def how(source: Source) -> Section:
    """The recipe, and the code that makes it again."""
    results = source.results
    blocks: list[Block] = [Code("Recipe (recipe.toml)", str(results.get("recipe_text", "")))]
    if results.get("code"):
        blocks.append(Code("Python that makes it again (reproduce.py)", str(results["code"])))
    config = {key: value for key, value in source.info.get("config", {}).items() if key != "instance"}
    blocks.append(Code("Settings of the run", json.dumps(config, indent=2, default=str)))
    return Section("how", "How to make it again", blocks)
