"""What providers send us: whether it is theirs, and what it is about. Pure; no I/O."""
