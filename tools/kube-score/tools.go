//go:build tools

// Package tools pins kube-score, whose checklist the manifests must pass.
package tools

import _ "github.com/zegl/kube-score/cmd/kube-score"
