// Pins the module whose custom resource definitions tests install; nothing of it is built.
module coinslot.invalid/tools/monitoring-definitions

go 1.24.0

require github.com/prometheus-operator/prometheus-operator v0.85.0
