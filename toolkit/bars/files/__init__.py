"""Bars from files: exchange archives, freqtrade's data, Parquet, CSV."""
