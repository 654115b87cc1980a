"""`toolkit strategies`: list the strategies, show one, start another from a template."""

import dataclasses
import keyword
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from toolkit.cli.machine import print_json
from toolkit.errors import InputError

if TYPE_CHECKING:
    from toolkit.strategy import Strategy

JSON_HELP = "Print JSON on stdout, for a machine."
MODULES_HELP = "Module or package that holds strategies; repeat for more [default: those named in pyproject.toml]."

app = typer.Typer(rich_markup_mode=None)


@dataclasses.dataclass(frozen=True)
class _Options:
    json: bool
    modules: list[str]


@app.callback(invoke_without_command=True)
def strategies(
    context: typer.Context,
    json: bool = typer.Option(False, "--json", help=JSON_HELP),
    modules: list[str] = typer.Option([], "--strategies", metavar="MODULE", help=MODULES_HELP),
) -> None:
    """List the strategies: parameters with defaults, intervals, lookback, and what each one trades.

    A file that cannot be imported is named on stderr with its error; the others are listed.

    \b
    Examples:
      toolkit strategies
      toolkit strategies --json
      toolkit strategies --strategies my_lab.strategies
      toolkit strategies show volatility_breakout
      toolkit strategies new my_idea
    """
    context.obj = _Options(json, modules)
    if context.invoked_subcommand is not None:
        return
    from toolkit.strategy import broken_strategies, load_strategies

    found = load_strategies(modules or None)
    broken = broken_strategies(modules or None)
    for error in broken.values():
        typer.echo(f"left out: {error}", err=True)
    described = [describe(found[name]) for name in sorted(found)]
    if json:
        print_json([{key: value for key, value in one.items() if key != "doc"} for one in described])
    elif described:
        typer.echo("\n\n".join(_listed(one) for one in described))
    elif not broken:
        typer.echo("no strategies yet; start one with: toolkit strategies new my_idea")


@app.command()
def show(
    context: typer.Context,
    name: str = typer.Argument(help="A strategy, as `toolkit strategies` lists it."),
    json: bool = typer.Option(False, "--json", help=JSON_HELP),
    modules: list[str] = typer.Option([], "--strategies", metavar="MODULE", help=MODULES_HELP),
) -> None:
    """Show one strategy whole: its text, parameters, intervals, lookback and file.

    \b
    Example:
      toolkit strategies show open_range_breakout
    """
    from toolkit.strategy import get_strategy

    described = describe(get_strategy(name, _modules(context, modules)))
    if json or context.obj.json:
        print_json(described)
        return
    typer.echo(f"{described['name']}\n\n{described['doc']}\n")
    for key in ("params", "intervals", "lookback", "peers", "native"):
        if described[key]:
            typer.echo(f"{key + ':':<11}{_FORMAT[key](described[key])}")
    typer.echo(f"{'file:':<11}{described['file']}")


@app.command()
def new(
    context: typer.Context,
    name: str = typer.Argument(help="Name of the strategy: lower-case letters, digits and underscores."),
    json: bool = typer.Option(False, "--json", help=JSON_HELP),
    modules: list[str] = typer.Option([], "--strategies", metavar="MODULE", help=MODULES_HELP),
) -> None:
    """Start a strategy: a file NAME.py that already runs, in the strategies package; an existing one is left alone.

    \b
    Example:
      toolkit strategies new my_idea
    """
    from toolkit.durable import durable

    named = _modules(context, modules)
    _check_name(name)
    file = _package_folder(named) / f"{name}.py"
    _refuse_taken(name, file, named)
    text = (files("toolkit.cli") / "strategy_template.py.txt").read_text(encoding="utf-8")
    try:
        with durable(file) as out:
            out.write(text.replace("STRATEGY_NAME", name).encode())
    except OSError as error:
        raise InputError(f"cannot write {file}: {error.strerror}; make room or choose another package") from None
    if json or context.obj.json:
        print_json({"name": name, "file": str(file)})
    else:
        typer.echo(f"{file}\ntry it: toolkit strategies show {name}")


def describe(strategy: "Strategy") -> dict[str, Any]:
    """What is known of a strategy, as plain data; `lookback` is that of the default parameters, by interval."""
    from typing import get_type_hints

    from toolkit.strategy import type_name

    params = strategy.params()
    lookback = strategy.lookback(params)
    hints = get_type_hints(strategy.params_type)
    return {
        "name": strategy.name,
        "summary": strategy.doc.partition("\n")[0],
        "params": [{"name": k, "type": type_name(hints[k]), "default": v} for k, v in params._asdict().items()],
        "intervals": list(strategy.intervals),
        "lookback": {"signal": lookback} if isinstance(lookback, int) else dict(lookback),
        "peers": list(strategy.peers),
        "native": list(strategy.native),
        "file": str(strategy.source_file),
        "doc": strategy.doc,
    }


_FORMAT = {
    "params": lambda params: ", ".join(f"{p['name']}={p['default']}" for p in params),
    "lookback": lambda lookback: ", ".join(
        f"{bars} bars" + ("" if name == "signal" else f" of {name}") for name, bars in lookback.items()
    ),
    "intervals": ", ".join,
    "peers": ", ".join,
    "native": ", ".join,
}


def _listed(described: dict[str, Any]) -> str:
    lines = [described["name"], f"  {described['summary']}"]
    for key in ("params", "intervals", "lookback"):
        lines.append(f"  {key + ':':<11}{_FORMAT[key](described[key])}")
    return "\n".join(lines)


def _modules(context: typer.Context, modules: list[str]) -> list[str] | None:
    return modules or context.obj.modules or None


def _check_name(name: str) -> None:
    rule = "a strategy name must be a lower-case Python identifier that starts with a letter, such as my_idea"
    if not (name.isascii() and name.isidentifier() and name[0].isalpha() and name == name.lower()):
        raise InputError(f"{rule}; was {name!r}")
    if keyword.iskeyword(name):
        raise InputError(f"{rule}; {name!r} is a word of the language")


def _package_folder(modules: list[str] | None) -> Path:
    """Folder of the first of the strategies packages."""
    import sys
    from importlib.util import find_spec

    from toolkit import settings

    package = (modules or list(settings.strategy_modules()))[0]
    root = str(settings.project_root())
    if root not in sys.path:
        sys.path.insert(0, root)
    try:
        spec = find_spec(package)
    except ImportError:
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            f"strategies package {package!r} is not a folder of modules that can be found from {root}; "
            f"create it, or name another with --strategies or in pyproject.toml's [tool.lockstep] strategies"
        )
    return Path(next(iter(spec.submodule_search_locations)))


def _refuse_taken(name: str, file: Path, modules: list[str] | None) -> None:
    from toolkit.strategy import load_strategies

    if file.exists():
        raise InputError(f"{file} exists and is left as it is; choose another name, or delete the file first")
    known = load_strategies(modules).get(name)
    if known is not None:
        raise InputError(f"strategy name {name!r} is taken by {known.source_file}; choose another name")
