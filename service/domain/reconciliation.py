"""What can differ between our books and a provider's or the Library's."""

from enum import StrEnum


class DifferenceKind(StrEnum):
    """The kind of a difference; each is one row for a charge, grant or dispute."""

    MISSING_AT_PROVIDER = "missing_at_provider"
    MISSING_HERE = "missing_here"
    DUPLICATE_CHARGE = "duplicate_charge"
    AMOUNT_DIFFERS = "amount_differs"
    STATUS_DIFFERS = "status_differs"
    REFUND_DIFFERS = "refund_differs"
    GRANT_MISSING = "grant_missing"
    GRANT_UNEXPECTED = "grant_unexpected"
    GRANT_DIFFERS = "grant_differs"
    DISPUTE_MISSING_HERE = "dispute_missing_here"
    DISPUTE_DIFFERS = "dispute_differs"
