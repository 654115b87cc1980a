"""Reading a deployment: nothing is taken from its file that was not written by Lockstep and means the same today."""

import json
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from toolkit.bars.moments import to_ms
from toolkit.engine.rules import costs_from, rules_from
from toolkit.errors import InputError, LockstepError, UnknownNameError
from toolkit.portfolio.deployment import SCHEMA, Deployment, ModelUse, Source, checksum
from toolkit.portfolio.limits import instruments_from, limits_from
from toolkit.portfolio.members import Member
from toolkit.strategy import Strategy, get_strategy

_ANEW = "write a new one with `toolkit portfolio select` or `rebalance`"


def read(path: Path, *, accept_code: bool = False, strategies: Iterable[str] | None = None) -> Deployment:
    """A deployment from its file.

    Parameters
    ----------
    accept_code : take it also where today's code of a strategy is not the one it was made with. Its instances then have
        the ids of today's code.
    strategies : modules that hold strategies, default as in pyproject.toml.

    Raises
    ------
    InputError : one sentence that names the file: it cannot be read, is of another schema version, was edited by hand
        (its checksum differs), breaks its schema, names a strategy or a parameter that there is not, has weights that
        are negative, NaN or sum to nothing, or its code differs.
    """
    table = checked_table(path)
    try:
        return _deployment(table, accept_code, strategies)
    except LockstepError as error:
        raise InputError(f"deployment {path}: {error}") from None


def checked_table(path: Path) -> dict[str, Any]:
    """What a deployment's file says: whole, of this schema and as it was written; raises what `read` does of the file.

    Strategies, their code and their parameters are not looked at.
    """
    table = _table(path)
    _check_version(path, table)
    if table.get("checksum") != checksum(table):
        raise InputError(
            f"deployment {path} was changed after it was written: its checksum is {str(table.get('checksum'))[:12]}, "
            f"and its contents give {checksum(table)[:12]}; restore the file, or {_ANEW}"
        )
    _check_schema(path, table)
    return table


def _table(path: Path) -> dict[str, Any]:
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"deployment {path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"deployment {path} is not valid JSON ({error}); restore the file, or {_ANEW}") from None
    if not isinstance(table, dict) or "schema" not in table:
        raise InputError(f"{path} is no deployment: it names no `schema`, such as {SCHEMA!r}; {_ANEW}")
    return table


def _check_version(path: Path, table: Mapping[str, Any]) -> None:
    if table["schema"] != SCHEMA:
        raise InputError(
            f"deployment {path} has schema {table['schema']!r}, and this version of Lockstep reads {SCHEMA!r}; run it "
            f"with the version that wrote it, or {_ANEW}"
        )


@cache
def schema() -> dict[str, Any]:
    """The JSON Schema of deployments."""
    text = (files("toolkit.portfolio") / "deployment.schema.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def _check_schema(path: Path, table: Mapping[str, Any]) -> None:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    error = best_match(Draft202012Validator(schema()).iter_errors(table))
    if error is not None:
        where = error.json_path.removeprefix("$.").removeprefix("$") or "its top level"
        raise InputError(f"deployment {path} breaks its schema at {where}: {error.message[:200]}; {_ANEW}")


def _deployment(table: Mapping[str, Any], accept_code: bool, modules: Iterable[str] | None) -> Deployment:
    named = None if modules is None else tuple(modules)
    members = tuple(_member(row, get_strategy(row["strategy"], named), accept_code) for row in table["instances"])
    weights = [float(row["weight"]) for row in table["instances"]]
    # Ids of today's code, where that was accepted.
    today = {row["id"]: member.instance.id for row, member in zip(table["instances"], members, strict=True)}
    source, period = table["selected_from"], table["selected_from"]["period"]
    return Deployment(
        members=members,
        weights={member.instance.id: weight for member, weight in zip(members, weights, strict=True)},
        limits=limits_from(table["limits"]),
        capital=float(table["capital"]),
        effective_from_ms=to_ms(table["effective_from"], "effective_from"),
        selected_from=Source(
            source["run"],
            to_ms(period["start"], "selected_from.period.start"),
            to_ms(period["end"], "selected_from.period.end"),
            source["combinations_tried"],
        ),
        instruments=instruments_from(table["instruments"]),
        data=tuple(table["data"]),
        expected={name: float("nan") if value is None else value for name, value in table["expected"].items()},
        policy=table["policy"],
        previous=table["previous"],
        off=table["off"],
        models=tuple(_model(row, today) for row in table.get("models", ())),
        id=table["id"],
        created=table["created"],
    )


def _model(row: Mapping[str, Any], today: Mapping[str, str]) -> ModelUse:
    instances = tuple(today.get(name, name) for name in row["instances"])
    return ModelUse(row["name"], row["version"], row["checksum"], instances)


def _member(row: Mapping[str, Any], strategy: Strategy, accept_code: bool) -> Member:
    known = strategy.params()._asdict()
    for name in row["params"]:
        if name not in known:
            raise UnknownNameError(f"parameter of {strategy.name}", name, known)
    missing = sorted(set(known) - set(row["params"]))
    if missing and not accept_code:
        raise InputError(
            f"{row['id']} does not say parameter {missing[0]!r} of {strategy.name}, which was added since; {_ANEW}"
        )
    member = Member(
        strategy=row["strategy"],
        symbol=row["symbol"],
        interval=row["interval"],
        params=strategy.params(row["params"])._asdict(),
        rules=rules_from(row["rules"]),
        costs=costs_from(row["costs"]),
        exchange=row["exchange"],
        base=row["base"],
        family=row["family"],
    )
    code = member.instance.code
    if code != row["code"] and not accept_code:
        raise InputError(
            f"the code of {strategy.name} is not the one that {row['id']} was made with ({row['code'][:12]} then, "
            f"{code[:12]} now), so it would not trade what was tested; test and deploy anew, or accept today's code "
            f"with --accept-code"
        )
    if code == row["code"] and member.instance.id != row["id"]:
        raise InputError(f"{row['id']} is not what its row describes, {member.instance.id}; {_ANEW}")
    return member
