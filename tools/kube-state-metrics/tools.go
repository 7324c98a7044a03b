//go:build tools

// Package tools pins what turns a cluster's objects into metrics.
package tools

import _ "k8s.io/kube-state-metrics/v2"
