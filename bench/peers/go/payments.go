package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/google/uuid"
)

const (
	maxBody      = 65_536
	lockDuration = 30 * time.Second
	providerName = "simulator"
	micros       = "2006-01-02T15:04:05.000000Z"
)

var (
	visibleKey    = regexp.MustCompile(`^[\x21-\x7e]{1,255}$`)
	paymentMethod = regexp.MustCompile(`^[A-Za-z0-9_]{1,128}$`)
)

type api struct {
	store    store
	tokens   *tokens
	quotas   *quotas
	provider *provider
	metrics  *metrics
}

type createPayment struct {
	OrderID       uuid.UUID `json:"order_id"`
	Provider      *string   `json:"provider"`
	Capture       string    `json:"capture"`
	PaymentMethod string    `json:"payment_method"`
}

type paymentView struct {
	ID            uuid.UUID `json:"id"`
	OrderID       uuid.UUID `json:"order_id"`
	Status        string    `json:"status"`
	Provider      string    `json:"provider"`
	Capture       string    `json:"capture"`
	Currency      string    `json:"currency"`
	Amount        int64     `json:"amount"`
	Captured      int64     `json:"captured"`
	Refunded      int64     `json:"refunded"`
	RefundPending int64     `json:"refund_pending"`
	FailureCode   *string   `json:"failure_code"`
	NextAction    *string   `json:"next_action"`
	CreatedAt     string    `json:"created_at"`
	UpdatedAt     string    `json:"updated_at"`
}

// createPayment pays an order: one transaction, one call to the provider, one transaction.
func (a *api) createPayment(w http.ResponseWriter, r *http.Request, seen *facts) {
	who, refused := a.tokens.caller(r.Header.Get("Authorization"))
	seen.user = who.user
	wait, err := a.quotas.admit(r.Context(), w, r, who.user)
	if err != nil {
		unavailable(w, seen, err)
		return
	}
	if wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(wait))
		refuse(w, seen, http.StatusTooManyRequests, "rate_limited", "Too many requests")
		return
	}
	if refused != nil {
		w.Header().Set("WWW-Authenticate", `Bearer realm="coinslot", error="invalid_token"`)
		refuse(w, seen, http.StatusUnauthorized, "unauthenticated", "Send a valid bearer token")
		return
	}
	if !who.may(writeScope) {
		refuse(w, seen, http.StatusForbidden, "scope_missing", errScope.Error())
		return
	}
	key := r.Header.Get("Idempotency-Key")
	if !visibleKey.MatchString(key) {
		refuse(w, seen, http.StatusBadRequest, "idempotency_key_invalid", "Send one Idempotency-Key")
		return
	}
	body, ok := readBody(w, r, seen)
	if !ok {
		return
	}
	seen.order = body.OrderID.String()
	a.pay(w, r, seen, newPayment(who.user, key, seen.correlationID, body))
}

func readBody(w http.ResponseWriter, r *http.Request, seen *facts) (createPayment, bool) {
	body := createPayment{Capture: "automatic", PaymentMethod: "pm_ok"}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil ||
		kind != "application/json" {
		refuse(w, seen, http.StatusUnsupportedMediaType, "unsupported_media_type", "Send JSON")
		return body, false
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		refuse(w, seen, http.StatusRequestEntityTooLarge, "payload_too_large", "The body is too large")
		return body, false
	}
	if !json.Valid(raw) {
		refuse(w, seen, http.StatusBadRequest, "malformed_request", "The body is not JSON")
		return body, false
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	err = decoder.Decode(&body)
	valid := err == nil && body.OrderID != uuid.Nil && body.Capture == "automatic" &&
		paymentMethod.MatchString(body.PaymentMethod) &&
		(body.Provider == nil || *body.Provider == providerName)
	if !valid {
		refuse(w, seen, http.StatusUnprocessableEntity, "validation_failed", "The request is not valid")
	}
	return body, valid
}

func newPayment(user, key, correlationID string, body createPayment) payment {
	canonical, _ := json.Marshal(body) // strings and an id: it can't fail
	now := time.Now().UTC()
	return payment{
		caller:        user,
		key:           key,
		fingerprint:   sha256.Sum256(append([]byte("POST "+route+"\n"), canonical...)),
		id:            uuid.Must(uuid.NewV7()),
		attempt:       uuid.Must(uuid.NewV7()),
		ledger:        uuid.Must(uuid.NewV7()),
		order:         body.OrderID,
		capture:       body.Capture,
		paymentMethod: body.PaymentMethod,
		correlationID: correlationID,
		at:            now,
		lockedUntil:   now.Add(lockDuration),
	}
}

// pay goes on when the client has gone: what was begun is ended.
func (a *api) pay(w http.ResponseWriter, r *http.Request, seen *facts, p payment) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), requestTimeout)
	defer cancel()
	begun, err := a.store.begin(ctx, &p)
	if err != nil {
		unavailable(w, seen, err)
		return
	}
	if begun.state == replayState {
		w.Header().Set("Idempotent-Replayed", "true")
		answer(w, begun.status, []byte(begun.body))
		return
	}
	if begun.state != createdState {
		refusal := refusals[begun.state]
		refuse(w, seen, refusal.status, refusal.code, refusal.detail)
		return
	}
	seen.payment = p.id.String()
	made, err := a.provider.charge(ctx, p.attempt, p.correlationID, chargeRequest{
		p.amount, p.currency, p.capture == "automatic", p.paymentMethod, p.id.String(),
	})
	if err != nil || made.Status != "succeeded" || made.AmountCaptured != p.amount {
		slog.Warn("payment_outcome_unknown", "payment_id", seen.payment)
		answer(w, http.StatusAccepted, view(&p, "processing", p.at))
		return
	}
	done := time.Now().UTC()
	body := view(&p, "succeeded", done)
	if err := a.store.record(ctx, &p, made.ID, body, done); err != nil {
		unavailable(w, seen, err)
		return
	}
	a.metrics.payments.WithLabelValues("succeeded", providerName).Inc()
	answer(w, http.StatusCreated, body)
}

func view(p *payment, status string, updated time.Time) []byte {
	captured := int64(0)
	if status == "succeeded" {
		captured = p.amount
	}
	body, _ := json.Marshal(paymentView{ // strings, ids and numbers: it can't fail
		ID: p.id, OrderID: p.order, Status: status, Provider: providerName, Capture: p.capture,
		Currency: p.currency, Amount: p.amount, Captured: captured,
		CreatedAt: p.at.Format(micros), UpdatedAt: updated.Format(micros),
	})
	return body
}

func answer(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

func unavailable(w http.ResponseWriter, seen *facts, err error) {
	if errors.Is(err, errOwned) {
		refusal := refusals["owned"]
		refuse(w, seen, refusal.status, refusal.code, refusal.detail)
		return
	}
	slog.Error("unavailable", "error", err.Error(), "correlation_id", seen.correlationID)
	refuse(w, seen, http.StatusServiceUnavailable, "unavailable", "Try again later")
}
