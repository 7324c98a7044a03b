// Pins the module whose OpenAPI document manifests are checked against; nothing of it is built.
module coinslot.invalid/tools/kubernetes-openapi-1.35

go 1.25.0

require k8s.io/kubernetes v1.35.4
