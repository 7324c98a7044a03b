"""Examples of risks to objects, secrets and the network."""

from tests.infra.review.examples import (
    API,
    CONTAINER,
    DATABASE,
    EGRESS,
    example,
    more_secret,
    renamed,
)
from tests.infra.review.small_stack import add, cut, put

ROLE = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "Role",
    "metadata": {"name": "reader", "namespace": "shop"},
    "rules": [{"resources": ["secrets"], "verbs": ["get"]}],
}

EXAMPLES = [
    example(
        "object-replaced",
        "replaces the Service (spec.clusterIP is immutable): its address is gone",
        put("Service api", "spec.clusterIP", "None"),
        one_way=False,
    ),
    example("object-deleted", "deletes the Service: what it serves stops", cut("Service api")),
    example("data-deleted", "its data may go with it", cut("PersistentVolumeClaim data")),
    example(
        "needed-object-deleted",
        "deletes what Deployment api names: its pods won't start",
        cut("ServiceAccount api"),
    ),
    example(
        "needed-object-deleted",
        "deletes what Deployment api names: its pods won't start",
        cut("ConfigMap config"),
    ),
    example(
        "service-changed",
        "targetPort of port 80 changed: None → 9",
        put("Service api", "spec.ports.0.targetPort", 9),
        one_way=False,
    ),
    example(
        "service-changed",
        "name of port 80 changed: http → web",
        put("Service api", "spec.ports.0.name", "web"),
        one_way=False,
    ),
    example(
        "service-changed",
        "requests go to pods that are not ready",
        put("Service api", "spec.publishNotReadyAddresses", value=True),
    ),
    example(
        "containers-changed",
        "container web added (shop:1): nothing compares it",
        put(API, f"{CONTAINER}.name", "web"),
        one_way=False,
    ),
    example(
        "containers-changed",
        "init container first added (evil:1)",
        put(API, "spec.template.spec.initContainers", [{"name": "first", "image": "evil:1"}]),
        one_way=False,
    ),
    example("variable-removed", "variable KEY of api removed", cut(API, f"{CONTAINER}.env.0")),
    example(
        "variable-removed",
        "all variables of config removed from api",
        cut(API, f"{CONTAINER}.envFrom"),
    ),
    example(
        "selector-changed",
        "requests go to other pods",
        put("Service api", "spec.selector.app", "worker"),
        one_way=False,
    ),
    example(
        "service-port-removed",
        "port 80 removed: clients that use it fail",
        cut("Service api", "spec.ports.0"),
    ),
    example(
        "image-changed",
        "image of api changed: shop:1 → shop:2",
        put(API, f"{CONTAINER}.image", "shop:2"),
        one_way=False,
    ),
    example("migration-runs", "migration job runs before the rollout", renamed, one_way=False),
    example(
        "pods-restart",
        "restarts the pods of api",
        put(API, "spec.template.metadata.labels.v", "2"),
        one_way=False,
    ),
    example(
        "setting-changed",
        "setting LOG_LEVEL: 'info' → 'debug'",
        put("ConfigMap config", "data.LOG_LEVEL", "debug"),
        one_way=False,
    ),
    example(
        "secret-key-removed",
        "secret key KEY removed: pods of Deployment api won't start",
        cut("Secret secrets", "data.KEY"),
    ),
    example(
        "secret-key-removed",
        "secret key OLD removed: nobody requires it",
        cut("Secret secrets", "data.OLD"),
    ),
    example("secret-deleted", "pods of Deployment api won't start", cut("Secret secrets")),
    example(
        "secret-key-required",
        "secret key TOKEN of elsewhere is required now: pods won't start before it is there",
        more_secret,
    ),
    example(
        "secret-variable-removed",
        "secret key KEY of secrets removed from the pods",
        cut(API, f"{CONTAINER}.env.0"),
    ),
    example(
        "network-opened-to-the-world",
        "NetworkPolicy opens egress to 0.0.0.0/0:5432",
        put(DATABASE, EGRESS, "0.0.0.0/0"),
    ),
    example(
        "network-opened-to-the-world",
        "NetworkPolicy opens egress to everywhere:5432",
        cut(DATABASE, "spec.egress.0.to"),
    ),
    example(
        "network-opened-to-the-world",
        "NetworkPolicy opens egress to 169.254.169.254/32:5432",
        put(DATABASE, EGRESS, "169.254.169.254/32"),
    ),
    example(
        "network-opened-to-the-world",
        "NetworkPolicy opens egress to namespace any:5432",
        put(DATABASE, "spec.egress.0.to", [{"namespaceSelector": {"matchLabels": {}}}]),
    ),
    example(
        "network-closed",
        "NetworkPolicy closes egress to 10.1.0.0/24:5432",
        put(DATABASE, "spec.policyTypes", ["Ingress"]),
    ),
    example(
        "network-opened",
        "NetworkPolicy opens egress to 10.2.0.0/16:5432",
        put(DATABASE, EGRESS, "10.2.0.0/16"),
        one_way=False,
    ),
    example("network-closed", "NetworkPolicy closes egress to 10.1.0.0/24:5432", cut(DATABASE)),
    example(
        "network-selection-changed",
        "applies to other pods",
        put(DATABASE, "spec.podSelector", {}),
        one_way=False,
    ),
    example(
        "service-published",
        "published outside the cluster (type LoadBalancer)",
        put("Service api", "spec.type", "LoadBalancer"),
    ),
    example(
        "service-published",
        "Service is published at 203.0.113.7",
        put("Service api", "spec.externalIPs", ["203.0.113.7"]),
    ),
    example(
        "service-published",
        "requests leave for shop.example",
        put("Service api", "spec", {"type": "ExternalName", "externalName": "shop.example"}),
    ),
    example(
        "service-published",
        "created a HTTPRoute: read whom it lets in",
        add({"apiVersion": "v1", "kind": "HTTPRoute", "metadata": {"name": "door"}}),
    ),
    example(
        "rights-granted",
        "hands out tokens",
        cut("ServiceAccount api", "automountServiceAccountToken"),
    ),
    example(
        "rights-granted",
        "eks.amazonaws.com/role-arn is admin: the account may be somebody elsewhere",
        put("ServiceAccount api", "metadata.annotations", {"eks.amazonaws.com/role-arn": "admin"}),
    ),
    example("rights-granted", "created a Role: read which rights", add(ROLE)),
]
