"""Conversations in the canonical form, drawn at random within what a format can say, and ways to compare them."""

import dataclasses
import json
from dataclasses import dataclass, field, replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from extproc.chat.answer import (
    Answer,
    Choice,
    Failure,
    Finish,
    Finished,
    PartDelta,
    PartEnd,
    PartStart,
    Start,
    Usage,
    Used,
)
from extproc.chat.fold import unfold
from extproc.chat.parts import Cache, Media, Message, Reasoning, Refusal, Text, ToolCall, ToolResult
from extproc.chat.request import OutputShape, Request, Settings, Thinking, Tool, ToolChoice


@dataclass(frozen=True)
class Can:
    """What a format can say. The defaults are what every chat format can.

    Args:
        choices: most choices of an answer.
        mixed: parts in any order, also texts beside texts; else thoughts, one text, a refusal, calls.
        makers: whose signed reasoning it carries; empty text for reasoning without a signature; none: no reasoning.
        sealed: the makers whose sealed reasoning it carries.
        refusals: it has a part for them.
        custom: it has custom tools.
        caches: it has cache marks on texts and tools.
        finishes: why answers without calls can end.
        stopped_by: it tells stop sequences.
        usage: what it counts besides input and output.
        created: it tells when an answer was made.
        settings: names of settings and values for them.
        media: parts of user messages besides text.
        names: messages of users have names.
        results_first: results of tools and other words of one user message are kept in one message.
        systems: system messages stand anywhere; else at most one, in front.
        efforts: how thinking is asked for.
        shapes: it has shapes of the output.
        user: it names the end user.
    """

    choices: int = 1
    mixed: bool = False
    makers: tuple = ()
    sealed: tuple = ()
    refusals: bool = False
    custom: bool = False
    caches: bool = False
    finishes: tuple = (Finish.STOP, Finish.LENGTH)
    stopped_by: bool = False
    usage: tuple = ()
    created: bool = True
    settings: dict = field(default_factory=lambda: {"max_output": st.integers(1, 5000)})
    media: tuple = ()
    names: bool = False
    results_first: bool = False
    systems: bool = False
    efforts: tuple = ()
    shapes: bool = False
    user: bool = False


CALM = settings(suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large))
"""For tests that draw whole conversations: a busy machine is no reason to fail."""

WORDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
IDS = st.from_regex(r"[a-zA-Z0-9_-]{1,20}", fullmatch=True)
NAMES = st.from_regex(r"[a-zA-Z][a-zA-Z0-9_]{0,15}", fullmatch=True)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=4,
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=3)
SIGNATURES = st.from_regex(r"[A-Za-z0-9+/]{8,40}={0,2}", fullmatch=True)
PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
IMAGES = (
    Media("image", data=PICTURE, type="image/png"),
    Media("image", url="https://example.com/a.png"),
)


def bare(value):
    """The same value without the places it was read from."""
    if isinstance(value, list | tuple):
        return type(value)(bare(each) for each in value)
    if not dataclasses.is_dataclass(value):
        return value
    names = [each.name for each in dataclasses.fields(value)]
    found = {name: bare(getattr(value, name)) for name in names if name != "where"}
    return replace(value, **found, **({"where": {} if isinstance(value, Request) else ()} if "where" in names else {}))


# parts


@st.composite
def reasonings(draw, can):
    """One part of reasoning that keeps its worth in this format."""
    sealed = [maker for maker in can.sealed if draw(st.booleans())]
    if sealed:
        return Reasoning("", sealed=draw(SIGNATURES), maker=sealed[0])
    maker = draw(st.sampled_from(can.makers))
    return Reasoning(draw(WORDS), signature=draw(SIGNATURES) if maker else "", maker=maker)


@st.composite
def calls(draw, can, most=3):
    """Calls of tools, told apart by their ids."""
    found = []
    for call_id in draw(st.lists(IDS, unique=True, max_size=most)):
        custom = can.custom and draw(st.booleans())
        arguments = draw(WORDS) if custom else json.dumps(draw(OBJECTS), ensure_ascii=False)
        found.append(ToolCall(call_id, draw(NAMES), arguments, custom))
    return found


