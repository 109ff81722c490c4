"""A witness for the fuzzers: tells how h11 reads captured byte streams. Lines in and out as in main.go."""

import base64
import json
import sys

import h11


def pairs(headers):
    return [[name.decode("latin-1").lower(), value.decode("latin-1")] for name, value in headers]


def read(data):
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    messages, refusals = [], []
    connection.receive_data(data)
    connection.receive_data(b"")
    current = None
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError as error:
            if current is None:
                refusals.append(str(error))
            else:
                current["broken"] = str(error)
            break
        if isinstance(event, h11.Request):
            current = {
                "method": event.method.decode("latin-1"),
                "target": event.target.decode("latin-1"),
                "headers": pairs(event.headers),
                "body": b"",
                "trailers": [],
            }
            messages.append(current)
        elif isinstance(event, h11.Data):
            current["body"] += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            current["trailers"] = pairs(event.headers)
            current = None
            connection.send(h11.Response(status_code=204, headers=[]))
            connection.send(h11.EndOfMessage())
            if connection.our_state is not h11.DONE:
                break
        elif event is h11.PAUSED:
            if connection.our_state is h11.DONE and connection.their_state is h11.DONE:
                connection.start_next_cycle()
            else:
                break
        else:
            break
    for message in messages:
        message["body"] = base64.b64encode(message["body"]).decode()
    return messages, refusals


for line in sys.stdin:
    one = json.loads(line)
    messages, refusals = read(base64.b64decode(one["bytes"]))
    sys.stdout.write(json.dumps({"id": one["id"], "messages": messages, "refusals": refusals}) + "\n")
    sys.stdout.flush()
