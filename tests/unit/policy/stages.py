"""A stage run on a text in pieces, with what stands behind every character it shows."""

from extproc.policy.segments import Map


def run(stage, pieces):
    """What is shown, and for each character of it the source's start and end. All of the source must be accounted for."""
    map_ = Map()
    shown = ""
    for number, piece in enumerate([*pieces, ""]):
        part, segment = stage.show(piece, closed=number == len(pieces))
        shown += part
        if segment:
            map_.add(segment)
        else:
            map_.same(len(part))
    assert map_.shown == len(shown)
    assert map_.source == len("".join(pieces))
    return shown, [(map_.start(at), map_.end(at + 1)) for at in range(len(shown))]


def same_for_every_cut(make, text):
    """What is shown of a text, once it is the same whole, unit by unit and cut in two anywhere."""
    whole = run(make(), [text])
    assert run(make(), list(text)) == whole
    for at in range(len(text) + 1):
        assert run(make(), [text[:at], text[at:]]) == whole, (text[:at], text[at:])
    return whole


def behind(make, text, what):
    """The part of the source that stands behind ``what`` in what is shown."""
    shown, places = same_for_every_cut(make, text)
    at = shown.index(what)
    return text[places[at][0] : places[at + len(what) - 1][1]]
