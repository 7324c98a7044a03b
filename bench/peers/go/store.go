package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	createdState = "created"
	replayState  = "replay"
)

type refusal struct {
	status       int
	code, detail string
}

var refusals = map[string]refusal{
	"key_reused": {
		http.StatusUnprocessableEntity, "idempotency_key_reused", "This key belongs to another request",
	},
	"in_flight": {
		http.StatusConflict, "idempotency_key_in_flight", "The first request is still running",
	},
	"not_found":         {http.StatusNotFound, "not_found", "No such order"},
	"live_payment":      {http.StatusConflict, "live_payment_exists", "The order has a payment"},
	"order_not_payable": {http.StatusConflict, "order_not_payable", "The order can't be paid"},
	"owned":             {http.StatusConflict, "already_owned", "The user owns a game of the order"},
}

var errOwned = errors.New("another payment has reserved the game")

// payment is what a request wants to make; begin fills in the order's amount.
type payment struct {
	caller, key                           string
	fingerprint                           [sha256.Size]byte
	id, attempt, ledger, order            uuid.UUID
	capture, paymentMethod, correlationID string
	at, lockedUntil                       time.Time
	amount                                int64
	currency                              string
}

// begun is how a request began: the state, and the stored answer of a replay.
type begun struct {
	state  string
	status int
	body   string
}

type store interface {
	begin(ctx context.Context, p *payment) (begun, error)
	record(ctx context.Context, p *payment, providerRef string, body []byte, at time.Time) error
}

// plainStore runs a statement a step, as ordinary code does.
type plainStore struct {
	pool *pgxpool.Pool
	sql  map[string]string
}

var heading = regexp.MustCompile(`(?m)^-- name: (\w+) .*$`)

func readStatements(path string) (map[string]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	headings := heading.FindAllSubmatchIndex(text, -1)
	for at, place := range headings {
		end := len(text)
		if at+1 < len(headings) {
			end = headings[at+1][0]
		}
		found[string(text[place[2]:place[3]])] = string(bytes.TrimRight(text[place[1]:end], "; \n"))
	}
	return found, nil
}

func (s *plainStore) begin(ctx context.Context, p *payment) (begun, error) {
	tx, err := s.pool.Begin(ctx)
	if err != nil {
		return begun{}, err
	}
	defer tx.Rollback(ctx)
	found, err := s.claim(ctx, tx, p)
	if err != nil || found.state != createdState {
		return found, err
	}
	if err := s.insert(ctx, tx, p); err != nil {
		return begun{}, asOwned(err)
	}
	return found, tx.Commit(ctx)
}

func (s *plainStore) claim(ctx context.Context, tx pgx.Tx, p *payment) (begun, error) {
	var fingerprint []byte
	var status *int
	var body *string
	err := tx.QueryRow(ctx, s.sql["find_key"], p.caller, p.key).Scan(&fingerprint, &status, &body)
	if err == nil {
		return known(p, fingerprint, status, body), nil
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return begun{}, err
	}
	var owner, state string
	var expires time.Time
	err = tx.QueryRow(ctx, s.sql["lock_order"], p.order).
		Scan(&owner, &state, &p.currency, &p.amount, &expires)
	if errors.Is(err, pgx.ErrNoRows) || (err == nil && owner != p.caller) {
		return begun{state: "not_found"}, nil
	}
	if err != nil {
		return begun{}, err
	}
	var live, owned bool
	if err := tx.QueryRow(ctx, s.sql["has_live_payment"], p.order).Scan(&live); err != nil {
		return begun{}, err
	}
	if err := tx.QueryRow(ctx, s.sql["owns_game"], p.caller, p.order).Scan(&owned); err != nil {
		return begun{}, err
	}
	switch {
	case live:
		return begun{state: "live_payment"}, nil
	case state != "pending" || !expires.After(p.at):
		return begun{state: "order_not_payable"}, nil
	case owned:
		return begun{state: "owned"}, nil
	}
	claimed, err := tx.Exec(ctx, s.sql["claim_key"],
		p.caller, p.key, p.fingerprint[:], p.id, p.at, p.lockedUntil)
	if err == nil && claimed.RowsAffected() == 0 {
		return begun{state: "in_flight"}, nil
	}
	return begun{state: createdState}, err
}

func known(p *payment, fingerprint []byte, status *int, body *string) begun {
	switch {
	case !bytes.Equal(fingerprint, p.fingerprint[:]):
		return begun{state: "key_reused"}
	case status == nil || body == nil:
		return begun{state: "in_flight"}
	}
	return begun{replayState, *status, *body}
}

