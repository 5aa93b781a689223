"""The chain: who applies where, what takes precedence, and the difference between enforcing and watching."""

import pytest

from extproc.policy.api import Action, Mode, OnError, Outcome, Phase, Policy, Scope, Tally, stronger
from extproc.policy.chain import Chain
from extproc.policy.pattern import parse
from extproc.policy.rules import RegexRule
from extproc.policy.scanner import apply
from extproc.policy.words import WordRule


def policy(
    name,
    word,
    action=Action.REDACT,
    mode=Mode.ENFORCE,
    phases=tuple(Phase),
    scopes=tuple(Scope),
    on_error=OnError.BLOCK,
    accept=None,
    reply="",
):
    rule = RegexRule(name, parse(word), f"[{name}]", accept)
    return Policy(name, action, mode, frozenset(phases), frozenset(scopes), (rule,), on_error, reply)


def inspect(policies, *texts, phase=Phase.REQUEST, scope=Scope.USER):
    tally = Tally()
    decision = Chain(policies).inspect(phase, [(scope, text, scope is Scope.TOOL_INPUT) for text in texts], tally)
    return decision, tally


REDACT = policy("redact", "bad")
BLOCK = policy("block", "worst", Action.BLOCK)
REPLY = policy("reply", "joke", Action.REPLY, phases=[Phase.REQUEST], reply="no")
AUDIT = policy("audit", "seen", Action.AUDIT)
WOULD = policy("would", "worst", Action.BLOCK, Mode.AUDIT)
WOULD_REDACT = policy("would-redact", "bad", mode=Mode.AUDIT)


@pytest.mark.parametrize(
    ("policies", "texts", "outcome", "name", "changed"),
    [
        ([], ["bad"], Outcome.ALLOW, None, {}),
        ([REDACT], ["good", ""], Outcome.ALLOW, None, {}),
        ([AUDIT], ["seen"], Outcome.AUDIT, None, {}),
        ([REDACT], ["ok", "so bad bad"], Outcome.REDACT, "redact", {1: "so [redact] [redact]"}),
        ([AUDIT, REDACT], ["seen bad"], Outcome.REDACT, "redact", {0: "seen [redact]"}),
        ([REDACT, REPLY], ["bad", "joke"], Outcome.REPLY, "reply", {}),
        ([REPLY, BLOCK], ["joke worst"], Outcome.BLOCK, "block", {}),
        ([BLOCK, REPLY], ["joke worst"], Outcome.BLOCK, "block", {}),
        ([BLOCK, REPLY], ["joke", "worst"], Outcome.BLOCK, "block", {}),
        ([BLOCK, REPLY], ["worst", "joke"], Outcome.BLOCK, "block", {}),
        ([REDACT, BLOCK], ["bad", "worst", "bad"], Outcome.BLOCK, "block", {}),
        ([BLOCK, policy("block2", "bad", Action.BLOCK)], ["bad worst"], Outcome.BLOCK, "block2", {}),
        ([WOULD], ["worst"], Outcome.AUDIT, None, {}),
        ([WOULD, WOULD_REDACT, REDACT], ["bad worst"], Outcome.REDACT, "redact", {0: "[redact] worst"}),
        ([WOULD_REDACT], ["bad"], Outcome.AUDIT, None, {}),
    ],
)
def test_what_takes_precedence(policies, texts, outcome, name, changed):
    decision, _ = inspect(policies, *texts)
    assert decision.outcome is outcome
    assert (decision.policy.name if decision.policy else None) == name
    assert decision.texts == changed


def test_everything_found_is_tallied_with_what_was_done():
    _, tally = inspect([REDACT, WOULD, AUDIT], "bad worst seen bad")
    assert tally.rows() == [
        {"policy": "audit", "label": "audit", "outcome": "audit", "count": 1},
        {"policy": "redact", "label": "redact", "outcome": "redact", "count": 2},
        {"policy": "would", "label": "would", "outcome": "audit", "count": 1},
    ]
    assert tally.strongest() is Outcome.REDACT
    assert Tally().strongest() is Outcome.ALLOW


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("scope", Scope)
def test_a_policy_applies_to_its_phases_and_scopes_alone(phase, scope):
    only = policy("only", "bad", phases=[Phase.RESPONSE], scopes=[Scope.USER, Scope.TOOL_OUTPUT])
    applies = phase is Phase.RESPONSE and scope in (Scope.USER, Scope.TOOL_OUTPUT)
    chain = Chain([only])
    assert bool(chain.guard(phase, scope)) is applies
    assert (chain.open(phase, scope, Tally()) is not None) is applies
    assert bool(chain.inspect(phase, [(scope, "bad", False)], Tally()).texts) is applies
    assert chain.guards(phase) is (phase is Phase.RESPONSE)


def test_the_names_of_all_policies_say_which_only_watch():
    assert Chain([REDACT, WOULD, AUDIT]).armed() == ["redact", "would;audit", "audit;audit"]


