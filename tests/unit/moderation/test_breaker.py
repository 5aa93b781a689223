"""The circuit breaker, by a clock of the test's own."""

import pytest

from extproc.moderation.breaker import Breaker


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def breaker(clock):
    return Breaker(failures=3, rest=5.0, clock=clock)


def fail(breaker, times=1):
    for _ in range(times):
        assert breaker.admits()
        breaker.failed()


def test_it_opens_after_failures_in_a_row(breaker):
    fail(breaker, 2)
    assert breaker.admits()
    breaker.answered()
    fail(breaker, 2)
    assert breaker.admits()
    breaker.failed()
    assert not breaker.admits()


def test_giving_up_is_neither_success_nor_failure(breaker):
    fail(breaker, 2)
    for _ in range(10):
        assert breaker.admits()
        breaker.abandoned()
    fail(breaker)
    assert not breaker.admits()


def test_after_a_rest_one_call_may_try(breaker, clock):
    fail(breaker, 3)
    clock.now += 4.99
    assert not breaker.admits()
    clock.now += 0.01
    assert breaker.admits()
    assert not breaker.admits()  # one is trying
    breaker.failed()
    assert not breaker.admits()
    clock.now += 5
    assert breaker.admits()
    breaker.answered()
    fail(breaker, 2)
    assert breaker.admits()


def test_a_try_that_is_given_up_leaves_room_for_another(breaker, clock):
    fail(breaker, 3)
    clock.now += 5
    assert breaker.admits()
    breaker.abandoned()
    assert breaker.admits()
    breaker.failed()
    assert not breaker.admits()


def test_a_late_failure_keeps_it_open_and_a_late_answer_closes_it(breaker, clock):
    assert breaker.admits()
    fail(breaker, 3)
    clock.now += 4
    breaker.failed()
    clock.now += 4
    assert not breaker.admits()
    breaker.answered()
    assert breaker.admits()
