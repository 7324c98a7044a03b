-- Takes one request from the bucket of each key, or from none if one is empty (the generic cell
-- rate algorithm). ARGV: microseconds a request, microseconds of a window, for each key. Answers
-- microseconds to wait, requests left, and microseconds until the bucket is full, for each key.
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local full, wait, allowed = {}, {}, true
for i, key in ipairs(KEYS) do
  local interval, window = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  full[i] = math.max(now, tonumber(redis.call('GET', key) or now))
  wait[i] = math.max(0, full[i] + interval - now - window)
  allowed = allowed and wait[i] == 0
end
local answer = {}
for i, key in ipairs(KEYS) do
  local interval, window = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  if allowed then
    full[i] = full[i] + interval
    redis.call('SET', key, string.format('%.0f', full[i]), 'PX', math.ceil((full[i] - now) / 1000))
  end
  answer[#answer + 1] = wait[i]
  answer[#answer + 1] = math.floor((window - (full[i] - now)) / interval)
  answer[#answer + 1] = full[i] - now
end
return answer
