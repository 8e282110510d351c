"""
The scripts that run in the engine, and what a room's keys hold.

A room's log is a stream, ``PREFIX:{/news}``, and a channel of the same name. The id of an entry is
``TOP-0``, where ``TOP`` is the offset after its last message; so a log can be read on from any place. Its
fields are ``n``, the node that appended it, ``s``, its number among all that this node has appended
anywhere, ``c``, how many messages, ``w``, when (milliseconds since 1970, by the engine's clock), ``f``,
their frames. Beside it stands a hash, ``PREFIX:{/news}:m``: ``e`` the epoch, ``t`` the offset, ``b`` the
offset at which the epoch began, ``y`` and ``k`` how many bytes were added since the last mark and the last
eight marks (offsets), and for each node its last number.

A node appends the same batch again when it does not know whether it arrived. The script then leaves it out,
because its number is not higher than the node's last. A number that leaves one out (``prev`` is not there)
is an error, and so is another epoch than the node expects: then something is lost that the node still has.
"""

from __future__ import annotations

import hashlib

__all__ = ["APPEND", "OPEN", "SINCE", "keys_of", "sha"]

COMMON = b"""
local function now()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
"""

APPEND = (
    COMMON
    + b"""
-- count, node, number, prev, expected epoch, fresh epoch, most messages, most bytes, seconds to live, frames
local count, node, number, prev = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local m = redis.call('HMGET', KEYS[2], 'e', 't', 'y', 'k', node == '' and '-' or node, 'b')
local epoch, top, bytes, marks = m[1], tonumber(m[2] or 0), tonumber(m[3] or 0), m[4] or ''
local last = m[5] and tonumber(m[5])
if last and number <= last then return {epoch, top, 0} end
if prev > 0 and last and last < prev then return redis.error_reply('GAP an earlier batch is missing') end
if ARGV[5] ~= '' and ARGV[5] ~= epoch then return redis.error_reply('EPOCH the log is another one') end
if not epoch then
  epoch = ARGV[6]
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[2], 'e', epoch, 'b', 0)
end
top = top + count
local from, most, frames = top - tonumber(ARGV[7]), tonumber(ARGV[8]), ARGV[10]
bytes = bytes + #frames
if bytes > most / 8 then
  bytes, marks = 0, marks .. top .. ' '
  local _, n = string.gsub(marks, ' ', ' ')
  if n > 8 then marks = string.match(marks, ' (.*)') end
end
local _, n = string.gsub(marks, ' ', ' ')
if n == 8 then from = math.max(from, tonumber(string.match(marks, '%d+'))) end
local ms = now()
if node == '' then
  number = ms .. top
  redis.call('HSET', KEYS[2], 't', top, 'y', bytes, 'k', marks)
else
  if not last and redis.call('HLEN', KEYS[2]) > 1000 then
    -- So many nodes: forget their numbers, all but the marks.
    redis.call('DEL', KEYS[2])
    redis.call('HSET', KEYS[2], 'e', epoch, 'b', m[6] or 0)
  end
  redis.call('HSET', KEYS[2], 't', top, 'y', bytes, 'k', marks, node, ARGV[3])
end
redis.call('XADD', KEYS[1], 'MINID', '~', math.max(from, 0), top .. '-0',
  'n', node, 's', number, 'c', count, 'w', ms, 'f', frames)
redis.call('EXPIRE', KEYS[1], ARGV[9])
redis.call('EXPIRE', KEYS[2], ARGV[9] + 3600)
local head = epoch .. ' ' .. top .. ' ' .. count .. ' ' .. node .. ' ' .. number
redis.call('PUBLISH', KEYS[1], head .. '\\n' .. frames)
return {epoch, top, 1}
"""
)
"""Append a batch, and push it; returns the epoch, the offset and whether it was not there already."""

SINCE = b"""
-- epoch, offset, node and number of the entry seen there, a fresh epoch, most bytes, seconds to live
local m = redis.call('HMGET', KEYS[2], 'e', 't', 'b')
local epoch, top, at, most = m[1], tonumber(m[2] or 0), tonumber(ARGV[2]), tonumber(ARGV[6])
if not epoch then
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[2], 'e', ARGV[5], 't', 0, 'b', 0)
  epoch, top = ARGV[5], 0
end
redis.call('EXPIRE', KEYS[2], ARGV[7] + 3600)
if epoch ~= ARGV[1] then return {epoch, top, tonumber(m[3] or 0), {}} end
local there = top >= at
if there and ARGV[4] ~= '' then
  local seen = redis.call('XREVRANGE', KEYS[1], at .. '-0', '-', 'COUNT', 1)[1]
  there = not seen or (seen[1] == at .. '-0' and seen[2][2] == ARGV[3] and seen[2][4] == ARGV[4])
end
if not there then
  -- The log was cut short, and may have gone on otherwise: what was counted then counts no more.
  redis.call('HSET', KEYS[2], 'e', ARGV[5], 'b', top)
  return {ARGV[5], top, top, {}}
end
local found, size, want, from = {}, 0, 4, at .. '-0'
while size < most and want > 0 do
  local some = redis.call('XRANGE', KEYS[1], '(' .. from, '+', 'COUNT', want)
  for _, entry in ipairs(some) do
    found[#found + 1] = entry
    size = size + #entry[2][10]
  end
  if #some < want then break end
  from = some[#some][1]
  want = math.min(64, math.floor((most - size) / (size / #found + 100)))
end
return {epoch, top, 0, found}
"""
"""
Read on from a place: returns the epoch, the offset, where the epoch began if it is another one, and entries.

That one is at a place says nothing if the log was cut short since by a failover. So the newest entry at or
before it must be the one that was seen there; else the log gets a new epoch.
"""

OPEN = (
    COMMON
    + b"""
-- a fresh epoch, most messages, most bytes, seconds to live
local m = redis.call('HMGET', KEYS[2], 'e', 't')
local epoch, top = m[1], tonumber(m[2] or 0)
if not epoch then
  epoch = ARGV[1]
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[2], 'e', epoch, 't', 0, 'b', 0)
end
redis.call('EXPIRE', KEYS[2], ARGV[4] + 3600)
local found, size, most, from, want = {}, 0, tonumber(ARGV[3]), '+', 1
local first = top - tonumber(ARGV[2])
while true do
  local some = redis.call('XREVRANGE', KEYS[1], from, '-', 'COUNT', want)
  for _, entry in ipairs(some) do
    found[#found + 1] = entry
    size = size + #entry[2][10]
  end
  local last = some[#some]
  if #some < want or size >= most or tonumber(string.match(last[1], '%d+')) <= first then break end
  from, want = '(' .. last[1], 16
end
return {epoch, top, now(), found}
"""
)
"""Where a log is, what time it is, and its last entries, the newest first: one at least."""


def sha(script: bytes) -> bytes:
    """Return the name by which a script that was loaded is called."""
    return hashlib.sha1(script, usedforsecurity=False).hexdigest().encode()


def keys_of(prefix: str, room: str) -> tuple[bytes, bytes]:
    """Return the names of a room's stream and hash; the braces keep both on one server of a cluster."""
    key = f"{prefix}:{{{room}}}".encode()
    return key, key + b":m"
