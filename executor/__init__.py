"""The executor: the daemon that replays the toolkit's own functions one closed bar at a time."""
