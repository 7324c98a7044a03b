//go:build tools

// Package tools pins the Python language host that tools/bootstrap builds for the Pulumi CLI.
package tools

import _ "github.com/pulumi/pulumi/sdk/v3/python/cmd/pulumi-language-python"
