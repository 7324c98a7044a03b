"""A broken example for each rule about capacity, pods and references."""

from infra import labels
from tests.infra.stacks import (
    API,
    BUDGET,
    CONFIG,
    SCALER,
    WORKER,
    Break,
    add,
    apart,
    container,
    drop,
    get,
    pod,
    spec,
)

# What is done to staging, the rule that sees it, and what it says.
BREAKS: dict[str, tuple[Break, str]] = {
    "a budget as large as the smallest scale": (
        lambda s: spec(s, BUDGET).update(minAvailable=3),
        "budget-below-minimum: PodDisruptionBudget coinslot-api keeps 3 pods",
    ),
    "a budget that broken pods can hold": (
        lambda s: spec(s, BUDGET).pop("unhealthyPodEvictionPolicy"),
        "budget-below-minimum: PodDisruptionBudget coinslot-api lets broken pods",
    ),
    "a budget that lets nobody go": (
        lambda s: spec(s, BUDGET, WORKER).update(maxUnavailable=0),
        "budget-below-minimum: PodDisruptionBudget coinslot-worker lets no pod go",
    ),
    "a budget that lets everybody go": (
        lambda s: spec(s, BUDGET, WORKER).update(maxUnavailable="100%"),
        "budget-below-minimum: PodDisruptionBudget coinslot-worker lets every pod go at once",
    ),
    "a budget in percent": (
        lambda s: spec(s, BUDGET).update(minAvailable="90%"),
        "budget-below-minimum: PodDisruptionBudget coinslot-api counts in percent",
    ),
    "a single pod": (
        lambda s: spec(s, "Deployment", WORKER).update(replicas=1),
        "more-than-one-pod: Deployment coinslot-worker runs with 1 pod",
    ),
    "an autoscaler that starts too low": (
        lambda s: spec(s, SCALER).update(minReplicas=2),
        "scale-in-range: HorizontalPodAutoscaler coinslot-api moves between 2 and 20",
    ),
    "an autoscaler that only takes away": (
        lambda s: spec(s, SCALER).update(behavior={"scaleUp": {"selectPolicy": "Disabled"}}),
        "scale-in-range: HorizontalPodAutoscaler coinslot-api never adds a pod",
    ),
    "an autoscaler without the metric of our own": (
        lambda s: spec(s, SCALER)["metrics"].pop(),
        "scale-in-range: HorizontalPodAutoscaler coinslot-api doesn't scale by CPU, memory and",
    ),
    "a container beside the service": (
        lambda s: pod(s)["containers"].append({**container(s), "name": "side", "ports": []}),
        "one-container: Deployment coinslot-api runs side beside the service",
    ),
    "a container before the service": (
        lambda s: pod(s).update(initContainers=[{**container(s), "name": "first"}]),
        "one-container: Deployment coinslot-api runs first beside the service",
    ),
    "a request above its limit": (
        lambda s: container(s)["resources"]["requests"].update(memory="1Gi"),
        "requests-within-limits: Deployment coinslot-api asks for 1Gi of memory, above its limit",
    ),
    "an image without a tag at a registry with a port": (
        lambda s: container(s, WORKER).update(image="registry:5000/coinslot"),
        "image-fixed: Deployment coinslot-worker runs registry:5000/coinslot",
    ),
    "no readiness probe": (
        lambda s: container(s).pop("readinessProbe"),
        "probed: Deployment coinslot-api has no readinessProbe",
    ),
    "a probe of a port that is not there": (
        lambda s: container(s)["livenessProbe"]["httpGet"].update(port=9),
        "probed: Deployment coinslot-api has a livenessProbe on port 9",
    ),
    "life that is readiness": (
        lambda s: container(s).update(livenessProbe=container(s)["readinessProbe"]),
        "liveness-differs: Deployment coinslot-api is restarted as soon as it isn't ready",
    ),
    "pods in one zone": (
        lambda s: pod(s)["topologySpreadConstraints"].pop(0),
        "spread-out: Deployment coinslot-api isn't spread over topology.kubernetes.io/zone",
    ),
    "a spread of other pods": (
        lambda s: apart(s).update(labelSelector={"matchLabels": {"a": "b"}}),
        "spread-out: Deployment coinslot-api isn't spread over kubernetes.io/hostname",
    ),
    "a spread that counts the pods before": (
        lambda s: apart(s).pop("matchLabelKeys"),
        "spread-out: Deployment coinslot-api is spread over kubernetes.io/hostname around the pods",
    ),
    "a rollout that never happens": (
        lambda s: spec(s, "Deployment").update(paused=True),
        "rolls-without-loss: Deployment coinslot-api is paused",
    ),
    "a rollout that takes pods away first": (
        lambda s: spec(s, "Deployment")["strategy"]["rollingUpdate"].update(maxUnavailable=1),
        "rolls-without-loss: Deployment coinslot-api takes pods away before others are ready",
    ),
    "a rollout without an end": (
        lambda s: spec(s, "Deployment").pop("progressDeadlineSeconds"),
        "rolls-without-loss: Deployment coinslot-api has no progressDeadlineSeconds",
    ),
    "too little time to drain": (
        lambda s: pod(s).update(terminationGracePeriodSeconds=25),
        "time-to-drain: Deployment coinslot-api is killed after 25 s and needs 25 s",
    ),
    "no hook before the stop": (
        lambda s: container(s).pop("lifecycle"),
        "time-to-drain: Deployment coinslot-api stops while requests still arrive",
    ),
    "a setting that nobody gives": (
        lambda s: get(s, "ConfigMap", CONFIG)["data"].pop("JWT_ISSUER"),
        "settings-complete: Job coinslot-migrate-",
    ),
    "a secret in a ConfigMap": (
        lambda s: get(s, "ConfigMap", CONFIG)["data"].update(JWT_SECRET="x"),
        "settings-complete: Deployment coinslot-api has the secret JWT_SECRET in plain text",
    ),
    "a secret that nobody gives": (
        lambda s: container(s)["env"].pop(0),
        "settings-complete: Deployment coinslot-api is not given DATABASE_URL",
    ),
    "the owner's login for who serves": (
        lambda s: container(s)["env"].append(
            {
                "name": "MIGRATION_DATABASE_URL",
                "valueFrom": {"secretKeyRef": {"name": "x", "key": "MIGRATION_DATABASE_URL"}},
            }
        ),
        "settings-complete: Deployment coinslot-api is given MIGRATION_DATABASE_URL, which",
    ),
    "the key of buyers' tokens for who asks nobody for one": (
        lambda s: container(s, WORKER)["env"].append(
            {
                "name": "JWT_SECRET",
                "valueFrom": {"secretKeyRef": {"name": "x", "key": "JWT_SECRET"}},
            }
        ),
        "settings-complete: Deployment coinslot-worker is given JWT_SECRET, which",
    ),
    "the key of games for the API, under another name": (
        lambda s: container(s)["env"].append(
            {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "x", "key": "LIBRARY_TOKEN"}}}
        ),
        "settings-complete: Deployment coinslot-api is given LIBRARY_TOKEN, which",
    ),
    "the key of a provider that is not in use": (
        lambda s: get(s, "ConfigMap", CONFIG)["data"].update(
            PROVIDERS="stripe", DEFAULT_PROVIDER="stripe"
        ),
        "settings-complete: Deployment coinslot-api is given SIMULATOR_API_KEY, which",
    ),
    "the key of HS256 where it is off": (
        lambda s: get(s, "ConfigMap", CONFIG)["data"].update(JWT_HS256="off"),
        "settings-complete: Deployment coinslot-api is given JWT_SECRET, which",
    ),
    "a variable with two values": (
        lambda s: container(s)["env"].append({"name": "LOG_LEVEL", "value": "debug"}),
        "variables-once: Deployment coinslot-api is given LOG_LEVEL twice",
    ),
    "a configuration that is not what it was named for": (
        lambda s: get(s, "ConfigMap", CONFIG)["data"].update(LOG_LEVEL="debug"),
        "configuration-kept: Deployment coinslot-api is configured by ConfigMap coinslot-config,",
    ),
    "a configuration that can change": (
        lambda s: get(s, "ConfigMap", CONFIG).pop("immutable"),
        "configuration-kept: Job coinslot-migrate is configured by ConfigMap coinslot-config, w",
    ),
    "a low port": (
        lambda s: container(s)["ports"][0].update(containerPort=80),
        "ports-plain: Deployment coinslot-api has port 80 below 1024",
    ),
    "a Job without a deadline": (
        lambda s: next(s.of("Job"))["spec"].pop("activeDeadlineSeconds"),
        "jobs-end: Job coinslot-migrate-",
    ),
    "a Job that is started again": (
        lambda s: next(s.of("Job"))["spec"]["template"]["spec"].update(restartPolicy="OnFailure"),
        "jobs-end: Job coinslot-migrate-",
    ),
    "another Job that stays": (
        lambda s: add(s, {**next(s.of("Job")), "metadata": {"name": "other"}}),
        "jobs-expire: Job other stays after it has finished",
    ),
    "settings that pods have not seen": (
        lambda s: get(s, "ConfigMap", CONFIG)["data"].update(LOG_LEVEL="debug"),
        "configuration-rolls-pods: Deployment coinslot-worker is marked",
    ),
    "a Service of everybody": (
        lambda s: spec(s, "Service")["selector"].pop(labels.COMPONENT),
        "selectors-apart: Service coinslot-api selects the pods of Deployment coinslot-api, Dep",
    ),
    "a Service's port that no pod has": (
        lambda s: container(s)["ports"][0].update(name="web"),
        "service-ports-exist: Deployment coinslot-api has no port http",
    ),
    "a monitor of nothing": (
        lambda s: spec(s, "ServiceMonitor", "coinslot").update(
            selector={"matchLabels": {"a": "b"}}
        ),
        "monitored-ports-exist: ServiceMonitor coinslot finds no Service",
    ),
    "a monitored port that no Service has": (
        lambda s: spec(s, "ServiceMonitor", "coinslot")["endpoints"][0].update(port="metrics"),
        "monitored-ports-exist: Service coinslot-api has no port metrics",
    ),
    "a metric that nobody serves": (
        lambda s: drop(s, "ConfigMap", "coinslot-adapter-rules"),
        "scaled-metric-served: HorizontalPodAutoscaler coinslot-api scales by active_payments",
    ),
    "an account that is not there": (
        lambda s: drop(s, "ServiceAccount", API),
        "named-objects-exist: Deployment coinslot-api names ServiceAccount coinslot-api",
    ),
    "a mounted ConfigMap that is not there": (
        lambda s: pod(s)["volumes"].append({"name": "v", "configMap": {"name": "gone"}}),
        "named-objects-exist: Deployment coinslot-api names ConfigMap gone",
    ),
    "an object in another namespace": (
        lambda s: get(s, "Service", API)["metadata"].update(namespace="default"),
        "namespace-explicit: Service coinslot-api is in namespace default",
    ),
    "one name twice": (
        lambda s: add(s, get(s, "Service", API)),
        "names-unique: Service coinslot-api is there 2 times",
    ),
    "an object without a label": (
        lambda s: get(s, "Service", API)["metadata"]["labels"].pop(labels.INSTANCE),
        "labelled: Service coinslot-api has no label app.kubernetes.io/instance",
    ),
    "a dashboard that Grafana doesn't find": (
        lambda s: get(s, "ConfigMap", "coinslot-dashboard-coinslot-overview")["metadata"][
            "labels"
        ].pop(labels.DASHBOARD),
        "dashboards-found: ConfigMap coinslot-dashboard-coinslot-overview is a dashboard without",
    ),
}
