"""What models said, as frames: columns of an account's own tables, every prediction, every version, every trade."""

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from toolkit.analysis.frames import TIME, RowNaming, pnl, side_names, trade_frame
from toolkit.engine.types import ACCEPTED, ExitReason
from toolkit.models.judging import NO_VERSION, resimulate
from toolkit.models.paths import NEVER, begun, outcomes
from toolkit.models.said import Said
from toolkit.models.walkforward import Walk
from toolkit.portfolio.frames import naming, weighted
from toolkit.types import FloatArray, IntArray, Records

if TYPE_CHECKING:
    from toolkit.portfolio.schedule import WeightSchedule
    from toolkit.portfolio.simulate import PortfolioRun

_VERSION: dict[str, Any] = {
        "group": pl.String, "version": pl.String, "from_ts": TIME, "trained_from": TIME, "trained_until": TIME,
        "rows": pl.Int64, "secs": pl.Float64, "note": pl.String, "scores": pl.String, "facts": pl.String,
}  # fmt: skip


def with_trades_said(frame: pl.DataFrame, run: "PortfolioRun", said: Said) -> pl.DataFrame:
    """The account's `trades` with `prediction` and `model_version` of the signal that each came from."""
    prediction, version, _ = _said_at(run, said, run.trade_member, run.trades["side"], run.trades["signal_t"])
    return frame.with_columns(_known(prediction).alias("prediction"), _names(said, version).alias("model_version"))


def with_signals_said(frame: pl.DataFrame, run: "PortfolioRun", said: Said) -> pl.DataFrame:
    """The account's `signals` with `prediction`, and two columns more: `model_version` and `scale`."""
    prediction, version, scale = _said_at(run, said, run.signal_member, run.signals["side"], run.signals["t"])
    return frame.with_columns(
        _known(prediction).alias("prediction"),
        _names(said, version).alias("model_version"),
        pl.Series("scale", scale),
    )


def predictions_table(run: "PortfolioRun", walk: Walk) -> pl.DataFrame:
    """A row an entry signal of each member's own path (alone, notional 1, with its models in the loop), by decision.

    Columns: group, instance, ts, side, prediction, model_version (null before the first version), verdict (accepted,
    vetoed), scale, followed (trade, or shadow where it was refused), known_ts, exit_reason, return (after costs, of the
    entry notional), r_multiple; the last four are null where the entry never filled or has not closed.
    """
    members, signals, trades, known = _paths(run, walk)
    prediction, version, scale = _said_at(run, walk.said, members, signals["side"], signals["t"])
    names, n = naming(run, members), len(signals)
    closed = known != NEVER
    base_ms: Any = names.base_ms
    risk = trades["qty"] * np.abs(trades["entry_price"] - trades["stop_price"])
    with np.errstate(divide="ignore", invalid="ignore"):
        ret = pnl(trades) / (trades["qty"] * trades["entry_price"])
        in_r = np.where(risk > 0.0, pnl(trades) / risk, np.nan)
    reasons = pl.Series([r.name.lower() for r in ExitReason], dtype=pl.String).gather(trades["exit_reason"])
    accepted = pl.Series(signals["decision"] == ACCEPTED)
    is_closed = pl.Series(closed)
    frame = pl.DataFrame(
        {
            "group": names.text(lambda one: walk.group_of.get(one.id, ""), n),
            "instance": names.text(lambda one: one.id, n),
            "ts": pl.Series((signals["t"] + 1) * base_ms, dtype=pl.Int64).cast(TIME),
            "side": side_names(signals["side"]),
            "prediction": _known(prediction),
            "model_version": _names(walk.said, version),
            "verdict": pl.Series(["vetoed", "accepted"]).gather(accepted.cast(pl.Int64)),
            "scale": scale,
            "followed": pl.Series(["shadow", "trade"]).gather(accepted.cast(pl.Int64)),
            "known_ts": pl.Series(np.where(closed, known, 0), dtype=pl.Int64).cast(TIME),
            "exit_reason": reasons,
            "return": _known(np.where(closed, ret, np.nan)),
            "r_multiple": _known(np.where(closed, in_r, np.nan)),
        }
    )
    return frame.with_columns(
        pl.when(is_closed).then(pl.col(name)).otherwise(None).alias(name) for name in ("known_ts", "exit_reason")
    ).sort("ts", "instance", "side", maintain_order=True)


