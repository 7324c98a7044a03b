//go:build tools

// Package tools pins the Pulumi CLI that tools/bootstrap builds where it cannot be downloaded.
package tools

import _ "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
