"""Marked requests are remembered: few, and not for long."""

from extproc.metrics import Counters
from extproc.sightings import MOST, Sightings
from extproc.telemetry import Record


def name(number):
    return f"{number:064x}"


def test_a_request_is_remembered_with_the_mode_of_its_filter():
    seen = Sightings()
    seen.note([(name(1), "shadow")])
    seen.note([[name(1), "guard"], [name(2), "shadow"]])
    assert [(seen.of(name(n)).mode, seen.of(name(n)).times) for n in (1, 2)] == [("guard", 2), ("shadow", 1)]
    assert seen.of(name(3)) is None
    assert seen.of("../metrics") is None


def test_the_oldest_go_first_when_there_are_too_many():
    seen = Sightings()
    for number in range(MOST):
        seen.note([(name(number), "shadow")])
    seen.note([(name(0), "shadow")])  # seen again: the youngest now
    seen.note([(name(MOST), "shadow")])
    assert seen.of(name(1)) is None
    assert seen.of(name(0)).times == 2
    assert seen.of(name(2))


def test_they_are_forgotten_with_time():
    now = [0.0]
    seen = Sightings(lambda: now[0])
    seen.note([(name(1), "shadow")])
    now[0] = 500
    seen.note([(name(2), "shadow")])
    assert seen.of(name(1))
    now[0] = 601
    assert seen.of(name(1)) is None
    assert seen.of(name(2))


def test_a_worker_tells_each_once_and_keeps_few():
    counters = Counters()
    counters.exchange(Record(1, operation="chat"))
    counters.exchange(Record(1, operation="attest", attested=name(1)))
    assert [hash_ for hash_, _ in counters.attested()] == [name(1)]
    assert counters.attested() == []
    for number in range(MOST + 5):
        counters.exchange(Record(1, attested=name(number)))
    assert len(counters.attested()) == MOST
