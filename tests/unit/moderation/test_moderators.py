"""The clients of a worker: shared, kept over reloads, closed when nobody needs them; and a policy from file to verdict."""

import asyncio

import pytest

from extproc.moderation.api import About, Moderation, ModerationError, Text
from extproc.moderation.client import Client
from extproc.moderation.moderators import Moderators
from extproc.policy.api import Phase, Scope
from extproc.policy.kinds import ANY_POLICY
from extproc.policy.kinds.base import Context
from tests.unit.moderation.support import KEY, SECRET, USER, fake, run, says
from tests.unit.moderation.test_client import Scripted, hangs

__all__ = ["fake"]


def make(**services):
    made = []

    def client(moderation):
        made.append(moderation.url)
        return Client(services[moderation.url], moderation.deadline)

    return Moderators(client), made


def named(url, **more):
    return Moderation("grpc", url, **more)


def test_equal_descriptions_share_a_client():
    service = Scripted()
    moderators, made = make(one=service)

    async def main():
        for _ in range(3):
            await moderators.judge(named("one"), [USER])
        await moderators.aclose()
        await moderators.aclose()

    run(main())
    assert made == ["one"]
    assert service.closed == 1


def test_what_a_new_configuration_does_not_need_is_closed():
    one, two = Scripted(), Scripted()
    moderators, made = make(one=one, two=two)

    async def main():
        for url in ("one", "two"):
            await moderators.judge(named(url), [USER])
        await moderators.retain([named("two")])
        assert (one.closed, two.closed) == (1, 0)
        await moderators.judge(named("one"), [USER])  # an exchange that began before the reload
        assert made == ["one", "two", "one"]
        await moderators.aclose()

    run(main())


def test_a_call_under_way_is_not_cut_off_by_a_reload():
    service = Scripted(does=hangs)
    moderators, _ = make(one=service)

    async def main():
        open_ = asyncio.Event()

        async def wait(texts):
            await open_.wait()

        service.does = wait
        asked = asyncio.ensure_future(moderators.judge(named("one"), [Text.of(Scope.USER, "bad")]))
        await asyncio.sleep(0.001)
        await moderators.retain([])
        assert service.closed == 0
        open_.set()
        assert (await asked).labels == ("bad",)
        assert service.closed == 1
        await moderators.retain([])

    run(main())


def test_a_policy_from_its_configuration_to_what_fired(fake):
    service = fake(says({"action": "GUARDRAIL_INTERVENED", "texts": ["Hello [EMAIL]"]}))
    fields = {"kind": "moderation", "service": "webhook", "url": service.url, "key": "env:HOOK", "action": "redact"}
    policy = ANY_POLICY.validate_python({**fields, "phase": "request"}).compile("p", Context(environment={"HOOK": KEY}))

    async def main():
        moderators = Moderators()
        try:
            return await moderators.judge(policy.moderation, [USER], About(Phase.REQUEST, "r"))
        finally:
            await moderators.aclose()

    found = run(main())
    assert found.labels == ("intervened",)
    ((mark,),) = found.marks
    assert USER.text[mark.start : mark.end] == SECRET
    assert service.requests[0].header("x-api-key") == KEY


def test_a_failure_is_passed_on_and_the_client_kept():
    service = Scripted(does=hangs)
    moderators, made = make(one=service)

    async def main():
        for _ in range(2):
            with pytest.raises(ModerationError):
                await moderators.judge(named("one", deadline=0.01), [USER])
        await moderators.aclose()

    run(main())
    assert made == ["one"]
