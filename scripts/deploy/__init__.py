"""A stack's life: preview, up, drift, releases, rollback, and what a change does to it."""
