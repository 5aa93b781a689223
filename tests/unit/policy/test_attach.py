"""Which policies a request gets: union, dated exceptions, what Envoy has verified, what headers may ask."""

import datetime

import pytest

from extproc.config.model import Config
from extproc.errors import ConfigError, Refused
from extproc.policy.api import Phase, Scope, Tally
from extproc.policy.attach import PRINCIPALS, ROUTES, Traits
from tests.unit.exchange.support import compiled

BASE = """
providers: {a: {type: openai-compatible, base_url: "http://h:81/v1", keys: none}}
policies:
  one:   {kind: wordlist, words: [uno]}
  two:   {kind: wordlist, words: [dos], action: block}
  three: {kind: wordlist, words: [tres], mode: audit}
sets: {both: [one, two]}
"""


def armed(tmp_path, more, **traits):
    runtime = compiled(BASE + more, tmp_path)
    asked = Traits(**traits)
    usual = runtime.attached.choose(asked)
    wish = runtime.overrides.wish(asked, usual.policies)
    return runtime.attached.choose(asked, wish).header


LINES = """
attach:
  - {use: one}
  - {use: three, to: {model: "gpt-*", operation: [chat, embeddings]}}
  - {use: two, to: {header: {X-Team: [red, "b*"]}}}
  - {use: two, to: {route: public}}
  - {use: two, to: {principal: "spiffe://shop/*"}}
  - {use: two, to: {jwt: {groups: finance}}}
"""


@pytest.mark.parametrize(
    ("traits", "expected"),
    [
        ({}, "one"),
        ({"model": "gpt-4", "operation": "chat"}, "one,three;audit"),
        ({"model": "gpt-4", "operation": "images"}, "one"),
        ({"model": "GPT-4", "operation": "chat"}, "one"),
        ({"model": "my-gpt-4", "operation": "chat"}, "one"),
        ({"headers": {"x-team": "red"}}, "one,two"),
        ({"headers": {"x-team": "blue"}}, "one,two"),
        ({"headers": {"x-team": "darkred"}}, "one"),
        ({"attributes": {ROUTES[0]: "public"}}, "one,two"),
        ({"attributes": {ROUTES[0]: "publicity"}}, "one"),
        ({"attributes": {PRINCIPALS[0]: "spiffe://shop/checkout"}}, "one,two"),
        ({"attributes": {PRINCIPALS[1]: "spiffe://shop/checkout"}}, "one,two"),
        ({"claims": {"groups": ["sales", "finance"]}}, "one,two"),
        ({"claims": {"groups": "finance"}}, "one,two"),
        ({"claims": {"groups": 7}}, "one"),
        ({"claims": {"groups": {"finance": True}}}, "one"),
        ({"model": "gpt-4", "operation": "chat", "attributes": {ROUTES[0]: "public"}}, "one,three;audit,two"),
    ],
)
def test_every_matching_line_adds(tmp_path, traits, expected):
    assert armed(tmp_path, LINES, **traits) == expected


def test_a_line_for_few_comes_in_the_order_of_the_file(tmp_path):
    lines = "attach: [{use: two, to: {model: m}}, {use: both}]"
    assert armed(tmp_path, lines, model="m") == armed(tmp_path, lines) == "two,one"


def excepting(until):
    return f"""
attach:
  - {{use: both}}
  - {{except: both, to: {{jwt: {{sub: ci}}}}, reason: load tests, until: {until}}}
"""


def test_a_dated_exception_removes_and_expires(tmp_path):
    today = datetime.datetime.now(datetime.UTC).date()
    ci = {"claims": {"sub": "ci"}}
    assert armed(tmp_path, excepting(today), **ci) == "none"
    assert armed(tmp_path, excepting(today + datetime.timedelta(days=1)), **ci) == "none"
    assert armed(tmp_path, excepting(today - datetime.timedelta(days=1)), **ci) == "one,two"
    assert armed(tmp_path, excepting(today), claims={"sub": "dev"}) == "one,two"


