"""What we send merchants: the events, their signature, and the keys. Pure; no I/O."""
