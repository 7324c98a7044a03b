//go:build tools

// Package tools pins etcd, where the Kubernetes API server keeps its objects.
package tools

import _ "go.etcd.io/etcd/server/v3"
