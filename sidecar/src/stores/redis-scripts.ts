import type { StoreAsk } from '@remora/policy-kit/store/store-questions';

/**
 * The countings as Lua, one key and one round trip each, on the clock of Redis. All answer seven whole numbers: granted, and in microseconds when to try again;
 * what is left; and in microseconds until all is there again, until the turn of what was granted (of a queue), and how long it holds; and the number of the window (0: there are none). A negative wish gives back; where it names a window, only to that one. A value that
 * cannot be read counts as none; a key of another type is an error of that key alone.
 */
export const redisScripts: Readonly<Record<string, string>> = {
  // ARGV: requests, per, capacity, cost, want. The value is the theoretical arrival time (GCRA) in milliseconds, never further ahead than the capacity: a
  // clock that went back, as after a failover, does not lock a key out.
  remoraBucket: `
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local interval = ARGV[2] / ARGV[1]
local depth = ARGV[3] * interval
local cost, want = tonumber(ARGV[4]), tonumber(ARGV[5])
local tat = tonumber(redis.call('GET', KEYS[1]) or '') or 0
tat = math.min(math.max(tat, now), now + depth)
local granted, retry, wait = 0, 0, tat - now
local room = (now + depth - tat) / interval + 1e-3
if want < 0 then
  granted = math.max(want, (now - tat) / interval)
elseif room >= cost then
  granted = math.min(want, math.floor(room))
else
  retry = (cost - room + 1e-3) * interval
end
tat = tat + granted * interval
if granted ~= 0 then redis.call('SET', KEYS[1], string.format('%.17g', tat), 'PX', math.ceil(tat - now) + 1) end
if want < 0 then granted = 0 end
return {granted, math.ceil(retry * 1000), math.max(0, math.floor(room) - granted), math.ceil((tat - now) * 1000), math.ceil(wait * 1000), 9007199254740, 0}
`,
  // ARGV: requests, per, cost, want, window. The value is the number of the window and its count.
  remoraFixed: `
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local requests, per, cost, want = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local window = math.floor(now / per)
local left = (window + 1) * per - now
local seen, used = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+):(%d+)$')
seen, used = tonumber(seen or '') or 0, tonumber(used or '') or 0
if seen < window or seen > window + 1 then used = 0 end
local granted, retry = 0, 0
local given = tonumber(ARGV[5])
-- Of a window that is over there is nothing to give back: it would be one more in this one.
local over = given > 0 and given < window
if want < 0 then
  if not over then used = math.max(0, used + want) end
elseif used + cost <= requests then
  granted = math.min(want, requests - used)
  used = used + granted
else
  retry = left
end
if granted > 0 or (want < 0 and not over) then redis.call('SET', KEYS[1], string.format('%.0f:%.0f', window, used), 'PX', math.ceil(left) + 1) end
return {granted, math.ceil(retry * 1000), requests - used, math.ceil(left * 1000), 0, math.floor(left * 1000), window}
`,
  // ARGV: requests, per, cost, want, window. The value is the number of the window, its count, and that of the window before.
  remoraSliding: `
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local requests, per, cost, want = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local window = math.floor(now / per)
local passed = now / per - window
local seen, current, previous = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+):(%d+):(%d+)$')
seen, current, previous = tonumber(seen or '') or 0, tonumber(current or '') or 0, tonumber(previous or '') or 0
if seen == window - 1 then
  previous, current = current, 0
elseif seen < window or seen > window + 1 then
  previous, current = 0, 0
end
local granted, retry = 0, 0
local given = tonumber(ARGV[5])
local before = 0
if want < 0 and given > 0 and given < window then
  -- What was granted in the window before still counts there, as far as that one does.
  if given == window - 1 then before = math.max(want, -previous) end
  previous = previous + before
  want = 0
end
local used = current + previous * (1 - passed)
if want < 0 then
  granted = math.max(want, -current)
elseif want == 0 then
  granted = 0
elseif used + cost <= requests + 1e-9 then
  granted = math.min(want, math.floor(requests - used + 1e-9))
else
  local room = requests - cost
  if current <= room and previous > 0 then
    retry = (1 - (room - current) / previous - passed) * per
  else
    retry = (1 - passed + (current > room and 1 - room / current or 0)) * per
  end
end
current = current + granted
if granted ~= 0 or before ~= 0 then redis.call('SET', KEYS[1], string.format('%.0f:%.0f:%.0f', window, current, previous), 'PX', math.ceil((2 - passed) * per) + 1) end
local left = math.max(0, math.floor(requests - used - granted + 1e-9))
if want < 0 then granted = 0 end
return {granted, math.ceil(retry * 1000), left, math.ceil((current > 0 and 2 - passed or 1 - passed) * per * 1000), 0, math.ceil(per * 1000), window}
`,
  // ARGV: requests, cost, want, until. The value is a number.
  remoraTotal: `
local requests, cost, want = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local used = tonumber(redis.call('GET', KEYS[1]) or '') or 0
local granted = 0
if want < 0 then
  granted = math.max(want, -used)
elseif used + cost <= requests then
  granted = math.min(want, requests - used)
end
if granted ~= 0 then
  redis.call('SET', KEYS[1], string.format('%.0f', used + granted))
  redis.call('PEXPIREAT', KEYS[1], ARGV[4])
end
local left = math.max(0, requests - used - granted)
if want < 0 then granted = 0 end
return {granted, 0, left, 0, 0, 9007199254740, 0}
`,
};

/** The script of an ask, and its arguments behind the key. */
export function scriptOf({ counting, requests, perMs, burst, cost, want, untilMs, window = 0 }: StoreAsk): { readonly script: string; readonly args: readonly (string | number)[] } {
  switch (counting) {
    case 'bucket': return { script: 'remoraBucket', args: [requests, perMs, burst, cost, want] };
    case 'queue': return { script: 'remoraBucket', args: [requests, perMs, burst + 1, cost, want] };
    case 'fixed': return { script: 'remoraFixed', args: [requests, perMs, cost, want, window] };
    case 'sliding': return { script: 'remoraSliding', args: [requests, perMs, cost, want, window] };
    case 'total': return { script: 'remoraTotal', args: [requests, cost, want, untilMs] };
  }
}
