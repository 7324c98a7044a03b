//go:build tools

// Package tools pins the programs of the Prometheus operator, and the module of its definitions.
package tools

import (
	_ "github.com/prometheus-operator/prometheus-operator/cmd/admission-webhook"
	_ "github.com/prometheus-operator/prometheus-operator/cmd/operator"
	_ "github.com/prometheus-operator/prometheus-operator/cmd/prometheus-config-reloader"
)
