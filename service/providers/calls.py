"""A call to a provider over HTTP, with the port's two ways of not getting an answer."""

from typing import Any, Final

from service.outbound import Answer, CallError, Outbound, Outcome
from service.providers.port import NotSentError, OutcomeUnknownError

TOO_MANY_REQUESTS: Final = 429


def not_let_in(answer: Answer, reason: str) -> NotSentError:
    """Return what an answer means that came before any work: a limit passes, a wrong key stays."""
    passing = answer.status == TOO_MANY_REQUESTS
    return NotSentError(reason, passing=passing, retry_after_s=answer.retry_after_s)


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
