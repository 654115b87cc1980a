"""Ways of learning, one a module, behind `base.ModelBackend`."""
