"""Whole sessions of a live daemon at the local exchange: an hour of real time with faults, a week at speed."""
