"""What schemathesis does not know by itself: how lines of JSON are written into a request."""

import json

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def lines(_context, value):
    """The text of the document's examples and of what is made from its schema; anything else as one line."""
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode("utf-8", errors="replace")
