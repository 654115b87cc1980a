"""Strategies that cheat on purpose, each in one way: what `toolkit verify lookahead` must catch."""
