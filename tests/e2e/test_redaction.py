"""Secrets that come in, in every place that a client can put them, don't come out in the logs."""

import aiohttp

from tests.support.leaks import PLANTED, leaks_in
from tests.support.services import Services, bearer

SECRET = f"sk_{PLANTED}"


async def test_what_a_client_sends_is_not_in_the_log(start_service: Services) -> None:
    api = await start_service("api", LOG_LEVEL="debug")
    good = {"Authorization": f"Bearer {bearer('ada')}"}
    forged = bearer("ada")[:-4] + "AAAA"
    requests = [
        ("GET", "/v1/orders", {"Authorization": f"Bearer {SECRET}"}, None),
        ("GET", "/v1/orders", {"Authorization": f"Bearer {forged}"}, None),
        ("GET", "/v1/orders", {"Authorization": f"Basic {SECRET}"}, None),
        ("GET", f"/v1/orders?access_token={SECRET}", good, None),
        ("GET", f"/v1/orders?cursor={SECRET}", good, None),
        ("GET", f"/v1/orders/{SECRET}", good, None),
        ("GET", f"/{SECRET}", {**good, "Cookie": f"session={SECRET}"}, None),
        ("GET", "/v1/orders", {**good, "X-Api-Key": SECRET, "User-Agent": SECRET}, None),
        ("POST", "/v1/orders", good, {"currency": SECRET, "items": []}),
        ("POST", "/v1/orders", good, {"password": SECRET}),
        ("POST", "/v1/payments", {**good, "Idempotency-Key": SECRET}, {"order_id": SECRET}),
        ("POST", "/v1/payments", {**good, "Idempotency-Key": f"{SECRET}\t"}, {}),
    ]
    async with aiohttp.ClientSession(api.url) as session:
        for method, path, headers, body in requests:
            async with session.request(method, path, headers=headers, json=body) as answer:
                assert answer.status < 500
    assert len(list(api.records("http_request"))) >= len(requests)
    assert list(leaks_in(api.child.log)) == []
