"""Models over HTTP: `toolkit model run`. Only `app` and `running` import a web framework."""
