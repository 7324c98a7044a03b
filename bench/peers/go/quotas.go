package main

import (
	"context"
	"fmt"
	"net"
	"net/http"

	"github.com/redis/go-redis/v9"
)

const (
	windowSeconds = 60
	microseconds  = 1_000_000
)

type quota struct {
	name             string
	limit            int
	interval, window int
}

// quotas counts requests by address and by user, both in one call of a script.
type quotas struct {
	client        *redis.Client
	script        *redis.Script
	user, address quota
}

func newQuotas(client *redis.Client, script string, perUser, perAddress int) *quotas {
	return &quotas{
		client, redis.NewScript(script), newQuota("user", perUser), newQuota("address", perAddress),
	}
}

func newQuota(name string, limit int) quota {
	interval := max(1, windowSeconds*microseconds/limit)
	return quota{name, limit, interval, interval * limit}
}

// admit takes a request from its buckets, sets the headers that say how they stand, and returns
// the seconds to wait: 0 for a request that may be made. user is "" without a valid token.
func (q *quotas) admit(
	ctx context.Context, w http.ResponseWriter, r *http.Request, user string,
) (int, error) {
	address, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return 0, err
	}
	applied := []quota{q.address}
	keys := []string{"rate:address:" + address}
	if user != "" {
		applied = append(applied, q.user)
		keys = append(keys, "rate:user:"+user)
	}
	arguments := make([]any, 0, 2*len(applied))
	for _, each := range applied {
		arguments = append(arguments, each.interval, each.window)
	}
	counts, err := q.script.Run(ctx, q.client, keys, arguments...).Int64Slice()
	if err != nil {
		return 0, err
	}
	policies, standings, wait := "", "", int64(0)
	for at, each := range applied {
		separator := ""
		if at > 0 {
			separator = ", "
		}
		policies += fmt.Sprintf(`%s"%s";q=%d;w=%d`, separator, each.name, each.limit, windowSeconds)
		standings += fmt.Sprintf(
			`%s"%s";r=%d;t=%d`, separator, each.name, max(0, counts[3*at+1]), seconds(counts[3*at+2]),
		)
		wait = max(wait, counts[3*at])
	}
	w.Header().Set("RateLimit-Policy", policies)
	w.Header().Set("RateLimit", standings)
	return int(seconds(wait)), nil
}

func seconds(micros int64) int64 {
	return (micros + microseconds - 1) / microseconds
}