@pytest.mark.parametrize(
    ("policies", "text", "wanted"),
    [
        (["abc", "bcd"], "xabcdx", "x[0]x"),
        (["bcd", "abc"], "xabcdx", "x[1]x"),
        (["ab", "abcd", "cde"], "abcde", "[1]"),
        (["abc", "abc"], "abc", "[0]"),
        (["ab", "cd"], "abcd", "[0][1]"),
        (["abc", "b", "c"], "abcb", "[0][1]"),
        (["aa"], "aaaaa", "[0][0]a"),
    ],
)
def test_matches_that_overlap_are_replaced_as_one(policies, text, wanted):
    decision, _ = inspect([policy(str(number), word) for number, word in enumerate(policies)], text)
    assert decision.texts == {0: wanted}


def boom(_candidate):
    raise RuntimeError("a validator failed")


def picky(candidate):
    if candidate == "bad!":
        raise RuntimeError
    return len(candidate)


def run(policies, pieces, scope=Scope.USER):
    track = Chain(policies).open(Phase.REQUEST, scope, Tally(), json=scope is Scope.TOOL_INPUT)
    assert track is not None
    out = ""
    fed = ""
    at = 0
    for piece in [*pieces, None]:
        fed += piece or ""
        ops = track.close() if piece is None else track.feed(piece)
        size = sum(op.length for op in ops)
        out += apply(ops, fed[at : at + size])
        at += size
        if track.blocked:
            break
    return out, track.blocked


def test_a_policy_that_fails_blocks_by_default():
    broken = policy("broken", "bad.", accept=boom)
    decision, _ = inspect([REDACT, broken], "bad bad! ")
    assert (decision.outcome, decision.policy) == (Outcome.BLOCK, broken)
    assert run([broken], ["so bad! ", "x"])[1] is broken
    assert run([broken], list("so bad! x"))[1] is broken
    assert "bad!" not in run([broken], list("so bad! x"))[0]
    assert inspect([broken], "fine")[0].outcome is Outcome.ALLOW


@pytest.mark.parametrize("options", [{"on_error": OnError.ALLOW}, {"mode": Mode.AUDIT}, {"action": Action.AUDIT}])
def test_a_policy_that_fails_and_may_or_only_watches_stops_nothing(options):
    broken = policy("broken", "bad.", accept=boom, **options)
    decision, _ = inspect([broken, policy("other", "foo")], "bad! foo")
    assert decision.texts == {0: "bad! [other]"}
    assert run([broken, policy("other", "foo")], ["bad! foo"]) == ("bad! [other]", None)


def test_a_policy_that_failed_looks_at_no_more_of_the_text_however_it_is_cut():
    broken = policy("broken", "bad.", accept=picky, on_error=OnError.ALLOW)
    text = "bad. bad! bad. é bad?"
    wanted = "[broken] bad! bad. é bad?"
    assert inspect([broken], text)[0].texts == {0: wanted}
    assert run([broken], [text]) == (wanted, None)
    assert run([broken], list(text)) == (wanted, None)
    assert run([broken, policy("other", "é")], list(text))[0] == wanted.replace("é", "[other]")


def test_tool_input_is_seen_through_its_escapes():
    mail = policy("mail", r"\bjohn@x\.com\b")
    decision, _ = inspect([mail], '{"a":"\\njohn\\u0040x.com"}', scope=Scope.TOOL_INPUT)
    assert decision.texts == {0: '{"a":"\\n[mail]"}'}
    assert run([mail], list('{"a":"\\njohn\\u0040x.com"}'), Scope.TOOL_INPUT)[0] == '{"a":"\\n[mail]"}'
    assert inspect([mail], '{"a":"\\njohn\\u0040x.com"}', scope=Scope.USER)[0].texts == {}


def test_a_track_without_enforced_rules_holds_nothing_back():
    tally = Tally()
    track = Chain([WOULD]).open(Phase.REQUEST, Scope.USER, tally)
    assert track is not None
    assert [sum(op.length for op in track.feed(char)) for char in "worst"] == [1] * 5
    assert track.held == 0
    track.close()
    assert tally.rows() == [{"policy": "would", "label": "would", "outcome": "audit", "count": 1}]


def test_rules_of_all_kinds_count_for_the_order():
    words = Policy(
        "w", Action.REDACT, Mode.ENFORCE, frozenset(Phase), frozenset(Scope), (WordRule("w", ["abc"], "[w]"),)
    )
    assert inspect([policy("r", "abc"), words], "abc")[0].texts == {0: "[r]"}
    assert inspect([words, policy("r", "abc")], "abc")[0].texts == {0: "[w]"}


def test_the_stronger_of_two_outcomes():
    for rank, one in enumerate(Outcome):
        for other in list(Outcome)[: rank + 1]:
            assert stronger(one, other) is stronger(other, one) is one
