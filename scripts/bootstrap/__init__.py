"""Makes a clone ready to work; standard library only, because it runs before any venv is there."""
