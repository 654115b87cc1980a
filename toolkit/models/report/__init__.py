"""The page of a model run: what was found, how much of it may be luck, and what was tried, as one HTML file."""

from toolkit.models.report.page import render_model_run, write_model_report

__all__ = ["render_model_run", "write_model_report"]
