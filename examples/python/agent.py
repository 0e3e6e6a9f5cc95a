#!/usr/bin/env python3
"""An agent in Python, standard library only: publishes one run over HTTP.

    rethread serve --dev --data ./data          # a server
    python3 agent.py "How long is this text?"   # the agent

Environment: URL (default http://127.0.0.1:4242), TOKEN (a server with --dev gives one out),
THREAD (an existing thread; without it a new one is made).

The one rule: every event has an id before it is first sent, and is sent again with that id until
the server has answered. The log then holds it once, whatever the network did in between.
"""

import json
import os
import random
import sys
import time
import urllib.error
import urllib.request
import uuid

URL = os.environ.get("URL", "http://127.0.0.1:4242").rstrip("/")
TRIES_MAX = 8
WAIT_MAX_S = 10.0


class Refused(Exception):
    """The server said no, and would again."""


def request(method, path, body=None, token=None):
    """One HTTP request, tried again while the server is away or asks for patience."""
    data = None if body is None else json.dumps(body).encode()
    for attempt in range(TRIES_MAX):
        call = urllib.request.Request(URL + path, data, method=method)
        call.add_header("Content-Type", "application/json")
        if token:
            call.add_header("Authorization", "Bearer " + token)
        # Exponential backoff with full jitter, so that many agents do not come back at once.
        wait_s = random.uniform(0, min(WAIT_MAX_S, 0.25 * 2**attempt))
        try:
            with urllib.request.urlopen(call, timeout=10) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace")
            if error.code not in (429, 502, 503, 504):
                raise Refused(f"{method} {path}: {error.code} {text}") from None
            try:
                wait_s = max(wait_s, json.loads(text)["error"]["retry_after_ms"] / 1000)
            except (ValueError, KeyError, TypeError):
                pass
            reason = f"{error.code} {text}"
        except (urllib.error.URLError, OSError, ValueError) as error:
            # No answer: the event may be in the log or not. Sending it again is safe either way.
            reason = str(error)
        print(f"try {attempt + 1} of {TRIES_MAX}: {reason}", file=sys.stderr)
        time.sleep(wait_s)
    raise Refused(f"{method} {path}: no answer after {TRIES_MAX} tries; is the server at {URL} up?")


class Run:
    """Publishes the events of one run, in order."""

    def __init__(self, token, thread):
        self.token = token
        self.id = request("POST", f"/v1/threads/{thread}/runs", token=token)["run"]

    def emit(self, type, **data):
        event = {
            "id": str(uuid.uuid4()),
            "run": self.id,
            "type": type,
            "at": int(time.time() * 1000),
            "data": data,
        }
        result = request("POST", "/v1/events", event, self.token)["results"][0]
        again = " (was there already)" if result.get("duplicate") else ""
        print(f"{result['seq']:>4}  {type}{again}")
        return result["seq"]


def count_words(text):
    """The tool."""
    words = text.split()
    return {"words": len(words), "characters": len(text), "longest": max(words, key=len, default="")}


def main():
    question = " ".join(sys.argv[1:]) or "How many words has this sentence?"
    token = os.environ.get("TOKEN") or request("GET", "/v1/dev/token")["token"]
    thread = os.environ.get("THREAD")
    if not thread:
        thread = request("POST", "/v1/threads", {"title": "From Python"}, token)["thread"]
    run = Run(token, thread)
    print(f"thread {thread}\nrun    {run.id}")

    run.emit("agent_started", agent="python", message="I count words.")
    try:
        run.emit("agent_thinking", text=f"The text has {len(question)} characters; I count its words.")
        call, started = str(uuid.uuid4()), time.monotonic()
        run.emit("tool_executing", call_id=call, tool="count_words", input={"text": question})
        counted = count_words(question)
        took_ms = int((time.monotonic() - started) * 1000)
        run.emit("tool_completed", call_id=call, output=counted, took_ms=took_ms)
        message = str(uuid.uuid4())
        answer = f"“{question}” has {counted['words']} words; the longest is “{counted['longest']}”."
        for word in answer.split(" "):
            run.emit("message_delta", message_id=message, text=word + " ")
        run.emit("agent_completed", result=counted)
    except Refused:
        raise
    except Exception as error:
        # Whoever watches must not wait for an end that never comes.
        run.emit("agent_failed", code="agent_broke_down", message=str(error))
        raise


if __name__ == "__main__":
    try:
        main()
    except Refused as refusal:
        sys.exit(f"agent.py: {refusal}")
