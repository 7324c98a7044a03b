package main

import (
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	leeway       = 30 * time.Second
	cachedTokens = 4096
	maxToken     = 4096
	writeScope   = "payments:write"
)

var (
	errToken = errors.New("the token is not valid")
	errScope = errors.New("the token lacks the scope " + writeScope)
)

type claims struct {
	jwt.RegisteredClaims
	Scope string `json:"scope"`
}

type caller struct {
	user    string
	scopes  []string
	expires time.Time
}

// tokens verifies bearer tokens; the tuned mode remembers verified ones until they expire.
type tokens struct {
	secret   []byte
	parser   *jwt.Parser
	remember bool
	mutex    sync.RWMutex
	verified map[string]caller
}

func newTokens(remember bool) *tokens {
	return &tokens{
		secret:   []byte(os.Getenv("JWT_SECRET")),
		remember: remember,
		verified: map[string]caller{},
		parser: jwt.NewParser(
			jwt.WithValidMethods([]string{"HS256"}),
			jwt.WithIssuer(os.Getenv("JWT_ISSUER")),
			jwt.WithAudience(os.Getenv("JWT_AUDIENCE")),
			jwt.WithExpirationRequired(),
			jwt.WithIssuedAt(),
			jwt.WithLeeway(leeway),
		),
	}
}

// caller returns who sent a request with this Authorization header.
func (t *tokens) caller(header string) (caller, error) {
	scheme, token, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "bearer") || token == "" || len(token) > maxToken {
		return caller{}, errToken
	}
	if known, ok := t.recall(token); ok {
		return known, nil
	}
	var found claims
	_, err := t.parser.ParseWithClaims(token, &found, func(*jwt.Token) (any, error) {
		return t.secret, nil
	})
	if err != nil || found.Subject == "" || len(found.Subject) > 128 {
		return caller{}, errToken
	}
	who := caller{found.Subject, strings.Fields(found.Scope), found.ExpiresAt.Time}
	if t.remember {
		t.keep(token, who)
	}
	return who, nil
}

func (t *tokens) recall(token string) (caller, bool) {
	if !t.remember {
		return caller{}, false
	}
	t.mutex.RLock()
	defer t.mutex.RUnlock()
	known, ok := t.verified[token]
	return known, ok && time.Now().Before(known.expires)
}

func (t *tokens) keep(token string, who caller) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if len(t.verified) >= cachedTokens {
		clear(t.verified)
	}
	t.verified[token] = who
}

func (c caller) may(scope string) bool {
	return slices.Contains(c.scopes, scope)
}
