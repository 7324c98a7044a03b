//go:build tools

// Package tools pins what measures the CPU and memory of a cluster's pods.
package tools

import _ "sigs.k8s.io/metrics-server/cmd/metrics-server"
