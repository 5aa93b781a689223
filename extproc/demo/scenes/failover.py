"""One provider fails; another, which speaks another API, answers the same request of the same client, converted both ways."""

from __future__ import annotations

from typing import Final

from extproc.demo.provider import STREAM, Provider, Reply, Request, cut, message_events, openai_error, text_of
from extproc.demo.stage import Answer, NotSo, Stage, chat

_ASKED: Final = "Who are you?"
_SAID: Final = "I am the one who speaks the other API."
_KEYS: Final = {"FIRST_KEY": "sk-demo-first", "SECOND_KEY": "sk-ant-demo-second"}

_CONFIG: Final = """
providers:
  first:  {{type: openai, base_url: "{first}/v1", keys: env:FIRST_KEY}}
  second: {{type: anthropic, base_url: "{second}", keys: env:SECOND_KEY}}
models:
  smart: [first/gpt-demo, second/claude-demo]    # the second where the first fails
policies: {{}}                                     # none, to see only that
attach: []
"""


async def play(stage: Stage) -> None:
    """See the module."""
    statuses = iter((500, 429))
    first = Provider(lambda request: openai_error(next(statuses), "sorry"))
    second = Provider(_reply, pace=0.005)
    stage.tell("Two providers serve one model name. The first has a bad day, and the second speaks another API.")
    async with stage.provider(first) as one, stage.provider(second) as two:
        config = _CONFIG.format(first=one, second=two)
        stage.show("The configuration:", config)
        async with stage.gateway(config, _KEYS) as (_, port):
            answers = [await stage.ask(port, chat("smart", _ASKED)) for _ in range(2)]
    if not (first.requests and second.requests):
        raise NotSo("a provider was never asked")
    _tell(stage, first, second, answers)
    stage.say("")
    stage.claim("the first was asked both times, and failed with 500 and 429", len(first.requests) == 2)
    stage.claim("the second got the same question in its own API", all(map(_converted, second.requests)))
    both = all(each.status == 200 and text_of(each.body) == _SAID for each in answers)
    stage.claim("the client, which knows nothing of it, read both answers as it always does", both)
    stage.claim("each provider was sent its own key alone", _own_keys(first, second))


def _reply(request: Request) -> Reply:
    return Reply(message_events(cut(_SAID, 5)), media=STREAM)


def _tell(stage: Stage, first: Provider, second: Provider, answers: list[Answer]) -> None:
    stage.show("The client asked, in the format of OpenAI's chat completions:", f"model smart: {_ASKED}")
    asked, got = first.requests[0], second.requests[0]
    stage.show("The first provider saw, and answered 500 (the next time 429):", f"{asked.path}\n{asked.raw.decode()}")
    stage.show("The second provider saw, and answered in Anthropic's events:", f"{got.path}\n{got.raw.decode()}")
    events = [line for line in answers[0].body.decode().split("\n") if line][:3]
    named = f"backend {answers[0].headers.get('x-llm-backend')}, attempt {answers[0].headers.get('x-llm-attempts')}"
    stage.show(f"The client got, from {named}:", "\n".join([*events, "...", f"text: {text_of(answers[0].body)!r}"]))


def _converted(request: Request) -> bool:
    body = request.body
    asked = body["messages"][-1]["content"]
    said = asked if isinstance(asked, str) else asked[0]["text"]
    return request.path == "/v1/messages" and body["model"] == "claude-demo" and "max_tokens" in body and said == _ASKED


def _own_keys(first: Provider, second: Provider) -> bool:
    one, two = _KEYS.values()
    at_first = all(one in str(each.headers) and two not in str(each.headers) for each in first.requests)
    return at_first and all(two in str(each.headers) and one not in str(each.headers) for each in second.requests)
