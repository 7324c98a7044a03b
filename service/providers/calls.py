"""A call to a provider over HTTP, with the port's two ways of not getting an answer."""

from typing import Any

from service.outbound import Answer, CallError, Outbound, Outcome
from service.providers.port import NotSentError, OutcomeUnknownError


async def send(
    outbound: Outbound, operation: str, method: str, path: str, **options: Any
) -> Answer:
    """Return the answer below 500; raise NotSentError or OutcomeUnknownError."""
    try:
        return await outbound.call(operation, method, path, **options)
    except CallError as error:
        if error.sent:
            raise OutcomeUnknownError(str(error)) from error
        # A refused connection may be a pod that restarts; a time-out has used up the patience.
        passing = error.outcome is not Outcome.TIMEOUT
        raise NotSentError(str(error), passing=passing) from error
