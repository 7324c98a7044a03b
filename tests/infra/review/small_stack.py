"""A stack of a few objects to break, and tools to break it with."""

import copy
from collections.abc import Callable
from typing import Any

import yaml

from infra.policy.objects import Stack

Edit = Callable[[dict[str, Any]], None]

OBJECTS = """
Namespace shop:
  apiVersion: v1
  metadata: {name: shop, labels: {pod-security.kubernetes.io/enforce: restricted}}
Deployment api:
  apiVersion: apps/v1
  metadata: {name: api, namespace: shop}
  spec:
    replicas: 3
    minReadySeconds: 5
    selector: {matchLabels: {app: api}}
    strategy: {type: RollingUpdate, rollingUpdate: {maxUnavailable: 0, maxSurge: 25%}}
    template:
      metadata: {labels: {app: api}}
      spec:
        serviceAccountName: api
        automountServiceAccountToken: false
        terminationGracePeriodSeconds: 30
        affinity:
          podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1}]}
        topologySpreadConstraints:
        - {topologyKey: zone, whenUnsatisfiable: ScheduleAnyway}
        - {topologyKey: host, whenUnsatisfiable: ScheduleAnyway}
        containers:
        - name: api
          image: shop:1
          args: [api]
          env:
          - {name: KEY, valueFrom: {secretKeyRef: {name: secrets, key: KEY}}}
          envFrom: [{configMapRef: {name: config}}]
          readinessProbe: {periodSeconds: 5, failureThreshold: 2}
          livenessProbe: {httpGet: {path: /live}, timeoutSeconds: 2}
          lifecycle: {preStop: {sleep: {seconds: 5}}}
          resources:
            requests: {cpu: 250m, memory: 192Mi}
            limits: {cpu: "1", memory: 384Mi}
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            runAsNonRoot: true
            capabilities: {drop: [ALL]}
            seccompProfile: {type: RuntimeDefault}
Service api:
  apiVersion: v1
  metadata: {name: api, namespace: shop}
  spec:
    type: ClusterIP
    selector: {app: api}
    ports: [{name: http, port: 80, protocol: TCP}]
HorizontalPodAutoscaler api:
  apiVersion: autoscaling/v2
  metadata: {name: api, namespace: shop}
  spec:
    minReplicas: 3
    maxReplicas: 20
    metrics:
    - {type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 70}}}
    - {type: Pods, pods: {metric: {name: busy}, target: {type: AverageValue, averageValue: "20"}}}
PodDisruptionBudget api:
  apiVersion: policy/v1
  metadata: {name: api, namespace: shop}
  spec: {minAvailable: 2, selector: {matchLabels: {app: api}}}
PodDisruptionBudget worker:
  apiVersion: policy/v1
  metadata: {name: worker, namespace: shop}
  spec: {maxUnavailable: 1, selector: {matchLabels: {app: worker}}}
NetworkPolicy deny-all:
  apiVersion: networking.k8s.io/v1
  metadata: {name: deny-all, namespace: shop}
  spec: {podSelector: {}, policyTypes: [Egress, Ingress]}
NetworkPolicy database:
  apiVersion: networking.k8s.io/v1
  metadata: {name: database, namespace: shop}
  spec:
    podSelector: {matchLabels: {app: api}}
    policyTypes: [Egress]
    egress:
    - {to: [{ipBlock: {cidr: 10.1.0.0/24}}], ports: [{port: 5432, protocol: TCP}]}
Secret secrets:
  apiVersion: v1
  metadata: {name: secrets, namespace: shop}
  data: {KEY: eA==, OLD: eA==}
ConfigMap config:
  apiVersion: v1
  metadata:
    name: config
    namespace: shop
    annotations: {coinslot.dev/database-connections: "90"}
  data: {LOG_LEVEL: info}
ServiceAccount api:
  apiVersion: v1
  metadata: {name: api, namespace: shop}
  automountServiceAccountToken: false
ConfigMap adapter:
  apiVersion: v1
  metadata: {name: adapter, namespace: shop, labels: {coinslot.dev/prometheus-adapter-rules: "1"}}
  data: {config.yaml: "rules: [1]"}
ConfigMap overview:
  apiVersion: v1
  metadata: {name: overview, namespace: shop, labels: {grafana_dashboard: "1"}}
  data:
    overview.json: '{"panels": [{"title": "Rate", "targets": [{"refId": "A", "expr": "up"}]}]}'
PersistentVolumeClaim data:
  apiVersion: v1
  metadata: {name: data, namespace: shop}
  spec: {storageClassName: fast}
Job migrate-0a1b2c3d:
  apiVersion: batch/v1
  metadata:
    name: migrate-0a1b2c3d
    namespace: shop
    labels: {app.kubernetes.io/component: migrate}
  spec:
    template:
      spec:
        automountServiceAccountToken: false
        containers: [{name: migrate, image: "shop:1"}]
ServiceMonitor shop:
  apiVersion: monitoring.coreos.com/v1
  metadata: {name: shop, namespace: shop, labels: {release: prometheus}}
  spec:
    selector: {matchLabels: {app: api}}
    endpoints: [{port: http, path: /metrics, interval: 15s}]
PrometheusRule shop:
  apiVersion: monitoring.coreos.com/v1
  metadata: {name: shop, namespace: shop, labels: {release: prometheus}}
  spec:
    groups:
    - name: payments
      rules:
      - {record: "job:errors:rate5m", expr: "rate(errors_total[5m])"}
      - alert: ErrorsHigh
        expr: sum(rate(errors_total{job="a>1"}[5m])) / sum(rate(all_total[5m])) > 0.05
        for: 5m
        labels: {severity: critical, team: payments}
      - {alert: TooFew, expr: "rate(all_total[5m]) < 0.5", for: 5m, labels: {severity: warning}}
"""

Objects = dict[str, dict[str, Any]]


def objects() -> Objects:
    """Return fresh objects by their titles."""
    found: Objects = yaml.safe_load(OBJECTS)
    for name, obj in found.items():
        obj["kind"] = name.partition(" ")[0]
    return found


def stack(*edits: Callable[[Objects], None]) -> Stack:
    """Return the stack after the edits."""
    made = copy.deepcopy(objects())
    for edit in edits:
        edit(made)
    return Stack(list(made.values()))


def put(title: str, path: str, value: Any) -> Callable[[Objects], None]:
    """Return an edit that sets a value; a number in the dotted path is an index of a list."""

    def edit(made: Objects) -> None:
        *steps, last = _steps(path)
        _walk(made[title], steps)[last] = value

    return edit


def cut(title: str, path: str = "") -> Callable[[Objects], None]:
    """Return an edit that removes an object, or something of it."""

    def edit(made: Objects) -> None:
        if not path:
            del made[title]
            return
        *steps, last = _steps(path)
        del _walk(made[title], steps)[last]

    return edit


def add(obj: dict[str, Any]) -> Callable[[Objects], None]:
    """Return an edit that adds an object."""

    def edit(made: Objects) -> None:
        made[f"{obj['kind']} {obj['metadata']['name']}"] = obj

    return edit


def _steps(path: str) -> list[str | int]:
    return [int(step) if step.isdigit() else step for step in path.split(".")]


def _walk(obj: Any, steps: list[str | int]) -> Any:
    for step in steps:
        obj = obj[step]
    return obj
