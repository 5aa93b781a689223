"""Recorded exchanges with Bedrock."""

import json
from base64 import b64decode

from extproc.framing.aws import framed
from tests.support import data


def recorded(*endings):
    """(name, model, request, status, answer as bytes) of each exchange whose path ends so."""
    found = []
    for path in sorted(data("wire/bedrock").glob("*.json")):
        for number, each in enumerate(json.loads(path.read_text("utf-8"))["exchanges"]):
            _, model, operation = each["request"]["url"].rsplit("/", 2)
            if operation in endings:
                response = each["response"]
                raw = response["body"].encode() if response["body_encoding"] == "utf8" else b64decode(response["body"])
                try:
                    body = json.loads(each["request"]["body"])
                except ValueError:
                    continue  # one lost its last brace when it was recorded
                found.append((f"{path.stem}#{number}", model.replace("%3A", ":"), body, response["status"], raw))
    return found


def published():
    """Streams as published, one event a line."""
    for path in sorted(data("wire_raw/bedrock").glob("*.chunks.txt")):
        events = [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]
        named = [(name, json.dumps(value).encode()) for each in events for name, value in each.items()]
        yield path.name, b"".join(framed(*each) for each in named)


def all_streams():
    """Streams of Converse."""
    found = [(name, raw) for name, _, _, status, raw in recorded("converse-stream") if status == 200]
    return [*found, *published()]


def all_answers():
    """Whole answers of Converse."""
    found = [(name, json.loads(raw)) for name, _, _, status, raw in recorded("converse") if status == 200]
    more = data("wire_raw/bedrock").glob("*.json")
    return [*found, *((path.name, json.loads(path.read_text("utf-8"))) for path in more)]