@st.composite
def said(draw, can, *, refusals=True):
    """The parts of what a model said; never none."""
    parts = draw(st.lists(reasonings(can), max_size=2 if can.mixed else 1)) if can.makers or can.sealed else []
    parts += [Text(each) for each in draw(st.lists(WORDS, max_size=3 if can.mixed else 1))]
    if refusals and can.refusals and draw(st.booleans()):
        parts.append(Refusal(draw(WORDS)))
    parts += draw(calls(can))
    if can.mixed:
        parts = draw(st.permutations(parts))
    return list(parts) or [Text(draw(WORDS))]


# answers


@st.composite
def usages(draw, can):
    """Token counts that add up."""
    more = {name: draw(st.integers(0, 50)) for name in can.usage}
    inputs = sum(count for name, count in more.items() if name in ("cached", "cache_write", "audio_input"))
    outputs = sum(count for name, count in more.items() if name in ("reasoning", "audio_output"))
    return Usage(inputs + draw(st.integers(0, 99)), outputs + draw(st.integers(0, 99)), **more)


@st.composite
def choices(draw, can, index):
    """One choice that has ended."""
    parts = draw(said(can))
    if any(isinstance(part, ToolCall) for part in parts):
        return Choice(index, parts, Finish.TOOLS)
    finish = draw(st.sampled_from(can.finishes))
    stopped = draw(WORDS) if can.stopped_by and finish is Finish.STOP_SEQUENCE else ""
    return Choice(index, parts, finish, stopped)


@st.composite
def answers(draw, can):
    """A whole answer."""
    count = draw(st.integers(1, can.choices))
    created = draw(st.integers(1, 2**31)) if can.created else 0
    found = [draw(choices(can, index)) for index in range(count)]
    return Answer(draw(IDS), draw(NAMES), created, found, draw(usages(can)))


# streams


def _cut(draw, event):
    """A delta in several: the text in pieces, the rest with the last."""
    if not isinstance(event, PartDelta) or len(event.text) < 2:
        return [event]
    ends = sorted(draw(st.sets(st.integers(1, len(event.text) - 1), max_size=3)))
    pieces = [event.text[a:b] for a, b in zip([0, *ends], [*ends, len(event.text)], strict=True)]
    first = [PartDelta(event.choice, event.number, piece) for piece in pieces[:-1]]
    return [*first, replace(event, text=pieces[-1])]


@st.composite
def streams(draw, answer):
    """A stream that says this answer: texts cut anywhere, choices mixed."""
    start, *rest = unfold(answer)
    used = [event for event in rest if isinstance(event, Used)]
    lanes = {}
    for event in rest:
        if not isinstance(event, Used):
            lanes.setdefault(event.choice, []).extend(_cut(draw, event))
    turns = draw(st.permutations([index for index, events in lanes.items() for _ in events]))
    queues = {index: iter(events) for index, events in lanes.items()}
    return [start, *(next(queues[index]) for index in turns), *used]


def joined(events):
    """A stream with its deltas put together and empty ones left out, each part at a stretch: what chunking may not change."""
    order, deltas = [], {}
    for event in events:
        if not isinstance(event, PartDelta):
            order.append(event)
            continue
        before = deltas.get((event.choice, event.number), PartDelta(event.choice, event.number))
        deltas[event.choice, event.number] = replace(
            before,
            text=before.text + event.text,
            signature=before.signature + event.signature,
            sealed=before.sealed + event.sealed,
        )
    found = []
    for event in order:
        found.append(bare(event) if not isinstance(event, PartStart) else replace(event, part=bare(event.part)))
        if isinstance(event, PartStart):
            delta = deltas.get((event.choice, event.number))
            found += [delta] if delta and (delta.text or delta.signature or delta.sealed) else []
    return found


def lawful(events):
    """Check that a stream keeps the rules of ``chat.answer``: one start, numbers in order, parts end first."""
    open_, counts, ended, failed = set(), {}, set(), False
    for at, event in enumerate(events):
        assert not failed
        failed = isinstance(event, Failure)
        assert isinstance(event, Start) == (at == 0) or failed
        choice = getattr(event, "choice", None)
        assert choice is None or choice not in ended
        place = (choice, getattr(event, "number", None))
        if isinstance(event, PartStart):
            assert event.number == counts.get(choice, 0)
            counts[choice] = event.number + 1
            open_.add(place)
        elif isinstance(event, PartDelta):
            assert place in open_
        elif isinstance(event, PartEnd):
            open_.remove(place)
        elif isinstance(event, Finished):
            assert not [each for each in open_ if each[0] == choice]
            ended.add(choice)
    assert failed or (not open_ and set(counts) <= ended)


