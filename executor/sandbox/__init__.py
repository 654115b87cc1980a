"""A local exchange: one account on a venue that matches by a price script, for tests and for trying the executor."""
