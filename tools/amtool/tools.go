//go:build tools

// Package tools pins amtool, which checks the example of Alertmanager's configuration.
package tools

import _ "github.com/prometheus/alertmanager/cmd/amtool"