def test_an_exception_wins_over_lines_after_it(tmp_path):
    more = excepting("2999-01-01") + "  - {use: two, to: {model: m}}\n"
    assert armed(tmp_path, more, claims={"sub": "ci"}, model="m") == "none"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{to: {model: x}}", "either `use` or `except`"),
        ("{use: one, except: two}", "either `use` or `except`"),
        ("{except: one, to: {model: x}}", "`except` needs a `reason`"),
        ("{except: one, to: {model: x}, reason: because}", "`except` needs a `reason`"),
        ("{except: one, reason: because, until: 2999-01-01}", "must say to which requests"),
        ("{except: one, to: {header: {x-a: b}}, reason: because, until: 2999-01-01}", "clients choose their headers"),
        ("{use: one, reason: because}", "belong to `except`"),
        ("{use: one, to: {}}", "names nothing"),
        ("{use: one, to: {team: x}}", "team"),
        ("{use: one, to: {header: {'a b': x}}}", "not a header's name"),
    ],
)
def test_lines_that_cannot_be_meant(tmp_path, line, said):
    with pytest.raises(ConfigError, match=said):
        compiled(BASE + f"attach: [{line}]", tmp_path)


# headers


def wish(tmp_path, headers, more="attach: [{use: one}]", **traits):
    return armed(tmp_path, more, headers=headers, **traits)


def test_headers_tighten(tmp_path):
    assert wish(tmp_path, {"x-llm-policy": "two"}) == "one,two"
    assert wish(tmp_path, {"x-llm-policy": "Both, three"}) == "one,two,three;audit"
    assert wish(tmp_path, {"x-llm-policy-three": "block"}) == "one,three"
    assert wish(tmp_path, {"x-llm-policy-one": "Block"}) == "one"


def test_a_tightened_policy_really_blocks(tmp_path):
    runtime = compiled(BASE + "attach: [{use: one}]", tmp_path)
    traits = Traits(headers={"x-llm-policy-one": "block"})
    asked = runtime.overrides.wish(traits, runtime.attached.usual.policies)
    assert [each.action for each in runtime.attached.choose(traits, asked).policies] == ["block"]
    assert [each.action for each in runtime.attached.choose(traits).policies] == ["redact"]


@pytest.mark.parametrize(
    "headers",
    [
        {"x-llm-policy-one": "off"},
        {"x-llm-policy-one": "audit"},
        {"x-llm-policy-one": ""},
        {"x-llm-policy-one": "none"},
        {"x-llm-policy-one": "block,off"},
        {"x-llm-policy-nothing": "block"},
        {"x-llm-policy": "nothing"},
        {"x-llm-policy": ""},
        {"x-llm-policy": "-one"},
        {"x-llm-policy": ",".join(["one"] * 17)},
        {"x-llm-policy-": "block"},
    ],
)
def test_headers_cannot_loosen_and_mistakes_are_errors(tmp_path, headers):
    with pytest.raises(Refused):
        wish(tmp_path, headers)


def test_a_policy_in_audit_mode_can_only_go_up(tmp_path):
    with pytest.raises(Refused):
        wish(tmp_path, {"x-llm-policy-three": "off"}, "attach: [{use: three}]")
    assert wish(tmp_path, {"x-llm-policy-three": "audit"}, "attach: [{use: three}]") == "three;audit"


def test_the_operator_can_let_some_loosen(tmp_path):
    more = "attach: [{use: both}]\noverrides: {loosen: [{policies: one, to: {jwt: {role: admin}}}]}"
    admin = {"claims": {"role": "admin"}}
    assert wish(tmp_path, {"x-llm-policy-one": "off"}, more, **admin) == "two"
    assert wish(tmp_path, {"x-llm-policy-one": "audit"}, more, **admin) == "one;audit,two"
    for headers, traits in (
        ({"x-llm-policy-two": "off"}, admin),
        ({"x-llm-policy-one": "off"}, {"claims": {"role": "user"}}),
        ({"x-llm-policy-one": "off", "role": "admin"}, {}),
    ):
        with pytest.raises(Refused):
            wish(tmp_path, headers, more, **traits)


def test_names_that_headers_cannot_tell_apart(tmp_path):
    with pytest.raises(ConfigError, match="differ only in case"):
        compiled(BASE.replace("  two: ", "  ONE: "), tmp_path)


def test_headers_can_be_switched_off(tmp_path):
    with pytest.raises(Refused):
        wish(tmp_path, {"x-llm-policy": "two"}, "attach: [{use: one}]\noverrides: {headers: false}")


def test_who_may_loosen_is_never_a_matter_of_headers(tmp_path):
    for to in ("{header: {x-admin: '1'}}", "{model: m}", "{header: {x-admin: '1'}, jwt: {role: a}}"):
        with pytest.raises(ConfigError, match="verified"):
            compiled(BASE + f"overrides: {{loosen: [{{policies: one, to: {to}}}]}}", tmp_path)


