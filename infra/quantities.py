"""Kubernetes quantities as numbers."""

from typing import Any, Final

SUFFIXES: Final = {"m": 1e-3, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


def amount(quantity: Any) -> float:
    """Return a quantity as a number: `250m` is 0.25, `1Ki` is 1024."""
    text = str(quantity)
    for suffix, factor in SUFFIXES.items():
        if text.endswith(suffix):
            return float(text.removesuffix(suffix)) * factor
    return float(text)
