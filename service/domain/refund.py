"""Refunds: their states."""

from enum import StrEnum
from typing import Final, Literal


class RefundStatus(StrEnum):
    """The status of a refund; an unknown outcome is never guessed.

    An outcome is not final: a refund that had succeeded fails when the buyer's bank sends
    it back, and one that we took for not sent turns up after all.
    """

    PENDING = "pending"
    UNKNOWN = "unknown"
    REVIEW = "review"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


RefundOrigin = Literal["api", "provider"]
"""Who made a refund: a request, or somebody in the provider's dashboard."""

_S = RefundStatus
TRANSITIONS: Final[dict[RefundStatus, frozenset[RefundStatus]]] = {
    _S.PENDING: frozenset({_S.SUCCEEDED, _S.FAILED, _S.UNKNOWN}),
    _S.UNKNOWN: frozenset({_S.SUCCEEDED, _S.FAILED, _S.REVIEW}),
    _S.REVIEW: frozenset({_S.SUCCEEDED, _S.FAILED}),
    _S.SUCCEEDED: frozenset({_S.FAILED}),
    _S.FAILED: frozenset({_S.SUCCEEDED}),
}
