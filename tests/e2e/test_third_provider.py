"""Another provider is a folder and a line in a tuple: nothing else of the service knows its name.

The test adds `tests/e2e/tiny` to a copy of the service, as docs/providers.md says, and pays by it.
"""

import json
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.e2e.tiny.webhooks import HEADER, sign
from tests.support.services import Services
from tests.support.waiting import eventually

ROOT: Final = Path(__file__).parents[2]
CATALOG: Final = "service/providers/catalog.py"
SECRET: Final = "a secret of tiny's webhooks"
READ_ONLY: Final = {"service/providers/port.py", "service/providers/spec.py"}
"""What the guide tells to read, and not to change."""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Give a copy of the service with one provider more."""
    shutil.copytree(ROOT / "service", tmp_path / "service")
    shutil.copytree(Path(__file__).parent / "tiny", tmp_path / "service" / "providers" / "tiny")
    text = (ROOT / CATALOG).read_text()
    assert text.count("    STRIPE,\n)") == 1
    text = text.replace("    STRIPE,\n)", "    STRIPE,\n    TINY,\n)")
    (tmp_path / CATALOG).write_text("from service.providers.tiny import TINY\n" + text)
    return tmp_path


@pytest.fixture
async def charges() -> dict[str, dict[str, Any]]:
    return {}


@pytest.fixture
async def tiny(charges: dict[str, dict[str, Any]]) -> AsyncIterator[str]:
    """Run Tiny's own server, which asks every buyer to confirm; give its URL."""

    async def charge(request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer tiny-key"
        asked = await request.json()
        made = {"id": f"tiny_{len(charges)}", "state": "requires_action", **asked}
        return web.json_response(charges.setdefault(asked["attempt"], made))

    async def find(request: web.Request) -> web.Response:
        wanted = request.match_info["id"]
        return web.json_response(next(c for c in charges.values() if c["id"] == wanted))

    app = web.Application()
    app.add_routes([web.post("/charges", charge), web.get("/charges/{id}", find)])
    async with TestServer(app) as server:
        yield str(server.make_url(""))


@pytest.mark.timeout(300)  # nothing of the copy is compiled yet
async def test_a_third_provider_is_paid_by(
    tree: Path, tiny: str, charges: dict[str, dict[str, Any]], start_service: Services
) -> None:
    start_service.environ |= {
        "PYTHONPATH": str(tree),
        "PYTHONSAFEPATH": "1",
        "PROVIDERS": "simulator,tiny",
        "TINY_URL": tiny,
        "TINY_SHOP": "coinslot",
        "TINY_API_KEY": "tiny-key",
        "TINY_WEBHOOK_SECRETS": SECRET,
    }
    api, _worker = await start_service("api"), await start_service("worker")
    async with api.client("ada") as ada, aiohttp.ClientSession() as session:
        order = await ada.order(["game-1"])
        answer = (await ada.pay(order["id"], provider="tiny")).expect(201)
        assert (answer.body["status"], answer.body["provider"]) == ("requires_action", "tiny")
        (charge,) = charges.values()
        assert charge["shop"] == "coinslot"
        charge["state"] = "succeeded"
        event = json.dumps({"event": "evt_1", "charge": charge["id"]}).encode()
        for signature, status in ((sign("another secret", event), 400), (sign(SECRET, event), 200)):
            hook = f"{api.url}/v1/webhooks/tiny"
            async with session.post(hook, data=event, headers={HEADER: signature}) as reply:
                assert reply.status == status
        await ada.until_status(f"/v1/orders/{order['id']}", "fulfilled")
        await eventually(lambda: exported(session, api.ops_url), bool)
        dear = await ada.order([f"game-{n}" for n in range(2, 11)])
        assert (await ada.pay(dear["id"], provider="tiny")).status == 422


async def exported(session: aiohttp.ClientSession, url: str) -> bool:
    """Return whether Tiny's series are there, those at 0 too."""
    async with session.get(f"{url}/metrics") as answer:
        text = await answer.text()
    calls = 'payment_provider_requests_total{operation="charge",outcome="ok",provider="tiny"} 1.0'
    return calls in text and 'orphan_captures_total{provider="tiny"} 0.0' in text


def test_the_guide_names_what_the_third_one_touches() -> None:
    (page,) = (ROOT / "docs").rglob("providers.md")
    _, _, guide = page.read_text().partition("## Adding a provider")
    named = set(re.findall(r"`(\S+\.py)`", guide.partition("\n## ")[0]))
    assert {name for name in named if name.startswith("service/")} == {CATALOG, *READ_ONLY}
