"""What a configuration says of providers, and every way in which it cannot."""

import datetime

import pytest

from extproc.config.load import load
from extproc.framing.jsontext import dump
from extproc.providers import aws, entra, google
from extproc.providers.credentials import Bearer, Signed
from extproc.providers.known import COMPATIBLE, FIELDS, KNOWN, TYPES
from tests.unit.exchange.support import compiled
from tests.unit.providers.support import built, one
from tests.unit.providers.test_google import account

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("fields", "at", "said"),
    [
        ("type: openai, keys: env:NOPE", "keys: ", "the environment variable NOPE is not set"),
        ("type: openai, keys: [env:K, 'file:gone']", "keys: ", "gone cannot be read"),
        ("type: openai, keys: sk-real", "keys: ", "must be a reference (env:NAME or file:PATH), not the key itself"),
        ("type: openai, keys: env:SPACED", "keys: ", "what env:SPACED holds does not look like a key"),
        ("type: openai", "{", "OPENAI_API_KEY is not set"),
        (
            "type: openai, keys: env:K, region: eu-west-1",
            "region: ",
            "a provider of type openai takes no `region`: it is for b",
        ),
        (
            "type: groq, keys: env:K, organization: o",
            "organization: ",
            "takes no `organization`: it is for openai, openai-compatible",
        ),
        ("type: anthropic, keys: env:K, path: /x", "path: ", "a provider of type anthropic takes no `path`"),
        (
            "type: openai, keys: env:K, formats: [openai-audio]",
            "formats: ",
            "takes no `formats`: it is for ollama, openai-compatible",
        ),
        ("type: vllm, keys: none, formats: [gemini]", "formats: [", "Input should be"),
        ("type: azure, keys: env:K", "{", "type azure needs the name of a `resource`, or a `base_url`"),
        ("type: azure, resource: r, machine: true, keys: env:K", "machine: ", "does not go with `keys`"),
        (
            "type: azure, resource: r, entra: {tenant: t, client: c}",
            "entra: ",
            "needs one key: the application's secret",
        ),
        ("type: azure, resource: r, keys: none, machine: true", "machine: ", "does not go with `keys: none`"),
        (
            "type: azure, resource: r, keys: client, entra: {tenant: t, client: c}",
            "entra: ",
            "does not go with `keys: client`",
        ),
        ("type: azure, resource: evil.example/, keys: env:K", "resource: ", "should match pattern"),
        ("type: azure, resource: r, keys: env:K, api_version: 'a&b=c'", "api_version: ", "should match pattern"),
        (
            "type: azure, resource: r, keys: env:K, entra: {tenant: t, client: c, authority: 'http://x'}",
            "authority: ",
            "https://",
        ),
        ("type: bedrock, keys: env:K", "{", "type bedrock needs a `region`, or a `base_url`"),
        ("type: bedrock, region: eu-west-1", "{", "needs `keys`, a `profile`, a `role`, or `machine: true`"),
        (
            "type: bedrock, region: eu-west-1, keys: [env:K, env:K, env:K, env:K]",
            "keys: ",
            "or access key id, secret and maybe",
        ),
        (
            "type: bedrock, base_url: 'https://vpce.example', keys: [env:K, env:K]",
            "{",
            "to sign requests, type bedrock",
        ),
        ("type: bedrock, region: r, profile: p, keys: [env:K, env:K]", "profile: ", "does not go with `keys`"),
        ("type: bedrock, region: r, machine: c", "machine: ", "is true or false with type bedrock"),
        ("type: bedrock, region: r, role: admin", "role: ", "should match pattern"),
        (
            "type: bedrock, region: r, keys: env:K, role: 'arn:aws:iam::123456789012:role/x'",
            "role: ",
            "with an API key",
        ),
        ("type: vertex, machine: true", "{", "type vertex needs a `project`"),
        ("type: vertex, project: p", "{", "one key, a Google credential file, or `machine: true`"),
        ("type: vertex, project: p, keys: [env:K, env:K2]", "keys: ", "one key, a Google credential file"),
        ("type: vertex, project: p, keys: env:K", "keys: ", "what env:K holds is not a Google credential file"),
        ("type: vertex, project: p, keys: env:K, machine: true", "machine: ", "does not go with `keys`"),
        ("type: vertex, project: 'p/../q', machine: true", "project: ", "should match pattern"),
        (
            "type: openai, keys: none, base_url: 'http://h/?x=1'",
            "base_url: ",
            "needs a host, and no user, query or fragment",
        ),
        ("type: openai, keys: none, base_url: 'http://u:p@h'", "base_url: ", "no user"),
        ("type: openai, keys: none, base_url: 'http://h:x/'", "base_url: ", "is not a URL"),
        ("type: openai, keys: none, base_url: 'http://'", "base_url: ", "needs a host"),
    ],
)
def test_what_cannot_work_is_said_with_its_place(tmp_path, fields, at, said):
    line = f"  p: {{{fields}}}"
    _, problems = built(tmp_path, f"providers:\n{line}\n", {"SPACED": "a b"})
    (problem,) = problems
    assert said in problem.message
    assert problem.path.startswith("providers.p")
    column = line.index(at) + (1 if at == "{" else len(at) + 1)
    assert (problem.line, problem.column) == (2, column)


