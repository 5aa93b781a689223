"""Tokens of code hosts, build services and package registries. Source: each service's own documentation of its tokens."""

from __future__ import annotations

from typing import Final

from extproc.policy.secrets.checks import checksummed, digits_too, random_looking, varied
from extproc.policy.secrets.family import Family, Shape
from extproc.policy.secrets.parts import ALNUM, LOWER_HEX, URLSAFE, named, prefixed


def _artifactory(body: str) -> bool:
    # not in capitals only, as headings and product numbers are; no name of two words; no piece of a file in base 64
    return any(map(str.islower, body)) and not (body.isalpha() and varied(body)) and body[-1] not in "+/_-"


FAMILIES: Final = (
    Family("github", "vcs", "GitHub tokens: personal, OAuth, app, refresh, fine-grained", (
        prefixed(r"\bgh[pousr]_", ALNUM + r"{36}\b", checksummed),
        prefixed(r"\bgh[su]_", r"[A-Za-z0-9_.-]{60,520}"),
        prefixed(r"\bgithub_pat_", r"[A-Za-z0-9]{22}_[A-Za-z0-9]{50,70}"),
    )),
    Family("gitlab", "vcs", "GitLab tokens of every kind", (
        prefixed(r"\bgl(?:pat|dt|ft|ffct|wt)-", URLSAFE + r"{20,50}(?:\.[0-9a-z]{2}\.?[0-9a-z]{7,9})?", digits_too),
        prefixed(r"\bglcbt-", r"[\w-]{20,50}", digits_too),
        prefixed(r"\b(?:glsoat-|GR1348941)", r"[\w-]{20,51}", digits_too, most=50),
        prefixed(r"\bglrt-", r"(?:t\d_)?[\w-]{20,50}(?:\.[0-9a-z]{2}\.[0-9a-z]{7,9})?", digits_too),
        prefixed(r"\bglimt-", URLSAFE + "{25,26}", digits_too, most=25),
        prefixed(r"\bglptt-", URLSAFE + "{40,41}", digits_too, most=40),
        prefixed(r"\bglagent-", URLSAFE + "{50,500}", digits_too),
        prefixed(r"\bgloas-", URLSAFE + "{64,65}", digits_too, most=64),
        prefixed(r"\bglrtr-", URLSAFE + "{20,60}", digits_too),
    )),
    Family("bitbucket", "vcs", "Bitbucket app passwords and tokens; client secrets by name", (
        prefixed(r"\bATBB", ALNUM + r"{24,40}\b"),
        prefixed(r"\bATCTT3", r"[\w-]{40,300}(?:=[0-9A-F]{8})?"),
        named("bitbucket", URLSAFE + "{32,65}", most=64),
    )),
    Family("sourcegraph", "vcs", "Sourcegraph tokens", (prefixed(r"\bsgp_", "(?:[0-9a-z]{16}_|local_)?[0-9a-f]{40}"),)),
    Family("circleci", "vcs", "CircleCI tokens", (
        prefixed(r"\bCCIP(?:AT|RJ)_", "[A-Za-z0-9]{20,24}_[0-9a-f]{40}"),
        named("circle[_-]?ci|circle[_-]token", LOWER_HEX + r"{40}\b"),
    )),
    Family("buildkite", "vcs", "Buildkite tokens", (prefixed(r"\bbk(?:ua|aj|ct|et)_", LOWER_HEX + "{40}"),)),
    Family("sonar", "vcs", "SonarQube tokens", (prefixed(r"\bsq[pua]_", LOWER_HEX + "{40}"),)),
    Family("snyk", "vcs", "Snyk and Codecov tokens, by name", (
        named("snyk|codecov", "[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"),
    )),
    Family("artifactory", "vcs", "JFrog Artifactory keys, tokens and encrypted passwords", (
        prefixed(r"\bAKC", ALNUM + "{10,90}[+/_-]?", _artifactory),
        prefixed(r"\bAP[0-9A-F]", ALNUM + "{10,90}[+/_-]?", _artifactory),
        prefixed(r"\bcmVmdGtu", ALNUM + "{56,60}"),
    )),
    Family("npm", "registry", "npm tokens", (
        prefixed(r"\bnpm_", ALNUM + r"{36}\b", checksummed),
        Shape(r"//[a-z0-9.-]{3,80}/", r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|[A-Za-z0-9+/_-]{20,200}={0,2}",
              varied, lead=r"[\w./-]{0,60}:_(?:authToken|auth|password)\s{0,2}=\s{0,2}[\"']?"),
    )),
    Family("pypi", "registry", "PyPI tokens", (
        prefixed(r"pypi-AgE(?:IcHlwaS5vcmc|NdGVzdC5weXBpLm9yZw)", URLSAFE + "{70,400}", more=r"[\w-]"),
    )),
    Family("rubygems", "registry", "RubyGems keys", (prefixed(r"\brubygems_", LOWER_HEX + "{48}"),)),
    Family("docker", "registry", "Docker Hub tokens and the passwords of Docker's configuration", (
        prefixed(r"\bdckr_(?:pat|oat)_", URLSAFE + "{27,36}"),
        Shape(r'"auth"', "[A-Za-z0-9+/]{16,200}={0,2}", random_looking, lead=r'\s{0,4}:\s{0,4}"'),
    )),
    Family("crates_io", "registry", "crates.io tokens", (prefixed(r"\bcio", ALNUM + r"{32}\b"),)),
    Family("nuget", "registry", "NuGet keys", (prefixed(r"\boy2", r"[a-z0-9]{43}\b"),)),
    Family("clojars", "registry", "Clojars tokens", (prefixed(r"\bCLOJARS_", "[0-9a-z]{60}"),)),
)  # fmt: skip