PANDA = "attach: [{use: one}]\noverrides: {usagepanda: true}"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"x-usagepanda-request-wordlists": "profanity:block, dan:audit"}, "one,profanity,dan;audit"),
        ({"x-usagepanda-response-wordlists": "adult:redact"}, "one,adult"),
        ({"x-usagepanda-request-wordlists": ""}, "one"),
        ({"x-usagepanda-trace-id": "t", "x-usagepanda-retry-count": "3", "x-usagepanda-log-request": "true"}, "one"),
    ],
)
def test_the_old_names(tmp_path, headers, expected):
    assert wish(tmp_path, headers, PANDA) == expected
    assert wish(tmp_path, headers) == "one"


def test_the_operators_custom_list(tmp_path):
    text = BASE.replace("  one: ", "  custom: {kind: wordlist, words: [x1]}\n  one: ")
    runtime = compiled(text + PANDA, tmp_path)
    asked = runtime.overrides.wish(Traits(headers={"x-usagepanda-request-wordlists": "custom:block"}), ())
    assert [(each.name, each.action) for each in asked.own] == [("custom", "block")]


@pytest.mark.parametrize(
    "headers",
    [
        {"x-usagepanda-request-wordlists": "profanity"},
        {"x-usagepanda-request-wordlists": "profanity:off"},
        {"x-usagepanda-request-wordlists": "nothing:block"},
        {"x-usagepanda-request-wordlists": "custom:block"},
        {"x-usagepanda-max-tokens": "many"},
        {"x-usagepanda-max-tokens": "-1"},
        {"x-usagepanda-max-tokens": "１２"},
        {"x-usagepanda-enforce-user-ids": "maybe"},
        {"x-usagepanda-auto-moderate": "true"},
        {"x-usagepanda-prompt-reflection": "off"},
    ],
)
def test_what_the_old_names_cannot_say(tmp_path, headers):
    with pytest.raises(Refused):
        wish(tmp_path, headers, PANDA)


def test_a_worker_that_is_told_the_configuration_reads_the_same(tmp_path):
    config = compiled(BASE + excepting("2999-01-01"), tmp_path).config
    assert Config.model_validate(config.model_dump(mode="json", exclude_unset=True)) == config


# what clients choose costs nobody a compilation

MANY = (
    "providers: {a: {type: openai-compatible, base_url: 'http://h:81/v1', keys: none}}\npolicies:\n"
    + "".join(f"  p{number}: {{kind: wordlist, words: [word{number}], action: redact}}\n" for number in range(8))
    + "overrides: {usagepanda: true}\n"
)
USING = "attach: [{use: p0}]\n"
BY_HEADER = "attach:\n  - {use: p0}\n" + "".join(
    f"  - {{use: p{number}, to: {{header: {{x-{number}: wanted}}}}}}\n" for number in range(1, 8)
)


@pytest.fixture
def compilations(monkeypatch):
    from extproc.policy import attach

    made = []

    class Counted(attach.Chain):
        def __init__(self, policies):
            self_policies = tuple(policies)
            made.append(len(self_policies))
            super().__init__(self_policies)

    monkeypatch.setattr(attach, "Chain", Counted)
    return made


def redacted(runtime, headers):
    traits = Traits(headers=headers)
    usual = runtime.attached.choose(traits)
    wish = runtime.overrides.wish(traits, usual.policies)
    chain = (runtime.attached.choose(traits, wish) if wish else usual).chain
    text = " ".join(f"word{number}" for number in range(8))
    decision = chain.inspect(Phase.REQUEST, [(Scope.USER, text, False)], Tally())
    found = decision.texts.get(0, text).split()
    return {number for number, word in enumerate(found) if word.startswith("[")}


def subsets():
    for number in range(128):
        yield {bit for bit in range(1, 8) if number & 1 << bit - 1}


def test_all_that_headers_can_combine_is_compiled_once_each(tmp_path, compilations):
    runtime = compiled(MANY + USING, tmp_path)
    for chosen in subsets():
        headers = {"x-llm-policy": ",".join(f"p{each}" for each in chosen)} if chosen else {}
        assert redacted(runtime, headers) == {0} | chosen
    assert sum(compilations) <= 1 + 8
    for chosen in subsets():
        headers = {f"x-llm-policy-p{each}": "redact" for each in chosen}
        assert redacted(runtime, headers) == {0} | chosen
    assert sum(compilations) <= 1 + 8


