"""Enforces NetworkPolicies on one node, with nftables: a stand-in for a network plugin that does.

    python -m scripts.cluster.policies KUBECONFIG POD_RANGE

Runs in the node's network, through which every packet of its pods is routed. It watches pods,
namespaces and policies, and with each change replaces one table at once. A pod of this node that it
doesn't know yet has no connection at all. What a policy is: https://kubernetes.io/docs/concepts/
services-networking/network-policies/. A change does not end connections that are there already.
"""

import json
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from ipaddress import IPv4Network, collapse_addresses
from pathlib import Path
from typing import Any, Final

import yaml

TABLE: Final = "coinslot_policies"
RESOURCES: Final = {
    "pods": "/api/v1/pods",
    "namespaces": "/api/v1/namespaces",
    "policies": "/apis/networking.k8s.io/v1/networkpolicies",
}
WATCH_S: Final = 300
READ_TIMEOUT_S: Final = WATCH_S + 30.0
NFT_TIMEOUT_S: Final = 10.0
RETRY_S: Final = 1.0
ENDED: Final = frozenset({"Succeeded", "Failed"})
HOOKS: Final = ("forward", "input")
"""What is routed, and what is for the node itself; what a node sends its pods is never stopped."""
DIRECTIONS: Final = {"Egress": ("egress", "to", "daddr"), "Ingress": ("ingress", "from", "saddr")}

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Pod:
    namespace: str
    address: str
    labels: Mapping[str, str]
    ports: Mapping[tuple[str, str], int]
    """Numbers by name and protocol."""


@dataclass(frozen=True, slots=True)
class World:
    """What decides: pods with an address, the namespaces' labels, the policies."""

    pods: list[Pod]
    namespaces: Mapping[str, Mapping[str, str]]
    policies: list[Object]


def selects(selector: Object, labels: Mapping[str, str]) -> bool:
    exact = selector.get("matchLabels") or {}
    return all(labels.get(key) == value for key, value in exact.items()) and all(
        _holds(each, labels) for each in selector.get("matchExpressions") or ()
    )


def _holds(expression: Object, labels: Mapping[str, str]) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case other:
            raise ValueError(f"no such operator: {other}")


def table(world: World, pod_range: str) -> str:
    """Return the nftables table that lets through what the policies allow, and nothing else."""
    chains, jumps = [], []
    for pod in world.pods:
        mine = [each for each in world.policies if _applies(each, pod)]
        for direction in DIRECTIONS:
            isolating = [each for each in mine if direction in each["spec"]["policyTypes"]]
            if isolating:
                name = f"{direction.lower()}_{pod.address.replace('.', '_')}"
                allowed = dict.fromkeys(
                    rule for each in isolating for rule in _rules(each, direction, pod, world)
                )
                body = "".join(f"    {rule} return\n" for rule in allowed)
                chains.append(f"  chain {name} {{\n{body}    drop\n  }}\n")
                side = "saddr" if direction == "Egress" else "daddr"
                jumps.append(f"    ip {side} {pod.address} jump {name}\n")
    known = ", ".join(sorted({pod.address for pod in world.pods}))
    unknown = f"{pod_range} ip {{}} != {{{{ {known} }}}}" if known else f"{pod_range}"
    closed = "".join(f"    ip {side} {unknown.format(side)} drop\n" for side in ("saddr", "daddr"))
    hooks = "".join(
        f"  chain {hook} {{\n    type filter hook {hook} priority filter; policy accept;\n"
        f"    ct state established,related accept\n{closed}{''.join(jumps)}  }}\n"
        for hook in HOOKS
    )
    whole = f"table ip {TABLE} {{\n{''.join(chains)}{hooks}}}\n"
    return f"table ip {TABLE}\ndelete table ip {TABLE}\n{whole}"


def _applies(policy: Object, pod: Pod) -> bool:
    same = policy["metadata"]["namespace"] == pod.namespace
    return same and selects(policy["spec"].get("podSelector") or {}, pod.labels)


def _rules(policy: Object, direction: str, pod: Pod, world: World) -> Iterator[str]:
    """Yield the matches of packets that the policy allows; an empty one matches all."""
    key, peers_key, side = DIRECTIONS[direction]
    for rule in policy["spec"].get(key) or ():
        for port in rule.get("ports") or (None,):
            if not rule.get(peers_key):
                yield from _match("", port, pod if direction == "Ingress" else None)
                continue
            for peer in rule[peers_key]:
                if "ipBlock" in peer:
                    for block in blocks(peer["ipBlock"]):
                        yield from _match(f"ip {side} {block}", port, None)
                    continue
                for other in _peers(peer, policy["metadata"]["namespace"], world):
                    target = pod if direction == "Ingress" else other
                    yield from _match(f"ip {side} {other.address}", port, target)


def _match(address: str, port: Object | None, target: Pod | None) -> Iterator[str]:
    """Yield a match of address and port; none if the target has no port of that name."""
    if port is None:
        yield address or "meta l4proto { tcp, udp, sctp, icmp }"
        return
    protocol = port.get("protocol", "TCP")
    number = port.get("port")
    if isinstance(number, str):
        number = target.ports.get((number, protocol)) if target else None
        if number is None:
            return
    if number is None:
        yield f"{address} meta l4proto {protocol.lower()}"
        return
    last = f"-{port['endPort']}" if "endPort" in port else ""
    yield f"{address} {protocol.lower()} dport {number}{last}".strip()


