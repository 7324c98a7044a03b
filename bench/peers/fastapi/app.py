"""A payment service as users of FastAPI and asyncpg write it: the benchmark's peer in Python."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import asyncpg
from fastapi import Depends, FastAPI, Header, Request, Response
from fastapi.exceptions import RequestValidationError
from payments import CreatePayment, new_payment, view
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from provider import OutcomeUnknownError, connect
from quotas import Quotas
from store import PlainStore, TunedStore, read_statements
from tokens import Caller, Tokens
from web import PAYMENTS, Observed, ProblemError, answer_problem, problem

TUNED = os.environ["PEER_MODE"] == "tuned"
FILES = Path(os.environ["PEER_FILES"])
POOL_SIZE = int(os.environ["POOL_SIZE"])


async def _no_reset(_connection: Any) -> None:
    """Leave a connection as it is: no request changes its settings."""


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    options = {"reset": _no_reset} if TUNED else {}
    async with (
        asyncpg.create_pool(
            os.environ["DATABASE_URL"], min_size=POOL_SIZE, max_size=POOL_SIZE, **options
        ) as pool,
        connect(
            os.environ["SIMULATOR_URL"], os.environ["SIMULATOR_API_KEY"], tuned=TUNED
        ) as provider,
        Quotas.open(os.environ["REDIS_URL"], (FILES / "quota.lua").read_text()) as quotas,
    ):
        app.state.pool = pool
        app.state.provider = provider
        app.state.quotas = quotas
        app.state.tokens = Tokens(remember=TUNED)
        app.state.store = TunedStore(pool) if TUNED else PlainStore(pool, read_statements(FILES))
        yield


app = FastAPI(lifespan=lifespan, openapi_url=None)
app.add_middleware(Observed)
app.add_exception_handler(ProblemError, answer_problem)


@app.exception_handler(RequestValidationError)
async def invalid(request: Request, error: RequestValidationError) -> Response:
    malformed = any(found["type"] == "json_invalid" for found in error.errors())
    if malformed:
        return problem(request, 400, "malformed_request", "The body is not JSON")
    if any(found["loc"][:2] == ("header", "idempotency-key") for found in error.errors()):
        return problem(request, 400, "idempotency_key_invalid", "Send one Idempotency-Key")
    return problem(request, 422, "validation_failed", "The request is not valid")


async def admitted(request: Request) -> Caller:
    """Count the request, then say who sent it."""
    state = request.app.state
    caller = state.tokens.caller(request.headers.get("authorization", ""))
    host = request.client.host if request.client else ""
    wait_s, headers = await state.quotas.take(host, caller and caller.user)
    request.state.headers = headers
    if wait_s:
        raise ProblemError(429, "rate_limited", "Too many requests", {"Retry-After": str(wait_s)})
    if caller is None:
        challenge = {"WWW-Authenticate": 'Bearer realm="coinslot", error="invalid_token"'}
        raise ProblemError(401, "unauthenticated", "Send a valid bearer token", challenge)
    if "payments:write" not in caller.scopes:
        raise ProblemError(403, "scope_missing", "The token lacks the scope payments:write")
    request.state.user_id = caller.user
    return caller


@app.post("/v1/payments", status_code=201)
async def create_payment(
    request: Request,
    caller: Annotated[Caller, Depends(admitted)],
    body: CreatePayment,
    idempotency_key: Annotated[str, Header(pattern=r"^[\x21-\x7e]{1,255}$")],
) -> Response:
    """Pay an order: one transaction, one call to the provider, one transaction."""
    state = request.app.state
    payment = new_payment(caller.user, idempotency_key, request.state.correlation_id, body)
    request.state.order_id = str(payment.order_id)
    begun = await state.store.begin(payment)
    if begun.state == "replay":
        return answer(begun.status, begun.body, {"Idempotent-Replayed": "true"})
    if begun.state != "created":
        raise ProblemError.of(begun.state)
    request.state.payment_id = str(payment.id)
    try:
        provider_ref = await state.provider.charge(payment)
    except OutcomeUnknownError:
        return answer(202, view(payment, "processing", payment.at))
    paid, at = view(payment, "succeeded", None), payment.done_at
    await state.store.record(payment, provider_ref, paid, at)
    PAYMENTS.labels("succeeded", payment.provider).inc()
    return answer(201, paid)


@app.get("/health/ready")
async def ready(request: Request) -> Response:
    await request.app.state.pool.execute("SELECT 1")
    return Response()


@app.get("/metrics")
async def metrics() -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def answer(status: int, body: str, headers: dict[str, str] | None = None) -> Response:
    return Response(body, status, headers, media_type="application/json")
