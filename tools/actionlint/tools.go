//go:build tools

// Package tools pins actionlint, which checks the workflows below .github.
package tools

import _ "github.com/rhysd/actionlint/cmd/actionlint"
