// A payment service as users of net/http and pgx write it: the benchmark's peer in Go.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/redis/go-redis/v9"
)

const (
	tunedGOGC      = 400 // the heap is small: fewer, larger collections
	readTimeout    = 5 * time.Second
	startTimeout   = 30 * time.Second
	stopTimeout    = 10 * time.Second
	requestTimeout = 15 * time.Second
)

func main() {
	mode := flag.String("mode", "plain", "plain: a statement a step; tuned: a function a transaction")
	flag.Parse()
	if err := run(*mode); err != nil {
		slog.Error("cannot_run", "error", err.Error())
		os.Exit(1)
	}
}

func run(mode string) error {
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stdout, nil)))
	if mode != "plain" && mode != "tuned" {
		return fmt.Errorf("-mode is %q: give plain or tuned", mode)
	}
	if mode == "tuned" {
		debug.SetGCPercent(tunedGOGC)
		uuid.EnableRandPool()
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	starting, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	pool, err := connect(starting)
	if err != nil {
		return err
	}
	defer pool.Close()
	api, err := newAPI(mode, pool)
	if err != nil {
		return err
	}
	return serve(ctx, api.routes(pool))
}

func connect(ctx context.Context) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(os.Getenv("DATABASE_URL"))
	if err != nil {
		return nil, fmt.Errorf("DATABASE_URL: %w", err)
	}
	size, err := number("POOL_SIZE")
	if err != nil {
		return nil, err
	}
	config.MaxConns, config.MinConns = int32(size), int32(size)
	return pgxpool.NewWithConfig(ctx, config)
}

func newAPI(mode string, pool *pgxpool.Pool) (*api, error) {
	files := os.Getenv("PEER_FILES")
	statements, err := readStatements(filepath.Join(files, "statements.sql"))
	if err != nil {
		return nil, err
	}
	script, err := os.ReadFile(filepath.Join(files, "quota.lua"))
	if err != nil {
		return nil, err
	}
	options, err := redis.ParseURL(os.Getenv("REDIS_URL"))
	if err != nil {
		return nil, fmt.Errorf("REDIS_URL: %w", err)
	}
	perUser, err := number("RATE_LIMIT_USER")
	if err != nil {
		return nil, err
	}
	perAddress, err := number("RATE_LIMIT_ADDRESS")
	if err != nil {
		return nil, err
	}
	var payments store = &plainStore{pool, statements}
	if mode == "tuned" {
		payments = &tunedStore{pool}
	}
	return &api{
		store:    payments,
		tokens:   newTokens(mode == "tuned"),
		quotas:   newQuotas(redis.NewClient(options), string(script), perUser, perAddress),
		provider: newProvider(os.Getenv("SIMULATOR_URL"), os.Getenv("SIMULATOR_API_KEY")),
		metrics:  newMetrics(),
	}, nil
}

func (a *api) routes(pool *pgxpool.Pool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/payments", a.observed(a.createPayment))
	mux.Handle("GET /metrics", promhttp.Handler())
	mux.HandleFunc("GET /health/ready", func(w http.ResponseWriter, r *http.Request) {
		if err := pool.Ping(r.Context()); err != nil {
			http.Error(w, "the database does not answer", http.StatusServiceUnavailable)
		}
	})
	return mux
}

func serve(ctx context.Context, handler http.Handler) error {
	server := &http.Server{
		Addr:              "127.0.0.1:" + os.Getenv("PORT"),
		Handler:           handler,
		ReadHeaderTimeout: readTimeout,
		ReadTimeout:       readTimeout,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := server.Shutdown(stopping); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

func number(name string) (int, error) {
	value, err := strconv.Atoi(os.Getenv(name))
	if err != nil || value < 1 {
		return 0, fmt.Errorf("%s is %q: give a number above 0", name, os.Getenv(name))
	}
	return value, nil
}
