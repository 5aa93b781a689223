"""Policies written in Python: found, made, asked, and what they may not do."""

import orjson
import pytest

from extproc.errors import ConfigError
from extproc.guard import Guard
from extproc.plugin import Block, Caller, Scope, Text

CODE = """
from pydantic import BaseModel
from extproc.plugin import Block, Patch, Reply, Redact, Mark

class Quiet:
    class Config(BaseModel):
        letters: int = 5
    def __init__(self, config):
        self.letters = config.letters
    def inspect(self, texts, caller):
        return Block("shouting") if any(each.text.isupper() and len(each.text) > self.letters for each in texts) else None

class Router:
    def request(self, request):
        words = str(request.body["messages"])
        if "ping" in words:
            return Reply("pong")
        if "drop" in words:
            return Block("dropped", "Not today.")
        if "odd" in words:
            return 7
        if "raise" in words:
            raise RuntimeError("secret text")
        if "plain" in words:
            return None
        return Patch(model="other", parameters={"temperature": 0.5, "seed": None}, system="Be brief.")

class Nothing:
    pass

class Fails:
    def __init__(self):
        raise ValueError("no")
    def request(self, request):
        return None
"""


def load(tmp_path, fields, allowed="true", code=CODE):
    (tmp_path / "own.py").write_text(code)
    path = tmp_path / "extproc.yaml"
    path.write_text(f"processor: {{python: {allowed}}}\npolicies: {{own: {{kind: python, {fields}}}}}")
    return Guard.load(path, environment={})


def request(guard, text, **more):
    return guard.check_request(orjson.dumps({"model": "m", "messages": [{"role": "user", "content": text}], **more}))


def test_a_request_can_be_answered_refused_or_changed(tmp_path):
    guard = load(tmp_path, "path: 'own.py:Router'")
    assert (request(guard, "ping").outcome, request(guard, "ping").reply) == ("reply", "pong")
    assert (request(guard, "drop").outcome, request(guard, "drop").why) == ("block", "Not today.")
    assert request(guard, "plain").outcome == "allow"
    changed = request(guard, "x", seed=7)
    body = orjson.loads(changed.text)
    assert (changed.outcome, body["temperature"], "seed" in body) == ("redact", 0.5, False)
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}


@pytest.mark.parametrize("text", ["odd", "raise"])
def test_code_that_fails_blocks_and_nothing_of_it_is_told(tmp_path, text):
    checked = request(load(tmp_path, "path: 'own.py:Router'"), text)
    assert checked.outcome == "block"
    assert "secret" not in repr(checked.why)
    assert request(load(tmp_path, "path: 'own.py:Router', on_error: allow"), text).outcome in ("allow", "audit")


def test_texts_are_inspected_with_the_policys_configuration(tmp_path):
    guard = load(tmp_path, "path: 'own.py:Quiet', config: {letters: 3}")
    (policy,) = guard.armed().moderated
    assert policy.moderation.inspect([Text(Scope.USER, "HELLO")], Caller()) == Block("shouting")
    assert policy.moderation.inspect([Text(Scope.USER, "HEY")], Caller()) is None
    assert guard.check("HELLO").unasked == ["own"]


def test_what_it_says_must_be_one_of_ours(tmp_path):
    code = "class A:\n    def inspect(self, texts, caller):\n        return True\n"
    (policy,) = load(tmp_path, "path: 'own.py:A'", code=code).armed().moderated
    with pytest.raises(TypeError):
        policy.moderation.inspect([], Caller())


@pytest.mark.parametrize(
    ("fields", "allowed", "said"),
    [
        ("path: 'own.py:Router'", "false", "have to be allowed"),
        ("path: 'own.py:Missing'", "true", "no class 'Missing'"),
        ("path: 'gone.py:Router'", "true", "cannot be imported"),
        ("path: 'own.py'", "true", "not FILE.py:CLASS"),
        ("path: 'own.py:Nothing'", "true", "not a class with"),
        ("path: 'own.py:Fails'", "true", "cannot be made: ValueError"),
        ("path: 'own.py:Router', config: {a: 1}", "true", "has no `Config`"),
        ("path: 'own.py:Quiet', config: {letters: many}", "true", "config: letters"),
        ("entry: nothing", "true", "no installed package offers"),
        ("action: block", "true", "either `path` or `entry`"),
        ("path: 'own.py:Router', entry: x", "true", "either `path` or `entry`"),
    ],
)
def test_what_cannot_work_is_said(tmp_path, fields, allowed, said):
    with pytest.raises(ConfigError, match=said):
        load(tmp_path, fields, allowed)


def test_a_file_with_a_mistake(tmp_path):
    with pytest.raises(ConfigError, match="SyntaxError"):
        load(tmp_path, "path: 'own.py:A'", code="class A(:")


@pytest.mark.parametrize(
    ("words", "good"),
    [
        ('["a", "b-2"]', True), ("()", True), ('["a", "a"]', False), ('["A"]', False), ('["off"]', False),
        ('["block"]', False),
        ('"ab"', False), ("7", False), ("[7]", False), ('["a b"]', False), ('[""]', False),
    ],
)  # fmt: skip
def test_the_words_of_a_policy(tmp_path, words, good):
    code = f"class A:\n    Override = {words}\n    def inspect(self, texts, caller):\n        return None\n"
    if good:
        assert load(tmp_path, "path: 'own.py:A'", code=code).armed().policies[0].overrides == tuple(eval(words))
        return
    with pytest.raises(ConfigError, match="Override"):
        load(tmp_path, "path: 'own.py:A'", code=code)


def test_the_configuration_can_only_choose_a_word_there_is(tmp_path):
    code = "class A:\n    Override = ['x', 'y']\n    def inspect(self, texts, caller):\n        return None\n"
    assert load(tmp_path, "path: 'own.py:A', override: y", code=code).armed().policies[0].override == "y"
    with pytest.raises(ConfigError, match="one of: x, y"):
        load(tmp_path, "path: 'own.py:A', override: z", code=code)
    with pytest.raises(ConfigError, match="no `Override`"):
        load(tmp_path, "path: 'own.py:Router', override: z")
