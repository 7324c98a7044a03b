"""What comes of a provider's event."""

from enum import StrEnum


class EventOutcome(StrEnum):
    """What processing an event has changed; the inbox keeps it.

    `foreign` is a charge of somebody else who sells on the same account. `mismatch` is an event
    that says of a charge what the provider's record does not.
    """

    UNCHANGED = "no_news"
    RECORDED = "settled"
    FOREIGN = "foreign"
    MISMATCH = "mismatch"
    ORPHAN_RECORDED = "orphan_recorded"
    HOLD_RELEASED = "hold_released"
    ORPHAN_REFUND_REVERSED = "orphan_refund_reversed"
    DISPUTE_SYNCED = "dispute_followed"
    FRAUD_WARNING_RECORDED = "fraud_warning_recorded"

    @classmethod
    def of(cls, *, changed: bool) -> "EventOutcome":
        """Return the outcome of an event of our own payment or refund."""
        return cls.RECORDED if changed else cls.UNCHANGED
