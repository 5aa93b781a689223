import io

import orjson

from extproc.telemetry import Log, Record


def record(**values):
    return Record(generation=1, request_id="r", operation="chat", model="m", status=200, end="complete", **values)


def test_json_lines_hold_every_field_of_the_record():
    out = io.StringIO()
    Log("json", out).exchange(record(tokens={"input": 1, "output": 2, "cached": 0, "reasoning": 0}))
    line = orjson.loads(out.getvalue())
    assert line["event"] == "exchange"
    assert set(line) == {"time", "event", *Record.__slots__}


def test_text_is_one_readable_line():
    out = io.StringIO()
    verdicts = [{"policy": "pii", "label": "email", "outcome": "redact", "count": 2}]
    Log("text", out).exchange(record(backend="openai", attempts=2, verdicts=verdicts))
    assert out.getvalue().count("\n") == 1
    assert "200 chat m → openai (2 attempts)" in out.getvalue()
    assert "pii:email×2 redact" in out.getvalue()


def test_auto_is_json_where_there_is_no_terminal():
    out = io.StringIO()
    Log("auto", out).notice("ready", "the gateway is ready", url="https://x")
    assert orjson.loads(out.getvalue())["url"] == "https://x"


def test_quiet_says_nothing():
    out = io.StringIO()
    log = Log("json", out)
    log.quiet = True
    log.notice("a", "b")
    assert out.getvalue() == ""
