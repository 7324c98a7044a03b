//go:build tools

// Package tools pins kubeconform, which checks manifests against the schemas of the API server.
package tools

import _ "github.com/yannh/kubeconform/cmd/kubeconform"
