"""A payment provider that costs next to nothing: it accepts every charge at once.

It replaces the simulator, whose records would take a core. It is a process of its own behind real
HTTP, so the service does all its work for a payment.
"""

import argparse
import asyncio
from typing import Final

import msgspec

from service.providers.simulator.mapping import SimulatorCharge

HEAD_END: Final = b"\r\n\r\n"
LENGTH: Final = b"content-length:"


class _Charge(msgspec.Struct):
    amount: int
    currency: str
    reference: str


_decode = msgspec.json.Decoder(_Charge).decode
_encode = msgspec.json.Encoder().encode


class Provider(asyncio.Protocol):
    """One connection: complete requests are answered, in order; a rest waits for more."""

    def __init__(self) -> None:
        self._rest = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer what is complete."""
        self._rest += data
        while (end := self._rest.find(HEAD_END)) >= 0:
            start = end + len(HEAD_END)
            stop = start + _length(self._rest[:end])
            if len(self._rest) < stop:
                return
            body, self._rest = self._rest[start:stop], self._rest[stop:]
            if self._transport is not None:
                self._transport.write(_answer(body))


def _length(head: bytes) -> int:
    lowered = head.lower()
    at = lowered.find(LENGTH)
    return int(lowered[at + len(LENGTH) :].split(b"\r\n", 1)[0]) if at >= 0 else 0


def _answer(body: bytes) -> bytes:
    if not body:  # a readiness check
        return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    charge = _decode(body)
    made = _encode(
        SimulatorCharge(
            id=f"ch_{charge.reference}",
            status="succeeded",
            amount=charge.amount,
            currency=charge.currency,
            amount_captured=charge.amount,
            amount_refunded=0,
            reference=charge.reference,
            idempotency_key="",
            created=0,
        )
    )
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(made)}"
    return head.encode() + HEAD_END + made


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Provider, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    asyncio.run(_serve(parser.parse_args().port))
