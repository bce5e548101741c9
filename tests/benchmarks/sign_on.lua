-- wrk: one token for each request, and every answer that is not alice is counted.
local ffi = require("ffi")
ffi.cdef [[
typedef struct { long s, ns; } moment;
int clock_gettime(int clock, moment *now);
]]
local function now()
    local t = ffi.new("moment[1]")
    ffi.C.clock_gettime(1, t)
    return tonumber(t[0].s) + tonumber(t[0].ns) / 1e9
end

local tokens, at, threads = {}, 0, {}
started, ended, right, wrong = 0, 0, 0, 0

function setup(thread)
    threads[#threads + 1] = thread
end

function init()
    for line in io.lines(os.getenv("TOKENS")) do tokens[#tokens + 1] = line end
    started = now()
end

function request()
    at = at % #tokens + 1
    return wrk.format("GET", "/", { [os.getenv("HEADER")] = tokens[at] })
end

function response(status, headers, body)
    if status == 200 and (body == "alice@EXAMPLE.TEST" or headers["X-User"] == "alice@EXAMPLE.TEST"
                          or os.getenv("ANYBODY")) then
        right = right + 1
    else
        wrong = wrong + 1
    end
    ended = now()
    -- The last ones may be under way on other connections.
    if right + wrong == #tokens - 32 then
        wrk.thread:stop()
        io.stderr:write("all tokens are used\n")
    end
end

function done(summary)
    local t = threads[1]
    print(string.format("right %d wrong %d seconds %.6f", t:get("right"), t:get("wrong"),
                        t:get("ended") - t:get("started")))
end
