"""Serve one provider to one engine: print the port, then answer until the engine is gone."""

import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from typing import Final

import grpc
from pulumi.runtime.proto import provider_pb2_grpc

from infra.render_provider.server import RenderProvider

MAX_MESSAGE_BYTES: Final = 400 * 1024 * 1024  # the engine's own limit
WORKERS: Final = 16  # the engine works on that many objects at a time by default
ORPHAN_POLL_S: Final = 2.0  # how soon a provider notices that its engine was killed
GRACE_S: Final = 5.0  # a call writes one small file; this is ample


def main() -> int:
    """Run until the engine ends us, or is gone itself."""
    engine = os.getppid()
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    server = grpc.server(
        ThreadPoolExecutor(max_workers=WORKERS),
        options=[
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ],
    )
    provider = RenderProvider(metadata.version("pulumi-kubernetes"))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    while not ended.wait(ORPHAN_POLL_S) and os.getppid() == engine:
        pass
    server.stop(GRACE_S).wait(GRACE_S)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
