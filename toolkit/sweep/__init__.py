"""Sweeps: many parameters and trade rules over one history. `tk.sweep(...)` is `toolkit.sweep.run.sweep`."""

from toolkit.callable_module import make_callable

make_callable(__name__, "toolkit.sweep.run")
