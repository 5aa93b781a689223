"""The kind ``moderation``: what may be written, and the description it becomes."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from extproc.config.load import load
from extproc.config.references import UnresolvedError
from extproc.errors import ConfigError
from extproc.moderation.api import Moderation
from extproc.policy.api import Action, OnError, Phase
from extproc.policy.kinds import ANY_POLICY
from extproc.policy.kinds.base import Context
from extproc.runtime import compile_runtime

VARIABLES = {"OPENAI_API_KEY": "sk-openai", "ID": "AKID", "SECRET": "s/3+c", "TOKEN": "t", "EMPTY": ""}
GRPC = {"service": "grpc", "url": "grpc://127.0.0.1:9090"}
HOOK = {"service": "webhook", "url": "https://guard.test"}
AWS = "https://bedrock-runtime.eu-west-1.amazonaws.com"
BEDROCK = {"service": "bedrock", "url": AWS, "model": "abc/DRAFT"}


def read(**fields):
    return ANY_POLICY.validate_python({"kind": "moderation", **fields})


def compiled(folder="/", **fields):
    return read(**fields).compile("p", Context(Path(folder), environment=VARIABLES))


def test_the_least_there_is_to_write():
    policy = compiled(service="openai")
    assert policy.moderation == Moderation("openai", "https://api.openai.com/v1", keys=("sk-openai",))
    assert (policy.action, policy.phases, policy.on_error) == (Action.BLOCK, frozenset(Phase), OnError.BLOCK)
    assert policy.rules == ()
    assert policy.actions == {Action.AUDIT, Action.BLOCK}
    assert (policy.moderation.wait, policy.moderation.deadline) == ("before", 2.0)


def test_everything_there_is_to_write(tmp_path):
    (tmp_path / "key").write_text("k-1\n")
    policy = compiled(
        tmp_path,
        **HOOK,
        key="file:key",
        categories={"Blocked": 0.5, "intervened": 1},
        wait="before",
        deadline="250ms",
        window=500,
        lag=100,
        language="de",
        ca="ca.pem",
        phase="request",
        action="redact",
        replace="<{type}>",
    )
    assert policy.moderation == Moderation(
        "webhook",
        "https://guard.test",
        keys=("k-1",),
        thresholds=(("blocked", 0.5), ("intervened", 1.0)),
        deadline=0.25,
        window=500,
        lag=100,
        language="de",
        ca=str(tmp_path / "ca.pem"),
        places=True,
        template="<{type}>",
    )
    assert policy.moderation.replacement("blocked") == "<blocked>"
    assert policy.actions == {Action.AUDIT, Action.BLOCK, Action.REDACT}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "service"),
        ({"service": "other"}, "service"),
        ({"service": "judge"}, "needs a `model`"),
        ({"service": "judge", "model": "two words"}, "needs a `model`"),
        ({"service": "grpc"}, "grpcs: or grpc: or unix:"),
        ({"service": "grpc", "url": "http://x"}, "grpcs: or grpc: or unix:"),
        ({"service": "grpc", "url": "unix:"}, "grpcs: or grpc: or unix:"),
        ({"service": "openai", "url": "grpc://x"}, "https: or http:"),
        ({"service": "openai", "url": "https://"}, "https: or http:"),
        ({"service": "openai", "url": "https://u:p@x"}, "https: or http:"),
        ({"service": "openai", "url": "https://x/?key=1"}, "https: or http:"),
        ({"service": "openai", "url": "https://x:port"}, "not a URL"),
        ({"service": "openai", "url": "https://[x"}, "not a URL"),
        ({"service": "presidio"}, "needs a `url`"),
        ({"service": "azure"}, "needs a `url`"),
        ({"service": "azure", "url": "https://x", "categories": {"violance": 0.5}}, "no category 'violance'"),
        ({**HOOK, "categories": {"hate": 0.5}}, "it has blocked, intervened"),
        ({**BEDROCK, "model": "abc"}, "GUARDRAIL/VERSION"),
        ({**BEDROCK, "model": "../x/1"}, "GUARDRAIL/VERSION"),
        ({**HOOK, "categories": {"blocked": 0}}, "greater than 0"),
        ({**HOOK, "categories": {"blocked": 1.1}}, "less than or equal to 1"),
        ({"service": "openai", "deadline": "2m"}, "less than or equal to 60"),
        ({"service": "openai", "window": 0}, "window"),
        ({"service": "openai", "lag": -1}, "lag"),
        ({"service": "openai", "wait": "never"}, "wait"),
        ({"service": "openai", "language": "English"}, "language"),
        ({"service": "openai", "action": "redact", "phase": "request"}, "must be audit, block here"),
        ({"service": "openai", "action": "reply", "reply": "no", "phase": "request"}, "must be audit, block here"),
        ({"service": "openai", "status": 403, "style": "refusal"}, "`status` is only used"),
        ({**GRPC, "action": "redact", "phase": "request", "restore": True}, "`restore` is not possible"),
        ({**GRPC, "action": "redact"}, "must be audit, block here"),
        ({**GRPC, "action": "redact", "phase": "response"}, "must be audit, block here"),
        ({**GRPC, "action": "redact", "phase": "request", "wait": "parallel"}, "`wait: before`"),
    ],
)
def test_what_cannot_work_is_refused(fields, message):
    with pytest.raises(ValidationError) as caught:
        read(**fields)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "keys"),
    [
        ({"service": "openai", "key": "none"}, ()),
        ({"service": "openai", "url": "http://127.0.0.1:8000/v1"}, ()),
        ({"service": "judge", "model": "m", "key": "env:ID"}, ("AKID",)),
        (GRPC, ()),
        ({**BEDROCK, "key": "env:TOKEN"}, ("t",)),
        ({**BEDROCK, "key": ["env:ID", "$SECRET"]}, ("AKID", "s/3+c")),
        ({**BEDROCK, "key": ["env:ID", "${SECRET}", "os.environ/TOKEN"]}, ("AKID", "s/3+c", "t")),
    ],
)
def test_keys_are_references(fields, keys):
    assert compiled(**fields).moderation.keys == keys


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"service": "openai", "key": "sk-literal"}, ConfigError, "must be a reference"),
        ({"service": "openai", "key": "env:GONE"}, UnresolvedError, "GONE is not set"),
        ({"service": "openai", "key": "env:EMPTY"}, UnresolvedError, "EMPTY is not set"),
        ({"service": "openai", "key": "file:two-words"}, UnresolvedError, "does not look like a key"),
        ({"service": "openai", "key": ["env:ID", "env:SECRET"]}, ConfigError, "no more keys than 1"),
        (BEDROCK, ConfigError, "needs a `key`"),
        ({**BEDROCK, "key": ["env:ID"] * 4}, ConfigError, "no more keys than 3"),
        ({**BEDROCK, "url": "https://vpc.test", "key": ["env:ID"] * 2}, ConfigError, "must name the region"),
    ],
)
def test_keys_that_lead_nowhere_are_said(tmp_path, fields, error, message):
    (tmp_path / "two-words").write_text("not a key")
    with pytest.raises(error, match=message):
        compiled(tmp_path, **fields)


def test_in_a_configuration_file(tmp_path):
    path = tmp_path / "extproc.yaml"
    path.write_text(
        "providers: {openai: {keys: [env:OPENAI_API_KEY]}}\n"
        "policies:\n  judge: {kind: moderation, service: openai, action: block, wait: parallel, deadline: 2s}\n"
    )
    runtime = compile_runtime(load(path, {"OPENAI_API_KEY": "sk-marker"}))
    (policy,) = runtime.attached.usual.moderated
    assert (policy.name, policy.moderation.keys) == ("judge", ("sk-marker",))
    assert "sk-marker" not in repr(runtime)
    with pytest.raises(ConfigError, match=r"extproc\.yaml:3:.*judge.*OPENAI_API_KEY is not set"):
        compile_runtime(load(path, {}))
