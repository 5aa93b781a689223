"""``extproc demo`` and its scenes, as people run them; and each scene again with what it shows taken away: then it says so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from extproc.demo.command import SCENES

EXTPROC = [sys.executable, "-m", "extproc"]

SHOWN = {
    "split-secret": [
        "ok  the client read: Of course, the key is [aws_access_key_id]; please keep it to yourself.",
        "ok  no part of the key is in what the client got",
        'data: {"error":{"message":"The answer was stopped by the policy \'stopped\'."',
    ],
    "restore": [
        "Tell [email_1] that we meet at ten.",
        'send_mail({"to":"anna.keller@example.org","text":"We meet at ten."})',
        "ok  the address is nowhere in what the model was sent",
    ],
    "kill-worker": [
        "kill -9 ",
        "ok  no client got a part of an address, whole or cut off",
        "ok  12 new requests were served, whole and redacted",
    ],
    "failover": [
        '/v1/messages\n    {"model":"claude-demo"',
        "from backend second/claude-demo, attempt 2",
        "text: 'I am the one who speaks the other API.'",
        "ok  each provider was sent its own key alone",
    ],
    "shadow": [
        "    allow: 1\n    block: 1\n    redact: 1\n",
        "400 The request was refused by the policy 'codenames'.",
        "ok  in the shadow every answer is the same to the byte",
        "ok  and the model has not heard of the second",
    ],
}

SABOTAGED = [
    ("split-secret", "action: redact", "action: audit", "the client read: "),
    ("split-secret", "action: block", "action: audit", "the client read, and no more: "),
    ("restore", ", restore: true", "", "a placeholder stood in its place"),
    ("restore", "action: redact, restore: true", "action: audit", "the address is nowhere in what the model was sent"),
    ("kill-worker", "action: redact", "action: audit", "no client got a part of an address"),
    ("failover", ", second/claude-demo]", "]", "a provider was never asked"),
    ("shadow", "action: block", "action: audit", "it has counted one request to block"),
]

SABOTAGE = """
import importlib, sys
from extproc.cli import main
name, before, after = sys.argv[1:4]
scene = importlib.import_module("extproc.demo.scenes." + name.replace("-", "_"))
assert before in scene._CONFIG
scene._CONFIG = scene._CONFIG.replace(before, after)
sys.exit(main(["demo", name]))
"""


def run(folder: Path, *command: str) -> tuple[int, str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("EXTPROC_") and name != "PORT"}
    environment = {**clean, "EXTPROC_STATE": str(folder / "state"), "OPENAI_API_KEY": "sk-of-this-machine"}
    done = subprocess.run(
        [*command], capture_output=True, text=True, check=False, timeout=200, cwd=folder, env=environment
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("scene", SHOWN)
def test_a_scene(scene: str, tmp_path: Path) -> None:
    status, out, err = run(tmp_path, *EXTPROC, "demo", scene)
    assert status == 0, out + err
    assert out.startswith(f"Scene {scene}: {SCENES[scene]}.\n")
    assert not [each for each in SHOWN[scene] if each not in out], out
    assert "\nAll of it was so. It took " in out
    assert "Traceback" not in err


def test_every_scene_is_tried() -> None:
    assert SHOWN.keys() == SCENES.keys() == {scene for scene, *_ in SABOTAGED}


@pytest.mark.parametrize(("scene", "before", "after", "claim"), SABOTAGED)
def test_a_scene_that_does_not_hold_says_so(scene: str, before: str, after: str, claim: str, tmp_path: Path) -> None:
    status, out, err = run(tmp_path, sys.executable, "-c", SABOTAGE, scene, before, after)
    assert status == 1, out + err
    last = err.splitlines()[-1]
    assert last.startswith("error: ")
    assert claim in last
    assert "All of it was so" not in out


def test_the_demonstration_lists_the_scenes(tmp_path: Path) -> None:
    status, out, err = run(tmp_path, *EXTPROC, "demo", "--once")
    assert (status, err) == (0, "")
    assert "The client read  You said: “My address is [email]. Whom can I ask?”" in out
    assert '"code":"injection"' in out
    for scene, text in SCENES.items():
        assert f"extproc demo {scene:<14}{text}\n" in out


@pytest.mark.parametrize("arguments", [["nonsense"], ["restore", "--port", "1"], ["restore", "--host", "::1"]])
def test_wrong_usage(arguments: list[str], tmp_path: Path) -> None:
    status, out, err = run(tmp_path, *EXTPROC, "demo", *arguments)
    assert (status, out) == (2, "")
    assert "error: " in err
