"""Libraries that cannot share the main environment: each has its own, made from a lock file, and runs as a process.

`libraries` has a row of facts for each, `tools` those of what serves models and learns none; `install` makes their
environments, `environments` says in what state they are; `fitting` runs one
fit in a scratch folder and believes nothing that comes back before it is checked; `resident` keeps one process warm for
predictions. What runs on the other side is in `scripts`: `host.py`, which imports nothing of Lockstep, and a module a
library. One more library is one such module, one lock file and one row.
"""
