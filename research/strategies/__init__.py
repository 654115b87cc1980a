"""The strategies, one file each; every module here is found by `toolkit strategies`."""
