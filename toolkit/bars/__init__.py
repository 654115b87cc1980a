"""Bars: the store, file import, download, intervals, synthetic bars, quality checks."""
