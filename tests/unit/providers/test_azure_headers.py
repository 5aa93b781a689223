"""Azure by request header: a choice among the operator's resources."""

import pytest

from extproc.errors import Refused
from extproc.providers.azure_headers import Chosen, chosen
from tests.unit.exchange.support import compiled
from tests.unit.providers.support import built

RESOURCES = {"zebra": "azure", "other-2": "spare"}


@pytest.mark.parametrize("prefix", ["x-llm-azure-", "x-usagepanda-azure-"])
def test_a_resource_and_a_deployment(prefix):
    assert chosen({f"{prefix}resource": " ZEBRA "}, RESOURCES) == Chosen("azure", "")
    headers = {f"{prefix}resource": "other-2", f"{prefix}deployment": "gpt-4o.main_1"}
    assert chosen(headers, RESOURCES) == Chosen("spare", "gpt-4o.main_1")


def test_nothing_is_asked_or_nobody_may():
    assert chosen({"x-other": "y", "x-llm-azure-resource": ""}, RESOURCES) is None
    assert chosen({"x-llm-azure-resource": "zebra"}, {}) is None


def test_both_spellings_must_agree():
    headers = {"x-llm-azure-resource": "zebra", "x-usagepanda-azure-resource": "zebra"}
    assert chosen(headers, RESOURCES) == Chosen("azure", "")
    with pytest.raises(Refused, match="different Azure resources"):
        chosen(headers | {"x-llm-azure-resource": "other-2"}, RESOURCES)


@pytest.mark.parametrize(
    ("resource", "deployment"),
    [
        ("unknown", ""),
        ("", "d"),
        ("evil.example", ""),
        ("zebra.openai.azure.com/x?", ""),
        ("-zebra", ""),
        ("r" * 64, ""),
        ("zebra", "../files"),
        ("zebra", "a/b"),
        ("zebra", "d" * 129),
        ("zebra", "ü"),
        ("zebra\u212a", ""),
    ],
)
def test_what_is_not_configured_or_no_name_is_refused_unquoted(resource, deployment):
    with pytest.raises(Refused) as caught:
        chosen({"x-llm-azure-resource": resource, "x-llm-azure-deployment": deployment}, RESOURCES)
    assert (caught.value.status, caught.value.code) == (400, "azure_header")
    for each in filter(None, (resource, deployment)):
        assert each == "d" or each not in caught.value.message


def test_only_a_provider_that_allows_it_can_be_chosen(tmp_path):
    text = """
providers:
  one:   {type: azure, resource: first, keys: none, azure_headers: true}
  two:   {type: azure, resource: second, keys: none}
  three: {type: azure, base_url: "https://Third.cognitiveservices.azure.com", keys: none, azure_headers: true}
models: {m: one}
"""
    assert compiled(text, tmp_path).resources == {"first": "one", "third": "three"}


def test_two_providers_of_one_resource_cannot_both_be_chosen(tmp_path):
    text = """providers:
  one: {type: azure, resource: same, keys: none, azure_headers: true}
  two: {type: azure, resource: same, keys: none, azure_headers: true}
"""
    _, (problem,) = built(tmp_path, text)
    assert "'same' is already that of provider 'one'" in problem.message
    assert (problem.line, problem.column) == (3, 65)
