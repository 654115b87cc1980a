"""The user's own room: strategies, experiment files, studies. Nothing in `toolkit` imports it by name."""
