"""The first process of a cluster's control plane: its network, its programs, the way in.

Started in namespaces of its own (scripts.cluster.namespaces). It keeps one socket of the machine's
network, through which kubectl and the engine reach the API server, and lives in another network.
"""

import asyncio
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from watchfiles import Change, awatch

from scripts.cluster import layout as at
from scripts.cluster.certificates import Pair
from scripts.cluster.control_plane import ADMINS, ControlPlane, Options, control_plane
from scripts.cluster.control_plane import write_kubeconfig as write
from scripts.cluster.layout import Layout
from scripts.cluster.namespaces import leave_network
from scripts.platform.embedded import LOOPBACK
from scripts.platform.processes import Child

COMMAND_TIMEOUT_S: Final = 10.0
CHUNK_BYTES: Final = 1 << 16
CONNECTIONS: Final = 512  # each engine and kubectl has a handful
NODE_GROUP: Final = "system:nodes"
PROXY_USER: Final = "system:kube-proxy"
ENFORCER: Final = "policies"
ARGUMENTS: Final = {
    # Volumes for claims; a cluster of one machine has no other storage.
    "kube-controller-manager": ("--enable-hostpath-provisioner=true",),
}


def main() -> None:
    layout = Layout(Path(sys.argv[1]))
    way_in = socket.create_server((LOOPBACK, 0), backlog=CONNECTIONS)
    mount_volumes(layout)
    leave_network()
    _make_bridge()
    options = Options(arguments=ARGUMENTS, address=at.CONTROL_ADDRESS, port=at.API_PORT)
    with control_plane(layout.folder / at.CONTROL, options) as plane:
        _issue(plane, layout)
        _open(plane, layout, way_in.getsockname()[1])
        asyncio.run(_run(layout, way_in, plane))


def mount_volumes(layout: Layout) -> None:
    """Show the cluster's volumes at the one place where the provisioner of Kubernetes makes any."""
    layout.volumes.mkdir(parents=True, exist_ok=True)
    if not at.VOLUMES.exists():
        at.VOLUMES.mkdir()
        layout.owns_volumes.touch()
    run("mount", "--bind", str(layout.volumes), str(at.VOLUMES))


def _make_bridge() -> None:
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", at.BRIDGE, "type", "bridge")
    run("ip", "address", "add", f"{at.CONTROL_ADDRESS}/{at.MASK}", "dev", at.BRIDGE)
    run("ip", "link", "set", at.BRIDGE, "up")
    run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    for node in at.NODES:
        run("ip", "route", "add", at.pod_range(node), "via", at.node_address(node))


def _issue(plane: ControlPlane, layout: Layout) -> None:
    """Write keys and kubeconfigs for the nodes' programs."""
    server = f"https://{at.CONTROL_ADDRESS}:{at.API_PORT}"
    users = {
        node: plane.authority.issue(
            node, f"system:node:{node}", group=NODE_GROUP, hosts=(node, at.node_address(node))
        )
        for node in at.NODES
    }
    users["kube-proxy"] = plane.authority.issue("kube-proxy", PROXY_USER)
    users[ENFORCER] = plane.authority.issue(ENFORCER, ENFORCER, group=ADMINS)
    for user, pair in users.items():
        write(layout.inside(user), server, plane.authority, pair)


def _open(plane: ControlPlane, layout: Layout, port: int) -> None:
    """Write the administrator's kubeconfig, whose presence says that all is ready."""
    folder = layout.keys
    admin = Pair(folder / "admin.crt", folder / "admin.key")
    draft = layout.folder / "kubeconfig.draft"
    write(draft, f"https://{LOOPBACK}:{port}", plane.authority, admin)
    draft.rename(layout.kubeconfig)


async def _run(layout: Layout, way_in: socket.socket, plane: ControlPlane) -> None:
    ends = (_until_dead(child) for child in plane.children)
    await asyncio.gather(_serve(way_in), _open_volumes(layout), *ends)


async def _until_dead(child: Child) -> None:
    """End the control plane with one of its programs: half of one serves nobody."""
    await child.exited()
    raise child.died()


async def _open_volumes(layout: Layout) -> None:
    """Let everybody write to each new volume: the provisioner makes them root's, and pods aren't.

    A kubelet gives a cloud's disk to a pod's fsGroup, and leaves a folder of the node as it is.
    """
    async for changes in awatch(layout.volumes, recursive=False):
        for change, path in changes:
            if change is Change.added:
                with suppress(FileNotFoundError):
                    Path(path).chmod(0o777)


async def _serve(way_in: socket.socket) -> None:
    server = await asyncio.start_server(_pass_on, sock=way_in)
    async with server:
        await server.serve_forever()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Connect a client with the API server, until both have ended."""
    try:
        there, to_there = await asyncio.open_connection(LOOPBACK, at.API_PORT)
    except OSError:
        writer.close()
        return
    try:
        await asyncio.gather(_copy(reader, to_there), _copy(there, writer))
    finally:
        for each in (writer, to_there):
            each.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


def run(*command: str) -> None:
    """Run a command to its end; what it says goes to our log."""
    subprocess.run(command, check=True, timeout=COMMAND_TIMEOUT_S)


if __name__ == "__main__":
    main()