def model_trades_table(run: "PortfolioRun", walk: Walk, schedule: "WeightSchedule") -> pl.DataFrame:
    """Every trade that models let through on the members' own paths, closed or open: the `trades` columns (notional 1)
    with the weight that the account gave its instance at the signal, and `scale`, the share of a full size.
    """
    members, signals, trades, _ = _paths(run, walk)
    taken = (signals["decision"] == ACCEPTED) & (trades["qty"] > 0.0)
    prediction, version, scale = _said_at(run, walk.said, members[taken], signals["side"][taken], signals["t"][taken])
    names: RowNaming = naming(run, members[taken])
    frame = trade_frame(trades[taken], names, prediction).with_columns(
        _names(walk.said, version).alias("model_version"), pl.Series("scale", scale)
    )
    return weighted(frame, schedule).sort("signal_ts", "instance", "side", maintain_order=True)


def versions_table(walk: Walk) -> pl.DataFrame:
    """A row a cut-off of a group's clock: the version that was learned then, or the `note` that says why none was.

    `rows` outcomes were known; `scores` and `facts` (where the model is from) are JSON. `secs` is what learning took:
    all else is equal in every run.
    """
    rows = [
        {
            "group": one.group, "version": one.version or None, "from_ts": one.from_ms,
            "trained_from": one.trained_from_ms, "trained_until": one.trained_until_ms, "rows": one.rows,
            "secs": one.secs, "note": one.note or None, "scores": _json(one.facts.get("scores", {})),
            "facts": _json(one.facts),
        }
        for one in walk.trainings
    ]  # fmt: skip
    plain = {name: pl.Int64 if kind == TIME else kind for name, kind in _VERSION.items()}
    return pl.DataFrame(rows, schema=plain).with_columns(
        pl.col(name).cast(TIME) for name, kind in _VERSION.items() if kind == TIME
    )


def groups_table(walk: Walk, predictions: pl.DataFrame | None) -> pl.DataFrame:
    """A row a group: how many versions and failed trainings it had, and its members' own signals under a model.

    signals, judged (a version held), vetoed are counts; `return_taken` and `return_refused` are mean returns of closed
    trades and shadows, under a model, null where there is none.
    """
    counts = pl.DataFrame(
        [
            {
                "group": name,
                "versions": sum(one.group == name and bool(one.version) for one in walk.trainings),
                "failed": sum(one.group == name and not one.version for one in walk.trainings),
            }
            for name in dict.fromkeys([*walk.group_of.values(), *(one.group for one in walk.trainings)])
        ],
        schema={"group": pl.String, "versions": pl.Int64, "failed": pl.Int64},
    )
    if predictions is None:
        return counts
    judged = pl.col("model_version").is_not_null()
    vetoed = pl.col("verdict") == "vetoed"
    said = predictions.group_by("group").agg(
        pl.len().alias("signals"),
        judged.sum().alias("judged"),
        vetoed.sum().alias("vetoed"),
        pl.col("return").filter(judged & ~vetoed).mean().alias("return_taken"),
        pl.col("return").filter(judged & vetoed).mean().alias("return_refused"),
    )
    return counts.join(said, on="group", how="left", maintain_order="left")


def _json(value: Any) -> str:
    from toolkit.engine.identity import canonical_json

    return canonical_json(value)


def _paths(run: "PortfolioRun", walk: Walk) -> tuple[IntArray, Records, Records, IntArray]:
    """Signals of the members' own paths: of which member, SIGNAL, what became of each, and when that was known."""
    parts = []
    for k, one in enumerate(run.members):
        path = begun(one, run.start_ms)
        found = outcomes(path, resimulate(path, walk.said.judged.get(one.instance.id)))
        parts.append((np.full(len(found.signals), k, np.int64), found.signals, found.trades, found.known))
    member, signals, trades, known = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return member, signals, trades, known


def _said_at(
    run: "PortfolioRun", said: Said, member: IntArray, side: IntArray, t: IntArray
) -> tuple[FloatArray, IntArray, FloatArray]:
    """Prediction, version and scale at signals; NaN, -1 and 1 where nothing was said."""
    prediction, scale = np.full(len(t), np.nan), np.ones(len(t))
    version = np.full(len(t), NO_VERSION, np.int64)
    order = np.argsort(member, kind="stable")
    edges = np.searchsorted(member[order], np.arange(len(run.members) + 1))
    for k, one in enumerate(run.members):
        mine = order[edges[k] : edges[k + 1]]
        for which, says in said.judged.get(one.instance.id, {}).items():
            rows = mine[side[mine] == which]
            at = np.searchsorted(one.prepared.legs[which].entry_t, t[rows])
            prediction[rows], version[rows], scale[rows] = says.predictions[at], says.versions[at], says.scales[at]
    return prediction, version, scale


def _names(said: Said, version: IntArray) -> pl.Series:
    names = pl.Series([*said.versions, None], dtype=pl.String)
    return names.gather(np.where(version >= 0, version, len(said.versions)))


def _known(values: FloatArray) -> pl.Series:
    return pl.Series(values, dtype=pl.Float64).fill_nan(None)