func (s *plainStore) insert(ctx context.Context, tx pgx.Tx, p *payment) error {
	data, err := json.Marshal(map[string]any{
		"order_id": p.order, "provider": providerName, "attempt_id": p.attempt,
		"amount_minor": p.amount, "currency": p.currency, "capture": p.capture,
		"payment_method": p.paymentMethod,
	})
	if err != nil {
		return err
	}
	return s.run(ctx, tx, []step{
		{"insert_payment", []any{
			p.id, p.order, p.caller, providerName, p.capture, p.paymentMethod, p.currency, p.amount, p.at,
		}},
		{"reserve_games", []any{p.id, p.caller, p.at, p.order}},
		{"insert_attempt", []any{p.attempt, p.id, p.lockedUntil, p.at}},
		{"insert_event", []any{p.id, p.at, "payment_created", data, p.correlationID}},
	})
}

func (s *plainStore) record(
	ctx context.Context, p *payment, providerRef string, body []byte, at time.Time,
) error {
	tx, err := s.pool.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(ctx)
	var status string
	if err := tx.QueryRow(ctx, s.sql["lock_attempt"], p.attempt).Scan(&status); err != nil {
		return err
	}
	if status != "pending" && status != "unknown" {
		return fmt.Errorf("attempt %s is %s already", p.attempt, status)
	}
	data, err := json.Marshal(map[string]any{
		"attempt_id": p.attempt, "provider_ref": providerRef, "captured_minor": p.amount,
		"failure_code": nil,
	})
	if err != nil {
		return err
	}
	err = s.run(ctx, tx, []step{
		{"close_attempt", []any{p.attempt, at}},
		{"close_payment", []any{p.id, p.amount, providerRef, at}},
		{"close_order", []any{p.order, at}},
		{"insert_ledger_transaction", []any{p.ledger, p.id, at}},
		{"insert_ledger_entries", []any{
			p.ledger, "provider:" + providerName, "sales:games", p.amount, p.currency,
		}},
		{"insert_grant", []any{p.id, p.correlationID, at}},
		{"insert_event", []any{p.id, at, "payment_succeeded", data, p.correlationID}},
		{"store_answer", []any{p.caller, p.key, http.StatusCreated, string(body)}},
	})
	if err != nil {
		return err
	}
	return tx.Commit(ctx)
}

type step struct {
	name      string
	arguments []any
}

func (s *plainStore) run(ctx context.Context, tx pgx.Tx, steps []step) error {
	for _, each := range steps {
		done, err := tx.Exec(ctx, s.sql[each.name], each.arguments...)
		if err != nil {
			return fmt.Errorf("%s: %w", each.name, err)
		}
		if done.RowsAffected() == 0 {
			return fmt.Errorf("%s changed nothing", each.name)
		}
	}
	return nil
}

// tunedStore calls one function a transaction: a round trip each.
type tunedStore struct {
	pool *pgxpool.Pool
}

const (
	beginSQL = `SELECT state, answer_status, answer_body, amount_minor, currency
		FROM peers.begin_payment($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`
	recordSQL = `SELECT peers.record_outcome(
		$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`
)

func (s *tunedStore) begin(ctx context.Context, p *payment) (begun, error) {
	var found begun
	var status, amount *int64
	var body, currency *string
	err := s.pool.QueryRow(ctx, beginSQL,
		p.caller, p.key, p.fingerprint[:], p.id, p.attempt, p.order, providerName, p.capture,
		p.paymentMethod, p.correlationID, p.at, p.lockedUntil,
	).Scan(&found.state, &status, &body, &amount, &currency)
	if err != nil {
		return begun{}, asOwned(err)
	}
	if status != nil && body != nil {
		found.status, found.body = int(*status), *body
	}
	if amount != nil && currency != nil {
		p.amount, p.currency = *amount, *currency
	}
	return found, nil
}

func (s *tunedStore) record(
	ctx context.Context, p *payment, providerRef string, body []byte, at time.Time,
) error {
	var applied bool
	err := s.pool.QueryRow(ctx, recordSQL,
		p.caller, p.key, p.id, p.attempt, p.order, p.ledger, providerName, providerRef, p.amount,
		p.currency, p.correlationID, at, http.StatusCreated, string(body),
	).Scan(&applied)
	if err == nil && !applied {
		return fmt.Errorf("attempt %s has ended already", p.attempt)
	}
	return err
}

// asOwned names the race that a unique index decides: another payment took the order or the game.
func asOwned(err error) error {
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == "23505" {
		return errOwned
	}
	return err
}