def test_lines_that_clients_combine_are_compiled_with_an_end(tmp_path, compilations):
    from extproc.policy import attach

    runtime = compiled(MANY + BY_HEADER, tmp_path)
    for _ in range(2):
        for chosen in subsets():
            assert redacted(runtime, {f"x-{each}": "wanted" for each in chosen}) == {0} | chosen
    assert sum(each > 1 for each in compilations) <= attach._CHAINS_MAX
    assert len(compilations) <= attach._CHAINS_MAX + 8 + 1


def test_the_old_names_are_compiled_once(tmp_path, compilations):
    runtime = compiled(MANY.replace("p1:", "custom:") + USING, tmp_path)
    for limit in range(5):
        headers = {"x-usagepanda-request-wordlists": "custom:redact", "x-usagepanda-max-tokens": f"{limit}"}
        assert redacted(runtime, headers) == {0, 1}
    assert len(compilations) <= 3


def test_an_old_name_means_the_phase_it_says(tmp_path):
    runtime = compiled(MANY.replace("p1: {", "custom: {phase: request, ") + USING, tmp_path)
    asked = runtime.overrides.wish(Traits(headers={"x-usagepanda-response-wordlists": "custom:block"}), ())
    assert [each.phases for each in asked.own] == [{Phase.RESPONSE}]


def test_the_same_list_counts_once_and_too_many_are_refused(tmp_path):
    name = "x-usagepanda-request-wordlists"
    assert wish(tmp_path, {name: "adult:block,adult:block"}, PANDA) == "one,adult"
    with pytest.raises(Refused):
        wish(tmp_path, {name: ",".join(["adult:block"] * 17)}, PANDA)


def test_moderation_that_applies_anyway_is_not_asked_twice(tmp_path):
    text = BASE.replace("  one: ", "  judge: {kind: moderation, service: webhook, url: 'http://h:1/'}\n  one: ")
    asked = {"x-usagepanda-auto-moderate": "true"}
    assert armed(tmp_path, "", headers=asked) is not None
    runtime = compiled(text + "attach: [{use: judge}]\noverrides: {usagepanda: true}", tmp_path)
    traits = Traits(headers=asked)
    assert not runtime.overrides.wish(traits, runtime.attached.choose(traits).policies)


@pytest.mark.parametrize("stars", ["*a*a*a*a*a*b", "a*a*a*a*a*a*b"])
def test_globs_on_what_clients_say_are_linear(tmp_path, stars):
    more = f"attach: [{{use: one}}, {{use: two, to: {{header: {{x-a: '{stars}'}}}}}}]"
    assert armed(tmp_path, more, headers={"x-a": "a" * 60_000}) == "one"
    assert armed(tmp_path, more, headers={"x-a": "a" * 60_000 + "b"}) == "one,two"


WORDS = """
class Words:
    Override = ["mild", "normal", "strict"]
    def inspect(self, texts, caller):
        return None
"""


@pytest.mark.parametrize(
    ("role", "attached", "said", "expected"),
    [
        ("admin", True, "mild", "mild"), ("admin", False, "strict", "strict"), ("user", True, "mild", None),
        ("user", True, "strict", "strict"), ("user", False, "strict", None),
    ],
)  # fmt: skip
def test_who_may_choose_a_milder_word(tmp_path, role, attached, said, expected):
    (tmp_path / "own.py").write_text(WORDS)
    own = "  own: {kind: python, path: 'own.py:Words', override: normal}\n"
    more = f"attach: [{{use: {'own' if attached else 'one'}}}]\nprocessor: {{python: true}}\n"
    loosen = "overrides: {loosen: [{policies: own, to: {jwt: {role: admin}}}]}"
    runtime = compiled(BASE.replace("  one: ", own + "  one: ", 1) + more + loosen, tmp_path)
    traits = Traits(headers={"x-llm-policy-own": said}, claims={"role": role})
    usual = runtime.attached.choose(traits)
    if expected is None:
        with pytest.raises(Refused):
            runtime.overrides.wish(traits, usual.policies)
        return
    armed = runtime.attached.choose(traits, runtime.overrides.wish(traits, usual.policies))
    (policy,) = armed.moderated
    assert policy.override == expected
