"""Which versions of Envoy can carry us, what is said of each, and what is rendered for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from extproc.config.load import Loaded
from extproc.config.model import Config
from extproc.config.source import Source
from extproc.envoy import binary, bootstrap, clusters, types, versions
from extproc.envoy.layout import Layout
from extproc.errors import StartupError
from extproc.runtime import Runtime, compile_runtime

LAYOUT = Layout(Path("/r"), Path("/c"), Path("/k"), "/ca", ("/r/w0.sock",))
LIMIT = 20 << 20


def runtime(*backends: str) -> Runtime:
    provider = {"type": "openai-compatible", "base_url": "http://127.0.0.1:1/v1", "keys": "none"}
    config = Config.model_validate({
        "gateway": {"max_body": LIMIT},
        "providers": {"a": provider, "b": provider},
        "models": {"m": list(backends)},
    })  # fmt: skip
    return compile_runtime(Loaded(config, Source(), {}, Path()))


@pytest.mark.parametrize(
    ("said", "number"),
    [
        ("1.36", (1, 36)), ("1.36.4", (1, 36)), ("v1.38.3", (1, 38)), (" 1.40.0\n", (1, 40)), ("1.37.1-dev", (1, 37)),
        ("envoy  version: bad8280de85c/1.39.3/Clean/RELEASE/BoringSSL", (1, 39)),
        ("version: 0ebfcfe5b048/1.38.3-dev/Modified/RELEASE/BoringSSL", (1, 38)), ("2.0.0", (2, 0)), ("1.100", (1, 100)),
    ],
)  # fmt: skip
def test_versions_are_read(said: str, number: tuple[int, int]) -> None:
    assert versions.check(said) == number


@pytest.mark.parametrize("said", ["1.35", "1.35.9", "v1.9.0", "0.40.1", "abc/1.20.0/Clean/RELEASE/BoringSSL"])
def test_older_ones_are_refused(said: str) -> None:
    with pytest.raises(StartupError, match=r"cannot carry llm-extproc: it takes 1\.36 or later"):
        versions.check(said)
    with pytest.raises(StartupError, match=r"1\.36 or later"):
        versions.cautions(said, {versions.GATEWAY})


@pytest.mark.parametrize("said", ["", "new", "1", "1.", "11.36x", "1.x", "one.40", "40", "1.3.6.4.1x"])
def test_what_is_no_version(said: str) -> None:
    with pytest.raises(StartupError, match="is no version of Envoy"):
        versions.check(said)


@pytest.mark.parametrize("use", [versions.GATEWAY, versions.GUARD])
def test_on_the_oldest_the_connection_limits_requests(use: str) -> None:
    (said,) = versions.cautions("1.36.4", {use, "unknown"})
    assert said.startswith("Envoy 1.36: only the connection's limit")
    assert versions.cautions("1.37.0", {use}) == []


@pytest.mark.parametrize("version", ["1.36.4", "1.37.0", "1.38.3", "1.39.3", "1.40.0"])
def test_beside_other_filters_answers_get_lost(version: str) -> None:
    (before,) = versions.cautions(version, {versions.OTHERS_BEFORE})
    assert "put this one first" in before
    after = versions.cautions(version, {versions.OTHERS_AFTER})
    assert [("behind this one" in each) for each in after] == [True] * (versions.check(version) < (1, 39))


def test_nothing_is_said_of_what_is_not_used() -> None:
    assert versions.cautions("1.36", {versions.SHADOW}) == []
    assert versions.cautions("1.36", ()) == []


@pytest.mark.parametrize("version", ["1.37", "1.38.3", "1.39", "1.40.0"])
def test_nothing_is_to_be_minded_of_the_others(version: str) -> None:
    assert versions.cautions(version, {versions.GATEWAY, versions.FAILOVER, versions.GUARD, versions.SHADOW}) == []


def test_newer_ones_are_untested() -> None:
    (said,) = versions.cautions("1.41.0", ())
    assert said == "Envoy 1.41 is newer than the newest that was tested (1.40)"


def test_an_envoy_that_does_not_say() -> None:
    (said,) = versions.cautions("", {versions.GATEWAY})
    assert "does not say which version it is" in said


def test_the_newest_is_the_one_that_is_installed() -> None:
    assert versions.check(versions.of(binary.find())) == versions.NEWEST


@pytest.mark.parametrize(
    ("prints", "version"),
    [
        ("printf '\\nenvoy  version: 3909deb1/1.37.0/Clean/RELEASE/BoringSSL\\n\\n'", "1.37.0"),
        ("printf 'envoy  version: 3909deb1/1.37.0-dev/Modified/DEBUG/BoringSSL\\n'", "1.37.0"),
        ("echo Hello", ""),
        ("exit 3", ""),
    ],
)
def test_a_binary_is_asked(tmp_path: Path, prints: str, version: str) -> None:
    path = tmp_path / "envoy"
    path.write_text(f"#!/bin/sh\n[ $1 = --version ] && {prints}\n")
    path.chmod(0o755)
    assert versions.of(path) == version


def test_a_binary_that_cannot_be_run(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="cannot be run"):
        versions.of(tmp_path / "envoy")


def test_what_a_configuration_uses() -> None:
    assert versions.uses(runtime("a")) == {versions.GATEWAY}
    assert versions.uses(runtime("a", "b")) == {versions.GATEWAY, versions.FAILOVER}


@pytest.mark.parametrize(("version", "buffer"), [("1.36.4", LIMIT), ("1.37.0", types.BUFFER), ("", types.BUFFER)])
def test_buffers_are_as_large_as_the_version_needs(version: str, buffer: int) -> None:
    layout = replace(LAYOUT, envoy=version)
    made = runtime("a", "b")
    listeners = bootstrap.bootstrap(made, layout)["static_resources"]["listeners"]
    assert {each["per_connection_buffer_limit_bytes"] for each in listeners} == {buffer}
    group, _ = clusters.group_clusters(made, layout)
    assert group["per_connection_buffer_limit_bytes"] == buffer


def test_the_buffer_never_shrinks() -> None:
    assert versions.connection_buffer("1.36", 1000) == types.BUFFER
