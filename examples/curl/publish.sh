#!/usr/bin/env bash
# Publishes one run with nothing but curl, from agent_started to agent_completed, and reads it back.
#
#   URL    the server, default http://127.0.0.1:4242
#   TOKEN  a token that may publish and subscribe. Without one, a server that runs with --dev is
#          asked for it. Mint one with:
#            rethread token --user ada --scope publish,subscribe
#
# Start a server first:
#   rethread serve --dev --data ./data
#
# Needs bash and curl; JSON is taken apart with sed, so that nothing else is needed.
set -euo pipefail

URL=${URL:-http://127.0.0.1:4242}

# The text of one member of a flat JSON object on stdin: member NAME
member() {
  sed -n 's/.*"'"$1"'" *: *"\([^"]*\)".*/\1/p' | head -n 1
}

# One request. A refusal is shown, for its body says what was expected and what to do.
# (Needs curl 7.82 or later, for --fail-with-body and --json.)
request() {
  curl --silent --show-error --fail-with-body --max-time 10 \
    --header "Authorization: Bearer $TOKEN" "$@"
}

TOKEN=${TOKEN:-$(curl --silent --show-error --fail --max-time 10 "$URL/v1/dev/token" | member token)}

# 1. A thread is one conversation. Without a name of its own it gets a new one.
#    Its owner is the user whom the token names.
thread=$(request --json '{"title":"Published with curl"}' "$URL/v1/threads" | member thread)
echo "thread  $thread"

# 2. A run is one execution of an agent inside the thread. Events name the run; the server
#    finds the thread by itself.
run=$(request --request POST "$URL/v1/threads/$thread/runs" | member run)
echo "run     $run"

# 3. Events. Each has an id of its own, a UUID: publishing it again is then harmless, and is
#    answered with the place that it has already. So a script that was cut off may just try again.
id() { cat /proc/sys/kernel/random/uuid 2>/dev/null || uuidgen | tr 'A-Z' 'a-z'; }

#    One event at a time …
started='{"id":"'$(id)'","run":"'$run'","type":"agent_started","data":{"agent":"curl","message":"Let me look."}}'
echo "start   $(request --json "$started" "$URL/v1/events")"
echo "again   $(request --json "$started" "$URL/v1/events")"

#    … or many, one a line. A tool's start and its end are joined by `call_id`, the pieces of one
#    message by `message_id`.
request --header 'Content-Type: application/x-ndjson' --data-binary @- "$URL/v1/events" <<END
{"id":"$(id)","run":"$run","type":"agent_thinking","data":{"text":"I need the date."}}
{"id":"$(id)","run":"$run","type":"tool_executing","data":{"call_id":"c1","tool":"date","input":{"utc":true}}}
{"id":"$(id)","run":"$run","type":"tool_completed","data":{"call_id":"c1","output":{"date":"$(date -u +%F)"}}}
{"id":"$(id)","run":"$run","type":"message_delta","data":{"message_id":"m1","text":"Today is "}}
{"id":"$(id)","run":"$run","type":"message_delta","data":{"message_id":"m1","text":"$(date -u +%F)."}}
{"id":"$(id)","run":"$run","type":"agent_completed","data":{"result":{"ok":true}}}
END
echo

# 4. Read it back. `after` is a seq: the number of the last event that is known already.
echo
echo "The thread from its beginning:"
request "$URL/v1/threads/$thread/events?after=0&limit=100"
echo

# 5. A run that nobody knows is refused, with what was tried. (So this request must fail.)
echo
echo "A run that belongs to no thread:"
if request --json '{"run":"run_0123456789ab","type":"agent_started","data":{"agent":"curl"}}' \
  "$URL/v1/events"; then
  echo "expected a refusal" >&2
  exit 1
fi 2>/dev/null
echo

# To follow it live: curl --no-buffer -H "Authorization: Bearer $TOKEN" \
#   -H "Accept: text/event-stream" "$URL/v1/threads/$thread/events"
