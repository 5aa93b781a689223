import pytest

from extproc.config.load import load
from extproc.errors import ConfigError, StartupError
from extproc.exchange.planning import Wanted, plan
from extproc.runtime import effective
from extproc.supervisor import routing
from tests.unit.exchange.support import compiled

PROVIDER = 'providers: {a: {type: openai-compatible, base_url: "http://h:81/v1", keys: none}}\n'


def problems(text, tmp_path, environment=None):
    with pytest.raises(ConfigError) as caught:
        compiled(text, tmp_path, environment or {})
    return [str(each) for each in caught.value.problems]


def test_the_name_itself_wins_then_the_longest_prefix(tmp_path):
    text = PROVIDER + 'models: {"*": a, "gpt-*": a/one, "gpt-4*": a/two, gpt-4o: a/three}'
    runtime = compiled(text, tmp_path)
    found = {name: runtime.group(name).backends[0].model for name in ("x", "gpt-3", "gpt-4", "gpt-4o", "gpt-4o-mini")}
    assert found == {"x": None, "gpt-3": "one", "gpt-4": "two", "gpt-4o": "three", "gpt-4o-mini": "two"}


def test_an_unknown_model_has_no_group(tmp_path):
    assert compiled(PROVIDER + "models: {x: a}", tmp_path).group("y") is None


def test_one_provider_serves_every_name_and_its_own_prefix(tmp_path):
    runtime = compiled(PROVIDER, tmp_path)
    assert runtime.group("anything").backends[0].upstream_model("anything") == "anything"
    assert runtime.group("a/llama").backends[0].upstream_model("a/llama") == "llama"


def test_without_policies_the_recommended_ones_apply(tmp_path):
    assert compiled(PROVIDER, tmp_path).armed == "pii,secrets,injection;audit"


def test_own_policies_take_their_place_and_attach_adds_sets(tmp_path):
    own = PROVIDER + "policies: {mine: {kind: wordlist, words: [x1]}}\n"
    assert compiled(own, tmp_path).armed == "mine"
    assert compiled(own + "attach: [{use: [recommended, mine]}]", tmp_path).armed == "pii,secrets,injection;audit,mine"
    assert compiled(own + "sets: {s: [mine, pii]}\nattach: [{use: s}]", tmp_path).armed == "mine,pii"


def test_a_policy_of_the_same_name_replaces_the_shipped_one(tmp_path):
    text = PROVIDER + "policies: {pii: {kind: pii, find: [email], mode: audit}}\nattach: [{use: recommended}]"
    assert compiled(text, tmp_path).armed == "pii;audit,secrets,injection;audit"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (PROVIDER + "models: {x: b}", "there is no provider 'b'; known: a"),
        (PROVIDER + "models: {x: a/}", "names no model"),
        (PROVIDER + "attach: [{use: nothing}]", "there is no policy or set 'nothing'"),
        (PROVIDER + "sets: {s: [s]}\nattach: [{use: s}]", "contains itself"),
        (PROVIDER + "policies: {p: {kind: wordlist, pack: missing}}", "there is no pack 'missing'; known: adult"),
        (PROVIDER + "policies: {p: {kind: wordlist, words: ['file:gone.txt']}}", "gone.txt cannot be read"),
        (PROVIDER + "policies: {p: {kind: regex, patterns: ['a+']}}", "no bound"),
        (PROVIDER + "policies: {p: {kind: regex, patterns: ['(?=a)b']}}", "linear time"),
        (PROVIDER + "policies: {p: {kind: regex, patterns: ['[a']}}", "missing ']'"),
        ("providers: {openai: {}}", "OPENAI_API_KEY is not set"),
        ("providers: {openai: {keys: sk-real}}", "must be a reference"),
        ('providers: {openai: {keys: none, base_url: "http://u:p@h/v1"}}', "needs a host, and no user"),
        (
            "providers: {a: {type: vllm, keys: client}, b: {type: vllm, keys: none}}\nmodels: {x: [a, b]}",
            "may only go to one provider",
        ),
    ],
)
def test_what_cannot_work_is_said(text, said, tmp_path):
    found = problems(text, tmp_path)
    assert any(said in each for each in found), found


def test_a_problem_names_its_place(tmp_path):
    found = problems(PROVIDER + "models:\n  good: a\n  bad: nobody\n", tmp_path)
    assert found[0].endswith("extproc.yaml:4:8: models.bad: there is no provider 'nobody'; known: a")


def test_a_key_that_holds_white_space_or_controls_is_refused(tmp_path):
    found = problems("providers: {openai: {keys: env:K}}", tmp_path, {"K": "sk a"})
    assert "does not look like a key" in found[0]


def test_effective_configuration_shows_references_not_keys(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("providers: {openai: {keys: env:K}}")
    assert "sk-secret" not in str(effective(load(path, {"K": "sk-secret"})))


WANTED = Wanted("chat", "openai-chat", "m", False)


@pytest.mark.parametrize(
    ("url", "authority", "path"),
    [
        ("https://h/v1", "h", "/v1/chat/completions"),
        ("https://h:443/v1/", "h", "/v1/chat/completions"),
        ("http://h:8000", "h:8000", "/chat/completions"),
        ("http://[::1]:80/x", "[::1]", "/x/chat/completions"),
    ],
)
def test_where_a_backend_is(url, authority, path, tmp_path):
    runtime = compiled(f'providers: {{a: {{type: openai-compatible, base_url: "{url}", keys: none}}}}', tmp_path)
    backend = runtime.group("m").backends[0]
    assert (backend.authority, plan(backend, WANTED).target) == (authority, path)


def test_a_file_without_providers_guards_what_others_route(tmp_path):
    one = compiled("policies: {p: {kind: pii}}", tmp_path)
    assert one.guards_only
    assert not one.groups
    assert not compiled(PROVIDER, tmp_path).guards_only


def test_a_gateway_needs_somewhere_to_send_requests(tmp_path):
    with pytest.raises(StartupError, match="no providers"):
        routing(compiled("policies: {p: {kind: pii}}", tmp_path))