# requests


@st.composite
def tools(draw, can):
    """Tools with different names."""
    found = []
    for name in draw(st.lists(NAMES, unique=True, max_size=3)):
        cache = Cache() if can.caches and draw(st.booleans()) else None
        if can.custom and draw(st.booleans()):
            found.append(Tool(name, draw(WORDS), custom=True, cache=cache))
            continue
        properties = {each: {"type": "string"} for each in draw(st.lists(NAMES, unique=True, max_size=2))}
        schema = {"type": "object", "properties": properties}
        found.append(Tool(name, draw(WORDS), schema, cache=cache))
    return found


@st.composite
def _words(draw, can):
    return Text(draw(WORDS), Cache() if can.caches and draw(st.booleans()) else None)


@st.composite
def _turns(draw, can):
    """A question, and what followed: an answer, and the results of the tools it called, in order."""
    media = draw(st.lists(st.sampled_from(can.media), max_size=1)) if can.media else []
    name = draw(st.just("") | NAMES) if can.names else ""
    found = [Message("user", [draw(_words(can)), *(replace(each) for each in media)], name)]
    parts = draw(said(can))
    found.append(Message("assistant", parts))
    results = [
        ToolResult(part.id, [Text(draw(WORDS))] if draw(st.integers(0, 3)) else [], part.name)
        for part in parts
        if isinstance(part, ToolCall)
    ]
    if results:
        more = [Text(draw(WORDS))] if can.results_first and draw(st.booleans()) else []
        found.append(Message("user", [*results, *more]))
    return found


def _apart(messages):
    """Ids of calls told apart over a whole conversation."""
    for number, message in enumerate(messages):
        for part in message.parts:
            if isinstance(part, ToolCall):
                part.id = f"{part.id}-{number}"
            elif isinstance(part, ToolResult):
                part.id = f"{part.id}-{number - 1}"
    return messages


@st.composite
def conversations(draw, can):
    """Messages that make sense one after the other; the last is a user's."""
    found = []
    for _ in range(draw(st.integers(0, 2))):
        turn = draw(_turns(can))
        if found and found[-1].role == "user":
            found.append(Message("assistant", [Text(draw(WORDS))]))
        found += turn
    if not found or found[-1].role == "assistant":
        found.append(Message("user", [draw(_words(can))]))
    places = draw(st.sets(st.integers(0, len(found)), max_size=2)) if can.systems else {0} & draw(st.sets(st.just(0)))
    found = _apart(found)
    for place in sorted(places, reverse=True):
        if place == 0 or not any(isinstance(part, ToolResult) for part in found[min(place, len(found) - 1)].parts):
            found.insert(place, Message("system", [draw(_words(can))]))
    return found


@st.composite
def _choice_of(draw, offered):
    if not offered:
        return None
    modes = st.sampled_from(["auto", "none", "required", "named"])
    mode = draw(st.none() | modes)
    return ToolChoice(mode, (offered[0].name,) if mode == "named" else ()) if mode else None


@st.composite
def requests(draw, can):
    """A whole request."""
    offered = draw(tools(can))
    settings = {name: draw(values) for name, values in can.settings.items() if draw(st.booleans())}
    shape = None
    if can.shapes and draw(st.booleans()):
        shape = OutputShape(
            {"type": "object", "properties": {}, "additionalProperties": False}, draw(NAMES), strict=True
        )
    effort = draw(st.none() | st.sampled_from(can.efforts)) if can.efforts else None
    return Request(
        model=draw(NAMES),
        messages=draw(conversations(can)),
        tools=offered,
        tool_choice=draw(_choice_of(offered)),
        settings=Settings(**settings),
        output=shape,
        thinking=Thinking(effort) if effort else None,
        stream=draw(st.booleans()),
        user=draw(st.just("") | IDS) if can.user else "",
    )
