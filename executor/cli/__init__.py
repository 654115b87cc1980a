"""The `executor` command: one module a command, thin: parse, call, print."""
