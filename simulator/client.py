"""Controls the faults of a simulator in another process, for tests, the demo and the load test."""

from collections.abc import Sequence
from typing import Any, Final

import aiohttp

MARGIN_S: Final = 5.0  # the client waits this much longer than the server was asked to


class ControlError(Exception):
    """The simulator refused, or what was awaited did not happen in time."""


class Control:
    """A simulator's /control, and the Library's shelves."""

    def __init__(self, url: str, *, library_token: str) -> None:
        self.url = url
        self._library_token = library_token

    async def fault(self, target: str, kind: str, **options: Any) -> None:
        """Set a fault; options are `times`, `status` and `delay_s`."""
        await self._call(
            "POST", "/control/faults", json={"target": target, "kind": kind, **options}
        )

    async def clear_faults(self) -> None:
        """Let everything work again; held requests stay held."""
        await self._call("DELETE", "/control/faults")

    async def until_held(
        self, target: str, *, count: int = 1, timeout_s: float = 10
    ) -> Sequence[dict[str, Any]]:
        """Wait until so many requests are held and return them."""
        query = {"target": target, "count": str(count), "timeout_s": str(timeout_s)}
        body = await self._call("GET", "/control/held", params=query, timeout_s=timeout_s)
        return list(body["held"])

    async def release(self, target: str | None = None) -> int:
        """Let held requests go on; return how many."""
        return int(
            (await self._call("POST", "/control/release", json={"target": target}))["released"]
        )

    async def until(self, what: str, count: int, *, timeout_s: float = 10) -> dict[str, int]:
        """Wait until there are so many charges, refunds, grants or revoked grants."""
        query = {"what": what, "count": str(count), "timeout_s": str(timeout_s)}
        body = await self._call("GET", "/control/wait", params=query, timeout_s=timeout_s)
        return dict(body["counts"])

    async def complete(
        self, charge_id: str, outcome: str = "succeeded", *, late: bool = False
    ) -> dict[str, Any]:
        """End a charge as the buyer or the provider would; `late` also one that has ended."""
        path = f"/control/charges/{charge_id}/complete"
        return await self._call("POST", path, json={"outcome": outcome, "late": late})

    async def dispute(self, charge_id: str, **options: Any) -> dict[str, Any]:
        """Let a charge be disputed; options are `amount`, `reason`, `inquiry` and `due_in_s`.

        A chargeback's money is withdrawn at once, an inquiry's not.
        """
        return await self._call("POST", f"/control/charges/{charge_id}/dispute", json=options)

    async def change_dispute(self, dispute_id: str, action: str) -> dict[str, Any]:
        """Withdraw, submit, win, lose, reinstate, escalate, or close a dispute."""
        return await self._call("POST", f"/control/disputes/{dispute_id}/{action}")

    async def warn(self, charge_id: str, *, fraud_type: str = "misc") -> dict[str, Any]:
        """Let a card's network suspect fraud."""
        path = f"/control/charges/{charge_id}/warn"
        return await self._call("POST", path, json={"fraud_type": fraud_type})

    async def capture(self, charge_id: str, amount: int | None = None) -> dict[str, Any]:
        """Capture an authorized charge in the provider's dashboard."""
        return await self._call(
            "POST", f"/control/charges/{charge_id}/capture", json={"amount": amount}
        )

    async def refund(
        self, charge_id: str, amount: int | None = None, *, key: str | None = None
    ) -> dict[str, Any]:
        """Refund in the provider's dashboard; without an amount all that is left.

        With the `key` of a request of ours it is that request, which was made after all.
        """
        body = {"amount": amount, "key": key}
        return await self._call("POST", f"/control/charges/{charge_id}/refund", json=body)

    async def fail_charge(self, charge_id: str, **why: str) -> dict[str, Any]:
        """Let a charge fail after it had succeeded."""
        return await self._call("POST", f"/control/charges/{charge_id}/fail", json=why)

    async def fail_refund(self, refund_id: str, **why: str) -> dict[str, Any]:
        """Let a refund fail after it had succeeded."""
        return await self._call("POST", f"/control/refunds/{refund_id}/fail", json=why)

    async def age(self, charge_id: str, *, days: float) -> dict[str, Any]:
        """Let a charge, and what happened to it so far, have been that much earlier."""
        body = {"seconds": int(days * 86_400)}
        return await self._call("POST", f"/control/charges/{charge_id}/age", json=body)

    async def send_webhooks(self, url: str, secret: str) -> None:
        """Let webhooks go to a URL, signed with a secret, until the next reset."""
        await self._call("POST", "/control/webhooks", json={"url": url, "secret": secret})

    async def webhooks(self) -> dict[str, Any]:
        """Return how many wait, were delivered and lost, and each delivery."""
        return await self._call("GET", "/control/webhooks")

    async def sell(self, game_id: str, **prices: int) -> str:
        """Put a game into the catalog, with minor units by currency; return its id."""
        game = {"id": game_id, "title": game_id.title(), "prices": prices, "available": True}
        await self._call("POST", "/control/games", json=game)
        return game_id

    async def state(self) -> dict[str, Any]:
        """Return the counts, charges, refunds, disputes, warnings and grants."""
        return dict(await self._call("GET", "/control/state"))

    async def reset(self) -> None:
        """Forget everything."""
        await self._call("POST", "/control/reset")

    async def shelf(self, user_id: str) -> Sequence[dict[str, Any]]:
        """Return the grants that a user holds at the Library."""
        headers = {"Authorization": f"Bearer {self._library_token}"}
        body = await self._call(
            "GET", "/library/v1/grants", params={"user_id": user_id}, headers=headers
        )
        return list(body["data"])

    async def _call(
        self, method: str, path: str, *, timeout_s: float = 5.0, **options: Any
    ) -> dict[str, Any]:
        timeout = aiohttp.ClientTimeout(total=timeout_s + MARGIN_S)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.request(method, self.url + path, **options) as response,
        ):
            body: dict[str, Any] = await response.json()
            if response.status >= 400:  # noqa: PLR2004  an error of any kind
                raise ControlError(f"{method} {path}: {body['error']['message']}")
            return body
