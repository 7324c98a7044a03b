"""Refunds: their states."""

from enum import StrEnum
from typing import Final


class RefundStatus(StrEnum):
    """Where a refund stands; an outcome that nobody knows is never a guess."""

    PENDING = "pending"
    UNKNOWN = "unknown"
    REVIEW = "review"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


_S = RefundStatus
TRANSITIONS: Final[dict[RefundStatus, frozenset[RefundStatus]]] = {
    _S.PENDING: frozenset({_S.SUCCEEDED, _S.FAILED, _S.UNKNOWN}),
    _S.UNKNOWN: frozenset({_S.SUCCEEDED, _S.FAILED, _S.REVIEW}),
    _S.REVIEW: frozenset({_S.SUCCEEDED, _S.FAILED}),
    _S.SUCCEEDED: frozenset(),
    _S.FAILED: frozenset(),
}
