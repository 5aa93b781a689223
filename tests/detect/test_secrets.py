"""Floors of what is measured: a change that finds less, or more that is none, fails here."""

import pytest

from extproc.policy.secrets import families
from tests.detect import secrets
from tests.detect.made import TEMPLATES
from tests.detect.table import render, total


@pytest.mark.data
def test_labelled_secrets_are_found_and_near_misses_are_not():
    rows = secrets.labelled()
    whole = total(rows)
    assert whole.positives > 50
    assert whole.negatives > 50
    assert whole.recall >= 0.97, render(rows)
    assert whole.false_rate <= 0.03, render(rows)


@pytest.mark.data
def test_ordinary_texts_are_left_alone():
    whole = total(secrets.benign())
    assert whole.negatives > 1000
    assert whole.flagged == 0


def test_every_family_is_found_under_its_own_name():
    rows = secrets.shaped(seeds=5)
    assert {family.name for family in families()} == {*TEMPLATES, "jwt", "private_key"}
    poor = [(row.family, row.missed[:1]) for row in rows if row.recall < 0.8]
    assert not poor
    assert total(rows).recall >= 0.99
