"""The page itself: its sections in their order."""

from collections.abc import Iterator
from pathlib import Path

from toolkit.analysis.portfolio_report.blocks import Note
from toolkit.analysis.portfolio_report.page import draw, write_page
from toolkit.analysis.texts import SYNTHETIC
from toolkit.models.report.answer import answer
from toolkit.models.report.backends import backends
from toolkit.models.report.chance import chance, controls
from toolkit.models.report.groups import failures, groups
from toolkit.models.report.source import Source, read_source
from toolkit.models.report.tried import how, models, tried

_SECTIONS = (answer, chance, controls, groups, models, backends, tried, failures, how)
_TITLES = {"model-experiment": "Experiment", "model-eval": "Evaluation", "model-train": "Training"}


def write_model_report(folder: Path) -> Path:
    """Write `report.html` into a model run's folder, finished or still being written, from what is in it.

    Raises
    ------
    RunError : the folder cannot be read or written.
    """
    return write_page(folder / "report.html", render_model_run(folder))


def render_model_run(folder: Path) -> str:
    """The page of a model run's folder."""
    return render(read_source(folder))


def render(source: Source) -> str:
    """The page's HTML; sections without anything to say are left out."""
    sections = [section for make in _SECTIONS if (section := make(source)) is not None]
    results = source.results
    title = f"{_TITLES.get(str(results.get('kind')), 'Models')} {results.get('run', '')}".strip()
    return draw(sections, title=title, subtitle=_subtitle(source), banners=list(_banners(source)))


def _subtitle(source: Source) -> str:
    results = source.results
    period = results.get("period") or {}
    span = " to ".join(str(period[k])[:10] for k in ("start", "end") if period.get(k))
    parts = [span, f"{results.get('members', 0):,} instances, {results.get('groups', 0):,} models side by side"]
    return " · ".join(part for part in parts if part)


def _banners(source: Source) -> Iterator[Note]:
    """What has to be said before any figure."""
    results = source.results
    if results.get("synthetic"):
        yield Note(SYNTHETIC, "warn")
    verdict = (results.get("pooled") or {}).get("verdict")
    if verdict:
        short = f"No improvement that survives: {'; '.join(verdict['against'])}." if verdict["against"] else ""
        yield Note(short or "The improvement survives every test below.", "good" if verdict["survives"] else "caution")
    if results.get("in_sample"):
        yield Note(
            "The strategies were chosen on days that they are judged on here, so what they earn BEFORE the model is "
            "flattered by that choice; the difference that the model makes is measured on days that it did not learn.",
            "caution",
        )
    if results.get("failures"):
        count = len(results["failures"])
        yield Note(f"{count:,} of {results.get('groups', 0):,} groups have no result; why is told below.", "caution")
