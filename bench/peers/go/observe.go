package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

const route = "/v1/payments"

var correlation = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// Headers of every answer, as the service sends them.
var safe = map[string]string{
	"Cache-Control":                "no-store",
	"X-Content-Type-Options":       "nosniff",
	"Content-Security-Policy":      "default-src 'none'; frame-ancestors 'none'",
	"X-Frame-Options":              "DENY",
	"Strict-Transport-Security":    "max-age=31536000; includeSubDomains",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Referrer-Policy":              "no-referrer",
}

type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	payments *prometheus.CounterVec
}

func newMetrics() *metrics {
	return &metrics{
		promauto.NewCounterVec(prometheus.CounterOpts{
			Name: "http_requests_total", Help: "Requests by route and status",
		}, []string{"method", "route", "status"}),
		promauto.NewHistogramVec(prometheus.HistogramOpts{
			Name: "http_request_duration_seconds", Help: "Duration of requests",
		}, []string{"method", "route"}),
		promauto.NewCounterVec(prometheus.CounterOpts{
			Name: "payments_total", Help: "Payments by status",
		}, []string{"status", "provider"}),
	}
}

// facts is what a handler leaves for the request's log line.
type facts struct {
	correlationID, user, payment, order string
}

// recorder remembers the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// observed gives a request its correlation id, its deadline, its metrics and its log line.
func (a *api) observed(handle func(http.ResponseWriter, *http.Request, *facts)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		started := time.Now()
		seen := &facts{correlationID: correlationOf(r.Header.Get("X-Correlation-ID"))}
		header := w.Header()
		for name, value := range safe {
			header.Set(name, value)
		}
		header.Set("X-Correlation-ID", seen.correlationID)
		ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
		defer cancel()
		recorded := &recorder{w, http.StatusOK}
		handle(recorded, r.WithContext(ctx), seen)
		took := time.Since(started)
		a.metrics.requests.WithLabelValues(r.Method, route, strconv.Itoa(recorded.status)).Inc()
		a.metrics.duration.WithLabelValues(r.Method, route).Observe(took.Seconds())
		slog.LogAttrs(ctx, slog.LevelInfo, "http_request",
			slog.String("correlation_id", seen.correlationID),
			slog.String("method", r.Method),
			slog.String("route", route),
			slog.Int("status", recorded.status),
			slog.String("user_id", seen.user),
			slog.String("payment_id", seen.payment),
			slog.String("order_id", seen.order),
			slog.Float64("duration_ms", float64(took.Microseconds())/1000),
		)
	}
}

func correlationOf(header string) string {
	if correlation.MatchString(header) {
		return header
	}
	var random [16]byte
	for at := range random {
		random[at] = byte(rand.Uint32())
	}
	return hex.EncodeToString(random[:])
}

type problem struct {
	Type          string `json:"type"`
	Title         string `json:"title"`
	Status        int    `json:"status"`
	Detail        string `json:"detail"`
	Code          string `json:"code"`
	CorrelationID string `json:"correlation_id"`
}

// refuse answers with a problem document (RFC 9457).
func refuse(w http.ResponseWriter, seen *facts, status int, code, detail string) {
	body, err := json.Marshal(problem{
		"urn:coinslot:problem:" + code, http.StatusText(status), status, detail, code,
		seen.correlationID,
	})
	if err != nil {
		slog.Error("cannot_encode", "error", err.Error())
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
