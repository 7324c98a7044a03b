//go:build tools

// Package tools pins stripe-mock, Stripe's own API double that the stripe provider is tested on.
package tools

import _ "github.com/stripe/stripe-mock"
