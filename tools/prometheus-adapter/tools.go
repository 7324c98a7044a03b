//go:build tools

// Package tools pins what serves Prometheus' values to autoscalers.
package tools

import _ "sigs.k8s.io/prometheus-adapter/cmd/adapter"
