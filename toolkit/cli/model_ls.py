"""`toolkit model ls`: what the registry holds."""

from pathlib import Path
from typing import Annotated, Any

import typer


def ls(
    name: Annotated[str | None, typer.Argument(help="Only this model's versions.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Check every file; exit 1 where one is not as written.")
    ] = False,
    root: Annotated[
        Path | None, typer.Option(help="Folder of the models [default: models in the data folder].")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Models that are kept, oldest version first; of each name the last one is what `toolkit model run` serves.

    Example: toolkit model ls --check
    """
    from toolkit.cli.machine import print_json
    from toolkit.errors import UnknownNameError
    from toolkit.models.store import model_names, models_dir, versions_of

    place = root or models_dir()
    names = model_names(place)
    if name is not None and name not in names:
        raise UnknownNameError("model", name, names, "`toolkit model train` makes models")
    rows = [_row(folder, check=check) for one in names if name in (None, one) for folder in versions_of(one, place)]
    if as_json:
        print_json(rows)
    elif not rows:
        print(f"no models in {place}; toolkit model train makes some")
    else:
        for row in rows:
            print(_line(row))
    if any(row["problem"] for row in rows):
        raise typer.Exit(1)


def _row(folder: Path, *, check: bool) -> dict[str, Any]:
    """What there is to say of a bundle; of one that cannot be read, why."""
    from toolkit.errors import InputError
    from toolkit.models.store import check_model, check_name, read_info

    try:
        info = check_model(folder) if check else read_info(folder)
        check_name(info, folder.parent.name)
    except InputError as error:
        return {"name": folder.parent.name, "version": folder.name, "folder": str(folder), "problem": str(error)}
    return {
        "name": info.name,
        "version": info.version,
        "backend": info.backend,
        "application": info.application.method,
        "features": len(info.features),
        "chosen": len(info.chosen),
        "from_ms": info.from_ms,
        "until_ms": info.until_ms,
        "rows": info.facts["rows"],
        "scores": info.facts["scores"],
        "checksum": info.checksum,
        "folder": str(folder),
        "problem": None,
    }


def _line(row: dict[str, Any]) -> str:
    from toolkit.bars.series import utc

    head = f"{row['name']}@{row['version']}"
    if row["problem"]:
        return f"{head}  {row['problem']}"
    rows = f", {row['rows']:,} rows" if isinstance(row["rows"], int) else ""
    window = f"{utc(row['from_ms'])[:10]} to {utc(row['until_ms'])[:10]}"
    return (
        f"{head}  {row['backend']}, {row['application']}, {row['chosen']} of {row['features']} features, {window}{rows}"
    )
