-- Pays each order of a file once: lines of an order's id and its owner's token.

local lines = {}
local at = 0

function init(args)
  for line in io.lines(args[1]) do
    local order, token = line:match("(%S+) (%S+)")
    lines[#lines + 1] = { order, token }
  end
end

function request()
  at = at + 1
  local line = lines[at]
  if line == nil then -- no order is left: the count of payments will tell
    line = lines[1]
  end
  return wrk.format("POST", "/v1/payments", {
    ["Authorization"] = "Bearer " .. line[2],
    ["Content-Type"] = "application/json",
    ["Idempotency-Key"] = line[1],
  }, '{"order_id":"' .. line[1] .. '"}')
end

function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"duration_us":%d,"refused":%d,"errors":%d,"p50_us":%d,"p95_us":%d,"p99_us":%d}\n',
    summary.requests, summary.duration, e.status,
    e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(95), latency:percentile(99)))
end
