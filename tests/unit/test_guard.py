"""The policies as a library and on the command line: explain and test."""

import io
import json

import orjson
import pytest

from extproc.cli import main
from extproc.errors import ConfigError, Refused
from extproc.guard import Guard, Phase, Scope, Traits

CONFIG = """
policies:
  mail:   {kind: pii, find: [email]}
  code:   {kind: wordlist, words: [project zebra], action: block}
  hush:   {kind: wordlist, words: [whisper], mode: audit}
  canned: {kind: wordlist, words: [open sesame], action: reply, reply: it opens, phase: request}
attach:
  - {use: [mail, hush, canned]}
  - {use: code, to: {principal: bob}}
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "extproc.yaml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def guard(config):
    return Guard.load(config, environment={})


BOB = {"connection.uri_san_peer_certificate": "bob"}


def test_a_text_is_redacted_audited_answered_or_blocked(guard):
    checked = guard.check("mail a@b.org")
    assert (checked.outcome, checked.text, checked.blocked) == ("redact", "mail [email]", False)
    assert guard.check("whisper").outcome == "audit"
    assert guard.check("nothing").outcome == "allow"
    answered = guard.check("open sesame")
    assert (answered.outcome, answered.text, answered.reply) == ("reply", None, "it opens")
    assert guard.check("project zebra").outcome == "allow"
    blocked = guard.check("project zebra", traits=Traits(attributes=BOB))
    assert (blocked.outcome, blocked.text, blocked.policy, blocked.blocked) == ("block", None, "code", True)


def test_findings_say_where(guard):
    (place,) = guard.check("mail a@b.org").places
    assert (place.finding.start, place.finding.end, place.finding.text, place.finding.label) == (
        5,
        12,
        "a@b.org",
        "email",
    )


def test_a_request_is_treated_as_the_gateway_would(guard):
    body = b'{"model": "m", "messages": [{"role": "user", "content": "mail a@b.org"}], "x": 1.50}'
    checked = guard.check_request(body)
    assert checked.text == body.replace(b"a@b.org", b"[email]").decode()
    assert [place.path for place in checked.places] == [("messages", 0, "content")]
    with pytest.raises(Refused):
        guard.check_request(b'{"a": 1, "a": 2}')


def test_what_text_rules_cannot_read_is_said(guard):
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    body = {"model": "m", "messages": [{"role": "user", "content": [image]}]}
    assert guard.check_request(orjson.dumps(body)).unscanned == ["image"]


def test_a_stream(guard):
    stream = guard.stream()
    assert "".join(map(stream.feed, "mail a@b.org now")) + stream.close() == "mail [email] now"
    assert stream.rows == [{"policy": "mail", "label": "email", "outcome": "redact", "count": 1}]


def test_a_stream_that_is_blocked_says_nothing_more(guard):
    stream = guard.stream(traits=Traits(attributes=BOB))
    out = "".join(map(stream.feed, "say project zebra and more"))
    assert out == "say "
    assert stream.blocked == "code"
    assert stream.close() == ""


def test_without_a_file_the_recommended_set_applies(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Guard.load(environment={}).check("mail a@b.org").text == "mail [email]"


def test_a_file_that_cannot_work(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("policies: {a: {kind: wordlist, pack: nothing}}")
    with pytest.raises(ConfigError, match="no pack 'nothing'"):
        Guard.load(path, environment={})


def test_scopes_and_phases(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("policies: {a: {kind: wordlist, words: [zebra], scope: tool, phase: response}}")
    guard = Guard.load(path, environment={})
    assert guard.check("zebra").outcome == "allow"
    assert guard.check("zebra", scope=Scope.TOOL_INPUT, phase=Phase.RESPONSE).outcome == "redact"


# the commands


def explained(config, text, monkeypatch, capsys, *options):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert main(["explain", "-", "-c", str(config), *options]) == 0
    return capsys.readouterr().out


def test_explain_shows_matches_verdict_and_what_is_sent(config, monkeypatch, capsys):
    body = '{"model":"m","messages":[{"role":"user","content":"mail a@b.org about whisper"}]}'
    said = explained(config, body, monkeypatch, capsys)
    assert "messages.0.content [5:12] user: 'a@b.org' is email (mail: redact)" in said
    assert "'whisper' is hush (hush: would redact)" in said
    assert "verdict: redact" in said
    assert "mail [email] about whisper" in said


def test_explain_as_a_caller_and_as_json(config, monkeypatch, capsys):
    said = json.loads(explained(config, "project zebra", monkeypatch, capsys, "--as", "bob", "--json"))
    assert (said["outcome"], said["policy"], said["text"]) == ("block", "code", None)
    assert json.loads(explained(config, "project zebra", monkeypatch, capsys, "--json"))["outcome"] == "allow"


def test_explain_with_a_header_that_is_not_allowed(config, monkeypatch, capsys):
    said = explained(config, "x", monkeypatch, capsys, "--header", "x-llm-policy-mail: off")
    assert said.startswith("refused: 400 policy_override")


@pytest.mark.parametrize("options", [["--header", "x"], ["--claim", "x"]])
def test_explain_with_options_that_mean_nothing(config, monkeypatch, capsys, options):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"x")))
    assert main(["explain", "-", "-c", str(config), *options]) == 1


GOOD = """
- {text: "mail a@b.org now", expect: redact, result: "mail [email] now", phase: response, scope: assistant, policy: mail}
- {text: nothing, expect: allow}
- {request: {model: m, messages: [{role: user, content: whisper}]}, expect: audit, policy: hush}
"""


def test_cases_pass_or_say_what_is_wrong(config, tmp_path, capsys):
    cases = tmp_path / "cases.yaml"
    cases.write_text(GOOD)
    assert main(["test", str(cases), "-c", str(config)]) == 0
    assert "0 failures" in capsys.readouterr().out
    cases.write_text(
        GOOD.replace("expect: allow", "expect: block")
        .replace("policy: hush", "policy: mail")
        .replace("[email]", "[mail]")
    )
    assert main(["test", str(cases), "-c", str(config)]) == 1
    said = capsys.readouterr().out
    assert "case 2: expected block, got allow" in said
    assert "case 3: the policy mail found nothing" in said
    assert "case 1: expected 'mail [mail] now', got 'mail [email] now'" in said
    assert "3 failures" in said


@pytest.mark.parametrize(
    "text", ["{}", "- {expect: allow}", "- {text: a, expect: maybe}", "- [", "- {text: a, request: {}, expect: allow}"]
)
def test_files_that_are_no_cases(config, tmp_path, text):
    cases = tmp_path / "cases.yaml"
    cases.write_text(text)
    assert main(["test", str(cases), "-c", str(config)]) == 1
