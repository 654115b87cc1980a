"""What runs inside another library's environment, under that library's Python: no module here imports Lockstep."""
