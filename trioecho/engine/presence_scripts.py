"""
The scripts that share who is in the rooms, and what the keys hold.

A room's hash, ``PREFIX:{/news}:p``, has a field for each node that somebody is on: ``NUMBER NAMED UNNAMED
LISTED``. How many there have a name and how many have none; ``LISTED`` is 1 if the names stand in a hash of
their own, ``PREFIX:{/news}:p:NODE``, by the ids of their members. ``NUMBER`` is that of the node's last
change: it has one count for all its rooms. Only the node itself writes these, so they are replaced and
removed whole, however many members it has.

What changes is pushed on a channel with the name of the room's hash: ``NODE BEFORE NUMBER NAMED UNNAMED
LISTED``, and then a line ``+ID NAME`` for each who came and ``-ID`` for each who left. ``BEFORE`` is the
number that it changes; it is ``*`` for what takes the place of all that the node has said before.

Nodes are in a sorted set, ``PREFIX:nodes``, with when they were last heard (milliseconds since 1970, by the
engine's clock). Its channel has the same name: ``+NODE`` is a new one, ``-NODE BY`` one
that has ended, or that another has found dead: this one clears away what it has left.

The rooms of whose hashes a node may have a field are in a sorted set of its own, ``PREFIX:nodes:NODE``.
"""

from __future__ import annotations

from trioecho.engine.scripts import COMMON, sha

__all__ = [
    "BEAT",
    "CHANGE",
    "DROP",
    "LEAVE",
    "READ",
    "SCRIPTS",
    "index_key",
    "nodes_key",
    "presence_keys",
]

CHANGE_SCRIPT = b"""
-- node, before, number, named, unnamed, listed, seconds to live, who came and left
local node, before, number, named, unnamed = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
if before ~= '*' then
  local there = redis.call('HGET', KEYS[1], node)
  if (there and string.match(there, '^%d+') or '0') ~= before then return 0 end
end
if before ~= number then
  local fields, ids = {}, {}
  if before == '*' or ARGV[6] == '0' then redis.call('DEL', KEYS[2]) end
  for sign, id, name in string.gmatch(ARGV[8], '([+-])(%w+) ?([^\\n]*)\\n') do
    if sign == '+' then
      fields[#fields + 1], fields[#fields + 2] = id, name
    else
      ids[#ids + 1] = id
    end
  end
  for i = 1, #ids, 200 do redis.call('HDEL', KEYS[2], unpack(ids, i, math.min(#ids, i + 199))) end
  for i = 1, #fields, 200 do redis.call('HSET', KEYS[2], unpack(fields, i, math.min(#fields, i + 199))) end
  if named == '0' and unnamed == '0' then
    redis.call('HDEL', KEYS[1], node)
    redis.call('DEL', KEYS[2])
  else
    redis.call('HSET', KEYS[1], node, number .. ' ' .. named .. ' ' .. unnamed .. ' ' .. ARGV[6])
  end
  local head = node .. ' ' .. before .. ' ' .. number .. ' ' .. named .. ' ' .. unnamed .. ' ' .. ARGV[6]
  redis.call('PUBLISH', KEYS[1], head .. '\\n' .. ARGV[8])
end
redis.call('EXPIRE', KEYS[1], ARGV[7])
redis.call('EXPIRE', KEYS[2], ARGV[7])
return 1
"""
"""
Write what has changed on a node in a room, and push it. With ``before`` the same as ``number`` it is only
kept from expiring. Returns 0 if the engine has something else than the node changes: it must write all of it.
"""

READ_SCRIPT = b"""
-- most names, node
local all, named, found = redis.call('HGETALL', KEYS[1]), 0, {}
for i = 1, #all, 2 do
  if all[i] ~= ARGV[2] then named = named + tonumber(string.match(all[i + 1], '^%d+ (%d+)') or 0) end
end
for i = 1, #all, 2 do
  if all[i] ~= ARGV[2] then
    local names = named <= tonumber(ARGV[1]) and redis.call('HGETALL', KEYS[1] .. ':' .. all[i]) or false
    found[#found + 1] = {all[i], all[i + 1], names}
  end
end
return found
"""
"""Return what each node but one has said of a room, with the names if theirs are no more than so many."""

DROP_SCRIPT = b"""
-- node, number
local there = redis.call('HGET', KEYS[1], ARGV[1])
if there and string.match(there, '^%d+') == ARGV[2] then
  redis.call('HDEL', KEYS[1], ARGV[1])
  redis.call('DEL', KEYS[2])
end
"""
"""Remove what a dead node has said of a room, unless it has said something else since."""

BEAT_SCRIPT = (
    COMMON
    + b"""
-- node, after how many milliseconds of silence one is dead, seconds to live
local ms, ages = now(), {}
local new = redis.call('ZADD', KEYS[1], ms, ARGV[1])
if new == 1 then redis.call('PUBLISH', KEYS[1], '+' .. ARGV[1]) end
local dead = redis.call('ZRANGE', KEYS[1], '-inf', '(' .. string.format('%.0f', ms - ARGV[2]), 'BYSCORE')
for _, node in ipairs(dead) do
  redis.call('ZREM', KEYS[1], node)
  redis.call('PUBLISH', KEYS[1], '-' .. node .. ' ' .. ARGV[1])
end
local all = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
for i = 1, #all, 2 do ages[i], ages[i + 1] = all[i], ms - all[i + 1] end
redis.call('EXPIRE', KEYS[1], ARGV[3])
return {new, ages}
"""
)
"""
Say that a node lives, and remove those that are dead. Returns whether it was not there, and how long each
that is there has been silent (milliseconds).
"""

LEAVE_SCRIPT = b"""
-- node
if redis.call('ZREM', KEYS[1], ARGV[1]) == 1 then redis.call('PUBLISH', KEYS[1], '-' .. ARGV[1]) end
"""
"""Say that a node has ended."""

SCRIPTS = (CHANGE_SCRIPT, READ_SCRIPT, DROP_SCRIPT, BEAT_SCRIPT, LEAVE_SCRIPT)
CHANGE, READ, DROP, BEAT, LEAVE = map(sha, SCRIPTS)
"""The names by which they are called, once they are loaded."""


def nodes_key(prefix: str) -> bytes:
    """Return the name of the set of nodes, and of its channel."""
    return f"{prefix}:nodes".encode()


def index_key(prefix: str, node: bytes) -> bytes:
    """Return the name of the set of rooms of which a node writes something."""
    return b"%s:%s" % (nodes_key(prefix), node)


def presence_keys(prefix: str, room: str, node: bytes) -> tuple[bytes, bytes]:
    """Return the names of a room's hash and channel, and of the hash of a node's names in it."""
    key = f"{prefix}:{{{room}}}:p".encode()
    return key, b"%s:%s" % (key, node)
