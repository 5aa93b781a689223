"""Rendered Kubernetes objects: read from what the command prints, and checked against their schemas."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from extproc.cli import main

_FOLDER = Path(__file__).parent / "schemas"
_KUBERNETES = "1.35"
_NATIVE = ("v1", "apps/v1", "autoscaling/v2", "policy/v1", "networking.k8s.io/v1")

Object = dict[str, Any]


def rendered(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[Object]:
    """What ``extproc render`` prints."""
    status = main(["render", *map(str, arguments)])
    said = capsys.readouterr()
    assert status == 0, said.err
    return list(yaml.safe_load_all(said.out))


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """What it says instead, where it cannot."""
    assert main(["render", *map(str, arguments)]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    return said.err


def check(found: Object, version: str = "") -> None:
    """Fails where the API server would refuse an object.

    Args:
        version: of the project whose object it is, where there are several.
    """
    if found["apiVersion"] in _NATIVE:
        kubernetes_validate.validate(found, _KUBERNETES, strict=True)
        return
    name = found["kind"].lower() + (f"-{version}" if version else "")
    jsonschema.Draft202012Validator(_schema(name)).validate(found)
    if found["kind"] == "EnvoyFilter":
        for each in found["spec"]["configPatches"]:
            _rule(each)
        assert not {"workloadSelector", "targetRefs"} <= found["spec"].keys()


def _rule(patch: Object) -> None:
    """The CRD's own rule: who says WAYPOINT says what of it, and nobody else may."""
    match = patch["match"]
    assert (match["context"] == "WAYPOINT") == ("waypoint" in match)
    assert len(match.keys() & {"listener", "routeConfiguration", "cluster", "waypoint"}) <= 1


@functools.cache
def _schema(name: str) -> Any:
    return json.loads((_FOLDER / f"{name}.json").read_text("utf-8"))


def one(objects: list[Object], kind: str, name: str = "") -> Object:
    """The object of a kind (and name) of which there is exactly one."""
    found = [each for each in objects if each["kind"] == kind and (not name or each["metadata"]["name"] == name)]
    assert len(found) == 1, f"{kind} {name}: {len(found)}"
    return found[0]
