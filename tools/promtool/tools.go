//go:build tools

// Package tools pins promtool, which checks and tests the alert rules, and Prometheus itself, which
// runs them in tests.
package tools

import (
	_ "github.com/prometheus/prometheus/cmd/prometheus"
	_ "github.com/prometheus/prometheus/cmd/promtool"
)