def test_all_providers_are_checked_also_those_that_no_model_uses(tmp_path):
    text = (
        "providers:\n  a: {type: openai, keys: env:A}\n  b: {type: groq, keys: env:B, region: x}\n  c: {type: vllm}\n"
    )
    found, problems = built(tmp_path, text)
    assert list(found) == ["c"]
    assert [each.path for each in problems] == ["providers.a.keys", "providers.b.region", "providers.b.keys"]


def test_no_botocore(tmp_path, monkeypatch):
    monkeypatch.setattr(aws, "installed", lambda: False)
    _, (problem,) = built(tmp_path, "providers:\n  p: {type: bedrock, region: eu-west-1, profile: x}\n")
    assert "pip install 'llm-extproc[aws]'" in problem.message
    assert problem.path == "providers.p.profile"


def test_every_field_for_some_types_is_a_field_and_every_type_is_one():
    from extproc.config.provider import Provider

    assert set(FIELDS) <= set(Provider.model_fields)
    assert all(types <= set(TYPES) for types in FIELDS.values())
    assert COMPATIBLE not in KNOWN
    assert not [name for name, field in Provider.model_fields.items() if not field.description]


@pytest.mark.parametrize(
    ("fields", "environment", "host"),
    [
        ("region: eu-west-1, keys: env:K", {}, "bedrock-runtime.eu-west-1.amazonaws.com"),
        ("keys: [env:K, env:K2]", {"AWS_REGION": "us-west-2"}, "bedrock-runtime.us-west-2.amazonaws.com"),
        ("", {"AWS_DEFAULT_REGION": "x-1", "AWS_BEARER_TOKEN_BEDROCK": "k"}, "bedrock-runtime.x-1.amazonaws.com"),
        ("keys: env:K, base_url: 'https://bedrock.example'", {}, "bedrock.example"),
    ],
)
def test_where_bedrock_is(tmp_path, fields, environment, host):
    assert one(tmp_path, f"{{type: bedrock, {fields}}}", environment).host == host


def test_a_region_may_stand_in_the_address(tmp_path):
    url = "https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com"
    credential = one(tmp_path, f"{{type: bedrock, base_url: '{url}', keys: [env:K, env:K2]}}").credential
    assert credential.region == "us-gov-west-1"


def source(tmp_path, fields, environment=None):
    credential = one(tmp_path, fields, environment).credential
    assert isinstance(credential, (Bearer, Signed))
    assert credential.held.provider == "p"
    return credential.held.source


