"""Lockstep's research toolkit. `import toolkit as tk` gives the verbs of the `toolkit` command as functions."""

from toolkit import kernel_cache, settings

# Before any kernel is decorated: compiled code is kept under a hash of all kernel and strategy sources.
kernel_cache.activate(settings.strategy_modules())
