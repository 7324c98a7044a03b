"""Kubernetes quantities as numbers."""

import re
from decimal import Decimal
from typing import Any, Final

QUANTITY: Final = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE]([-+]?[0-9]{1,2})|([a-zA-Z]*))\Z")
UNITS: Final = {
    "": Decimal(1),
    **{unit: Decimal(1_000) ** power for unit, power in zip("num", (-3, -2, -1), strict=True)},
    **{unit: Decimal(1_000) ** power for power, unit in enumerate("kMGTPE", start=1)},
    **{f"{unit}i": Decimal(1_024) ** power for power, unit in enumerate("KMGTPE", start=1)},
}
"""https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/"""


def amount(quantity: Any) -> Decimal:
    """Return a quantity as a number: `250m` is 0.25, `1Ki` is 1024; raise ValueError for none."""
    match = QUANTITY.match(str(quantity))
    if not match or (match[3] or "") not in UNITS:
        raise ValueError(f"{quantity!r} is no Kubernetes quantity")
    return Decimal(match[1]) * (Decimal(10) ** int(match[2] or 0)) * UNITS[match[3] or ""]
