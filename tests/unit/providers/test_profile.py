"""Headers around a call: whose go along, and what the operator sets."""

import pytest

from extproc.config.load import load
from extproc.errors import ConfigError
from tests.unit.providers.support import one

USUAL = frozenset({"accept", "openai-beta", "openai-organization", "x-mine"})


def sent(provider, *names):
    return dict(provider.profile.headers(names))


def test_openais_organisation_is_the_configured_one_and_never_the_clients_with_our_key(tmp_path):
    provider = one(tmp_path, "{type: openai, keys: env:K, organization: org-1, project: proj_1}")
    assert sent(provider, "openai-organization") == {"openai-organization": "org-1", "openai-project": "proj_1"}
    assert {"openai-organization", "openai-project"} <= provider.profile.allowed(USUAL)  # overwritten, so not removed
    bare = one(tmp_path, "{type: openai, keys: env:K}")
    assert sent(bare, "openai-organization", "openai-project") == {}
    assert not {"openai-organization", "openai-project"} & bare.profile.allowed(USUAL)


def test_with_the_clients_own_key_its_organisation_goes_first(tmp_path):
    provider = one(tmp_path, "{type: openai, keys: client, organization: org-1}")
    assert sent(provider, "openai-organization") == {}
    assert sent(provider, "openai-project") == {"openai-organization": "org-1"}
    assert {"openai-organization", "openai-project"} <= provider.profile.allowed(USUAL)
    gone = one(tmp_path, "{type: openai, keys: client, remove: [openai-organization]}")
    assert "openai-organization" not in gone.profile.allowed(USUAL)


def test_a_version_is_the_clients_or_the_default(tmp_path):
    provider = one(tmp_path, "{type: anthropic, keys: env:K}")
    assert sent(provider) == {"anthropic-version": "2023-06-01"}
    assert sent(provider, "anthropic-version", "anthropic-beta") == {}
    assert {"anthropic-version", "anthropic-beta"} <= provider.profile.allowed(USUAL)
    fixed = one(tmp_path, "{type: anthropic, keys: env:K, headers: {anthropic-version: '2099-01-01'}}")
    assert sent(fixed, "anthropic-version") == {"anthropic-version": "2099-01-01"}
    assert len(fixed.profile.headers()) == 1


def test_headers_are_set_in_turn_and_removed(tmp_path):
    fields = "{type: openai, keys: env:K, headers: {user-agent: [a, b, c], x-team: ml}, remove: [openai-beta]}"
    provider = one(tmp_path, fields)
    assert [sent(provider)["user-agent"] for _ in range(4)] == ["a", "b", "c", "a"]
    assert sent(provider, "x-team")["x-team"] == "ml"
    allowed = provider.profile.allowed(USUAL)
    assert {"user-agent", "x-team", "accept", "x-mine"} <= allowed
    assert "openai-beta" not in allowed


@pytest.mark.parametrize(
    ("fields", "column", "said"),
    [
        ("headers: {authorization: x}", 39, "'authorization' cannot be set or removed here"),
        ("headers: {x-api-key: x}", 39, "cannot be set"),
        ("headers: {content-length: '1'}", 39, "cannot be set"),
        ("headers: {x-llm-route: x}", 39, "cannot be set"),
        ("headers: {':path': x}", 39, "is not the name of a header"),
        ("headers: {X-Mine: x}", 39, "in lower case"),
        ('headers: {x-mine: "a\\nb"}', 39, "printable ASCII"),
        ("headers: {x-mine: []}", 39, "needs values"),
        ("headers: {x-mine: ' a'}", 39, "printable ASCII"),
        ("remove: [cookie]", 38, "cannot be set"),
        ("remove: accept x", 38, "is not the name"),
    ],
)
def test_what_is_no_header_of_the_operators_is_refused(tmp_path, fields, column, said):
    path = tmp_path / "extproc.yaml"
    path.write_text(f"providers:\n  openai: {{keys: env:OPENAI, {fields}}}\n")
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    (found,) = caught.value.problems
    assert said in found.message
    assert (found.line, found.column) == (2, column)
