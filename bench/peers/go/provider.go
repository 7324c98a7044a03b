package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/google/uuid"
)

const (
	providerTimeout  = 10 * time.Second
	idleConnections  = 1024 // as many as requests under way: net/http keeps 2 by default
	maxProviderBytes = 1 << 20
)

type provider struct {
	client *http.Client
	url    string
	key    string
}

type chargeRequest struct {
	Amount        int64  `json:"amount"`
	Currency      string `json:"currency"`
	Capture       bool   `json:"capture"`
	PaymentMethod string `json:"payment_method"`
	Reference     string `json:"reference"`
}

type charge struct {
	ID             string `json:"id"`
	Status         string `json:"status"`
	Amount         int64  `json:"amount"`
	Currency       string `json:"currency"`
	AmountCaptured int64  `json:"amount_captured"`
}

func newProvider(url, key string) *provider {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = idleConnections, idleConnections
	return &provider{
		&http.Client{Transport: transport, Timeout: providerTimeout}, url + "/provider/v1/charges", key,
	}
}

// charge takes the money, with the attempt's id as the provider's idempotency key.
func (p *provider) charge(
	ctx context.Context, attempt uuid.UUID, correlationID string, request chargeRequest,
) (charge, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return charge{}, err
	}
	call, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(body))
	if err != nil {
		return charge{}, err
	}
	call.Header.Set("Authorization", "Bearer "+p.key)
	call.Header.Set("Content-Type", "application/json")
	call.Header.Set("Idempotency-Key", attempt.String())
	call.Header.Set("X-Correlation-ID", correlationID)
	answer, err := p.client.Do(call)
	if err != nil {
		return charge{}, err
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(answer.Body, maxProviderBytes))
	if err != nil {
		return charge{}, err
	}
	if answer.StatusCode >= http.StatusBadRequest {
		return charge{}, fmt.Errorf("the provider answered %d", answer.StatusCode)
	}
	var made charge
	return made, json.Unmarshal(raw, &made)
}