def _peers(peer: Object, namespace: str, world: World) -> Iterator[Pod]:
    for pod in world.pods:
        spaces = peer.get("namespaceSelector")
        near = pod.namespace == namespace
        there = near if spaces is None else selects(spaces, world.namespaces[pod.namespace])
        if there and selects(peer.get("podSelector") or {}, pod.labels):
            yield pod


def blocks(block: Object) -> Iterable[IPv4Network]:
    """Return a range without its exceptions, as few ranges as there can be; none of IPv6's."""
    if ":" in block["cidr"]:
        return []
    left = [IPv4Network(block["cidr"], strict=False)]
    for gap in (IPv4Network(each, strict=False) for each in block.get("except") or ()):
        left = [part for each in left for part in _without(each, gap)]
    return collapse_addresses(left)


def _without(whole: IPv4Network, gap: IPv4Network) -> list[IPv4Network]:
    if not whole.overlaps(gap):
        return [whole]
    return list(whole.address_exclude(gap)) if gap.subnet_of(whole) else []


def pod_of(document: Object) -> Pod | None:
    """Return a pod of the cluster's network, or None when it has no address of its own now."""
    status, spec = document.get("status") or {}, document["spec"]
    address = status.get("podIP")
    if not address or spec.get("hostNetwork") or status.get("phase") in ENDED:
        return None
    ports = {
        (each["name"], each.get("protocol", "TCP")): each["containerPort"]
        for container in spec["containers"]
        for each in container.get("ports") or ()
        if "name" in each
    }
    metadata = document["metadata"]
    return Pod(metadata["namespace"], address, metadata.get("labels") or {}, ports)


class Watch:
    """The objects of the API server, kept up to date by a thread for each resource."""

    def __init__(self, kubeconfig: str) -> None:
        document = yaml.safe_load(Path(kubeconfig).read_text(encoding="utf-8"))
        cluster, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
        self._server = cluster["server"]
        self._context = ssl.create_default_context(cafile=cluster["certificate-authority"])
        self._context.load_cert_chain(user["client-certificate"], user["client-key"])
        self._lock = threading.Lock()
        self._objects: dict[str, dict[str, Object]] = {}
        self.changed = threading.Event()
        for name, path in RESOURCES.items():
            threading.Thread(target=self._follow, args=(name, path), daemon=True).start()

    def world(self) -> World | None:
        """Return what is there now, or None while something was not read yet."""
        with self._lock:
            if len(self._objects) < len(RESOURCES):
                return None
            documents = {name: list(found.values()) for name, found in self._objects.items()}
        spaces = {
            each["metadata"]["name"]: each["metadata"].get("labels") or {}
            for each in documents["namespaces"]
        }
        pods = [pod for each in documents["pods"] if (pod := pod_of(each))]
        there = [pod for pod in pods if pod.namespace in spaces]
        return World(there, spaces, documents["policies"])

    def _follow(self, name: str, path: str) -> None:
        while True:
            try:
                with self._open(path) as answer:
                    listing = json.load(answer)
                found = {each["metadata"]["uid"]: each for each in listing["items"]}
                self._set(name, found)
                self._watch(
                    name,
                    f"{path}?watch=1&timeoutSeconds={WATCH_S}&resourceVersion="
                    f"{listing['metadata']['resourceVersion']}",
                )
            except (OSError, ValueError, KeyError, HTTPException) as error:
                print(f"{name}: {error!r}", flush=True)
                time.sleep(RETRY_S)

    def _watch(self, name: str, path: str) -> None:
        with self._open(path) as answer:
            for line in answer:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return  # too old: list again
                uid = event["object"]["metadata"]["uid"]
                with self._lock:
                    if event["type"] == "DELETED":
                        self._objects[name].pop(uid, None)
                    else:
                        self._objects[name][uid] = event["object"]
                self.changed.set()

    def _set(self, name: str, found: dict[str, Object]) -> None:
        with self._lock:
            self._objects[name] = found
        self.changed.set()

    def _open(self, path: str) -> Any:
        return urllib.request.urlopen(  # noqa: S310  the cluster's own
            f"{self._server}{path}", context=self._context, timeout=READ_TIMEOUT_S
        )


def main() -> None:
    kubeconfig, pod_range = sys.argv[1:]
    watch, applied = Watch(kubeconfig), ""
    while True:
        watch.changed.wait()
        watch.changed.clear()
        world = watch.world()
        text = table(world, pod_range) if world else applied
        if text != applied and _apply(text):
            applied = text


def _apply(text: str) -> bool:
    """Replace the table at once; one that the kernel refuses leaves what is there."""
    done = subprocess.run(
        ("nft", "-f", "-"),
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=NFT_TIMEOUT_S,
    )
    said = f"refused: {done.stderr}" if done.returncode else f"{text.count('return')} rules"
    print(f"{time.strftime('%T')} {said}", flush=True)
    return not done.returncode


if __name__ == "__main__":
    main()
