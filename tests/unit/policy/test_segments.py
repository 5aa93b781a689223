"""The offset map of a view."""

import random

import pytest

from extproc.policy.segments import Map, Segment, gone


def test_text_as_it_stands_and_units_by_turns():
    segment = Segment((2, 5, 3, 4), (2, 1, 3, 2))
    assert (segment.source, segment.shown) == (14, 8)
    assert [segment.span(at) for at in range(8)] == [
        (0, 1), (1, 2), (2, 7), (7, 8), (8, 9), (9, 10), (10, 14), (10, 14),
    ]  # fmt: skip


def test_units_alone():
    segment = Segment((3, 2, 4), (1, 0, 2), units=True)
    assert [segment.span(at) for at in range(3)] == [(0, 3), (5, 9), (5, 9)]


def test_what_is_gone():
    assert (gone(7).source, gone(7).shown) == (7, 0)


def test_a_map_knows_every_place_that_was_not_forgotten():
    dice = random.Random(3)
    for _ in range(300):
        map_, wanted, source, forgotten = Map(), [], 0, 0
        for _ in range(dice.randint(1, 12)):
            kind = dice.random()
            if kind < 0.4:
                length = dice.randint(0, 4)
                map_.same(length)
                wanted += [(source + at, source + at + 1) for at in range(length)]
                source += length
            elif kind < 0.55:
                map_.add(gone(3))
                source += 3
            else:
                units = [(dice.randint(0, 3), dice.randint(0, 3)) for _ in range(dice.randint(1, 4))]
                map_.add(Segment(*zip(*units, strict=True), units=True))
                for behind, shown in units:
                    wanted += [(source, source + behind)] * shown
                    source += behind
            if dice.random() < 0.3:
                forgotten = dice.randint(forgotten, len(wanted))
                map_.forget(forgotten)
            assert (map_.shown, map_.source) == (len(wanted), source)
            assert map_.settled == (forgotten == len(wanted)) or not wanted
            assert map_.start(len(wanted)) == source
            for at in range(forgotten, len(wanted)):
                assert (map_.start(at), map_.end(at + 1)) == wanted[at]


@pytest.mark.parametrize("dropped", [0, 5])
def test_a_shift_is_known_while_the_text_is_shown_as_it_stands(dropped):
    map_ = Map()
    map_.add(gone(dropped))
    map_.same(3)
    assert map_.shift == dropped
    map_.add(Segment((4,), (1,), units=True))
    assert map_.shift is None
    map_.forget(4)
    assert map_.shift == dropped + 3