def test_what_azure_fetches(tmp_path):
    base = "type: azure, resource: r"
    found = source(tmp_path, f"{{{base}, keys: env:K, entra: {{tenant: contoso.com, client: c}}}}")
    assert found == entra.Application("https://login.microsoftonline.com", "contoso.com", "c", "key-1")
    assert "key-1" not in repr(found)
    assert source(tmp_path, f"{{{base}, machine: true}}") == entra.Machine("")
    assert source(tmp_path, f"{{{base}, machine: my-client}}") == entra.Machine("my-client")
    service = {"IDENTITY_ENDPOINT": "http://i", "IDENTITY_HEADER": "h"}
    assert source(tmp_path, f"{{{base}, machine: true}}", service) == entra.Machine("", "http://i", "h")


def test_what_bedrock_fetches(tmp_path):
    role = "arn:aws:iam::123456789012:role/llm"
    base = "type: bedrock, region: r"
    assert source(tmp_path, f"{{{base}, machine: true}}") == aws.Chain("r")
    assert source(tmp_path, f"{{{base}, profile: ml}}") == aws.Chain("r", "ml")
    assert source(tmp_path, f"{{{base}, role: '{role}'}}") == aws.Chain("r", "", role)
    assert source(tmp_path, f"{{{base}, profile: ml, role: '{role}'}}") == aws.Chain("r", "ml", role)
    found = source(tmp_path, f"{{{base}, keys: [env:K, env:K2], role: '{role}'}}")
    assert found == aws.Chain("r", "", role, ("key-1", "key-2"))


def test_what_vertex_fetches(tmp_path):
    text = dump(account()).decode()
    (tmp_path / "sa.json").write_text(text)
    wanted = google.from_file(text)
    assert source(tmp_path, "{type: vertex, project: p, keys: 'file:sa.json'}") == wanted
    assert source(tmp_path, "{type: vertex, project: p, keys: env:SA}", {"SA": text}) == wanted
    usual = {"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "sa.json"), "GOOGLE_CLOUD_PROJECT": "q"}
    assert source(tmp_path, "{type: vertex}", usual) == wanted
    assert source(tmp_path, "{type: vertex, project: p, machine: true}") == google.Machine()
    assert one(tmp_path, "{type: vertex}", usual).kind.project == "q"


def test_no_secret_is_in_what_is_compiled_or_dumped(tmp_path):
    text = """
providers:
  a: {type: azure, resource: r, keys: env:K, entra: {tenant: t, client: c}}
  b: {type: bedrock, region: r, keys: [env:K, env:K]}
  c: {type: openai, keys: env:K}
  d: {type: vertex, project: p, keys: env:SA}
"""
    secret = "MARKERSECRET0123456789"
    environment = {"K": secret, "SA": dump(account(private_key_id="kid")).decode()}
    runtime = compiled(text, tmp_path, environment)
    assert len(runtime.held()) == 2
    shown = repr(runtime) + repr(runtime.backends) + repr([each.source for each in runtime.held()])
    assert secret not in shown
    assert "PRIVATE KEY" not in shown


def test_keys_in_the_environment_are_providers_where_a_key_is_all_it_takes():
    environment = {known.variable: "k" for known in KNOWN.values() if known.variable}
    found = load(None, environment).config.providers
    assert {"openai", "anthropic", "gemini", "cerebras"} <= set(found)
    assert not {"azure", "bedrock", "vertex"} & set(found)


def test_backends_know_models_by_their_providers_names(tmp_path):
    text = """
providers: {azure: {resource: r, keys: env:K, deployments: {gpt-4o: main}}}
models: {gpt-4o: azure, fast: azure/gpt-4o, "*": azure}
"""
    runtime = compiled(text, tmp_path, {"K": "k"})
    assert runtime.group("gpt-4o").backends[0].upstream_model("gpt-4o") == "main"
    assert runtime.group("fast").backends[0].upstream_model("fast") == "main"
    assert runtime.group("x").backends[0].upstream_model("x") == "x"
    assert runtime.group("gpt-4o").renames
