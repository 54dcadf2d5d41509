"""The scripts that run inside Redis, each at once and alone: what is said in one is true for all of it.

Facts, commands and the names of leases come as MessagePack. Every key that a script uses is among its KEYS, as a
cluster asks for.
"""

RUN = """
-- Run commands, if all facts still hold, and return their answers; else run none, and return nothing.
-- ARGV: facts, commands, leases to give up, and whose these are.

-- Lua's stack ends at 8000 values: the caller keeps commands shorter.
local function answer(command)
    if command[1] ~= 'PAGE' then
        return redis.call(unpack(command))
    end
    -- {'PAGE', range of ids with versions, hash with their texts, ...}: one row for an id, its version and its text.
    command[1] = 'ZRANGE'
    local texts, rows = table.remove(command, 3), redis.call(unpack(command))
    local found = {}
    for n = 1, #rows, 2 do
        found[#found + 1] = {rows[n], rows[n + 1], redis.call('HGET', texts, rows[n])}
    end
    return found
end

for _, lease in ipairs(cmsgpack.unpack(ARGV[3])) do
    if redis.call('GET', lease) == ARGV[4] then
        redis.call('DEL', lease)
    end
end
for _, fact in ipairs(cmsgpack.unpack(ARGV[1])) do
    local found = answer(fact[1])
    if type(found) == 'table' then
        found = redis.sha1hex(table.concat(found, '\\n'))
    end
    if found ~= fact[2] then
        return false
    end
end
local answers = {}
for n, command in ipairs(cmsgpack.unpack(ARGV[2])) do
    answers[n] = answer(command)
end
return answers
"""

TAKE = """
-- Take leases, in their order, and return the states of their lists; stop at one that another has, and return nothing.
-- Who waits is the next in line where nobody else is: who comes later, or again, finds that place taken.
-- KEYS: the states of lists; then for each list its lease, and who is next.
-- ARGV: who takes, ms until the lease is over, ms until the place in line is; then the lists.
local me = ARGV[1]
for n = 2, #KEYS, 2 do
    local holder, first = redis.call('GET', KEYS[n]), redis.call('GET', KEYS[n + 1])
    if not holder and (not first or first == me) then
        redis.call('SET', KEYS[n], me, 'PX', ARGV[2])
        redis.call('DEL', KEYS[n + 1])
    elseif holder ~= me then
        if not first or first == me then
            redis.call('SET', KEYS[n + 1], me, 'PX', ARGV[3])
        end
        return false
    end
end
local states = {}
for n = 4, #ARGV do
    states[n - 3] = redis.call('HGET', KEYS[1], ARGV[n])
end
return states
"""

RENEW = """
-- Hold leases for longer. KEYS: the leases. ARGV: whose they are, ms until they are over.
for _, lease in ipairs(KEYS) do
    if redis.call('GET', lease) == ARGV[1] then
        redis.call('PEXPIRE', lease, ARGV[2])
    end
end
"""

FLUSH = """
-- Remove everything, and move the epoch above all timestamps.
-- KEYS: metadata, states of lists, and what else is to go. ARGV: the time, and what the keys of a list begin with.
local epoch = tonumber(redis.call('HGET', KEYS[1], 'epoch') or 0)
for n, each in ipairs(redis.call('HGETALL', KEYS[2])) do
    if n % 2 == 0 then
        epoch = math.max(epoch, tonumber(string.match(each, '^%d+')))
    else
        for m = 2, #ARGV do
            redis.call('UNLINK', ARGV[m] .. each)
        end
    end
end
redis.call('HSET', KEYS[1], 'epoch', string.format('%.0f', math.max(epoch + 1, tonumber(ARGV[1]))))
for n = 2, #KEYS do
    redis.call('UNLINK', KEYS[n])
end
"""
