"""Tokens of monitoring, office and social services. Source: each service's own documentation of its tokens."""

from __future__ import annotations

from typing import Final

from extproc.policy.secrets.checks import digits_too, random_looking
from extproc.policy.secrets.family import Family, Shape
from extproc.policy.secrets.parts import ALNUM, LOWER_HEX, URLSAFE, named, prefixed

_UUID: Final = "[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"

FAMILIES: Final = (
    Family("datadog", "monitoring", "Datadog keys, by name", (
        named(r"datadog|\bdd[_-]", r"(?:[0-9a-f]{40}|[0-9a-f]{32})\b"),
        prefixed(r"\bdd(?:ap|pa|og)p?_", ALNUM + "{30,40}"),
    )),
    Family("new_relic", "monitoring", "New Relic keys", (
        prefixed(r"\bNR(?:AK|AA|BR|IQ|SP)-", r"[A-Z0-9]{27}\b"),
        prefixed(r"\bNR(?:II|IK|JS|RA)-", URLSAFE + "{19,48}"),
        prefixed(r"\b[0-9a-f]{32,36}(?:FFFF)?NRAL", r"\b", None),
    )),
    Family("grafana", "monitoring", "Grafana keys and tokens", (
        prefixed(r"\bglc_", "[A-Za-z0-9+/]{32,400}={0,2}", more="[A-Za-z0-9+/=]"),
        prefixed(r"\bglsa_", "[A-Za-z0-9]{32}_[0-9A-Fa-f]{8}"),
        prefixed(r"\beyJrIjoi", "[A-Za-z0-9]{60,300}={0,2}"),
    )),
    Family("sentry", "monitoring", "Sentry tokens, and secrets in old DSNs", (
        prefixed(r"\bsntrys_", r"eyJ[A-Za-z0-9+/=_-]{60,400}", more="[A-Za-z0-9+/=_-]"),
        prefixed(r"\bsntryu_", LOWER_HEX + "{64}"),
        named("sentry", LOWER_HEX + r"{64}\b"),
    )),
    Family("honeycomb", "monitoring", "Honeycomb keys", (prefixed(r"\bhc[abik][lik]k_", "[a-z0-9]{58,60}"),)),
    Family("dynatrace", "monitoring", "Dynatrace tokens", (prefixed(r"\bdt0[a-z]\d{2}\.", r"[A-Z0-9]{24}\.[A-Z0-9]{64}"),)),
    Family("posthog", "monitoring", "PostHog personal keys", (prefixed(r"\bphx_", ALNUM + "{40,50}"),)),
    Family("splunk", "monitoring", "Splunk collector tokens, by name", (named("splunk", _UUID),)),
    Family("launchdarkly", "monitoring", "LaunchDarkly keys", (
        prefixed(r"\b(?:sdk|api|mob)-", "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    )),
    Family("pagerduty", "monitoring", "PagerDuty keys, by name", (named("pagerduty|pd_api", r"[A-Za-z0-9_+-]{20,32}"),)),
    Family("atlassian", "saas", "Atlassian (Jira, Confluence, Trello) tokens", (
        prefixed(r"\bATATT3", r"[\w-]{40,400}(?:=[0-9A-F]{8})?"),
        prefixed(r"\bATSTT3", r"[\w-]{40,400}(?:=[0-9A-F]{8})?"),
        prefixed(r"\bATTA", "[0-9A-Za-z]{72}"),
        named("jira|atlassian|confluence", ALNUM + r"{24}\b"),
    )),
    Family("linear", "saas", "Linear keys", (prefixed(r"\blin_(?:api|oauth|wh)_", ALNUM + "{32,64}"),)),
    Family("notion", "saas", "Notion tokens", (
        prefixed(r"\bntn_", ALNUM + "{40,50}"),
        prefixed(r"\bsecret_", ALNUM + r"{43}\b"),
    )),
    Family("airtable", "saas", "Airtable tokens; old keys by name", (
        prefixed(r"\bpat[A-Za-z0-9]{14}\.", LOWER_HEX + "{64}"),
        named("airtable", r"key[A-Za-z0-9]{14}\b"),
    )),
    Family("figma", "saas", "Figma tokens", (
        prefixed(r"\bfig[dorh]_", URLSAFE + "{38,48}"),
        named("figma", r"\d{5,8}-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    )),
    Family("asana", "saas", "Asana tokens and client secrets", (
        prefixed(r"\b[12]/\d{13,17}", r"(?:/\d{13,17})?:[0-9a-f]{32}"),
        named("asana", ALNUM + r"{32}\b"),
    )),
    Family("okta", "saas", "Okta tokens", (
        Shape("SSWS ", r"00[\w-]{40}", random_looking, lead=r"\s?"),
        named("okta", r"00[\w-]{40,41}", most=42),
    )),
    Family("auth0", "saas", "Auth0 client secrets, by name", (named("auth0", URLSAFE + "{64,65}", most=64),)),
    Family("postman", "saas", "Postman keys", (prefixed(r"\bPMAK-", "[0-9a-f]{24}-[0-9a-f]{34}"),)),
    Family("dropbox", "saas", "Dropbox tokens; app secrets by name", (
        prefixed(r"\bsl\.", r"(?:u\.)?[\w-]{100,400}={0,2}", more=r"[\w-]"),
        named("dropbox", r"[a-z0-9]{15}\b", digits_too),
    )),
    Family("facebook", "saas", "Facebook and Instagram tokens; app secrets by name", (
        prefixed(r"\bEAA[A-Z]", "[A-Za-z0-9]{80,400}", more="[A-Za-z0-9]"),
        prefixed(r"\b\d{15,16}\|", URLSAFE + "{27,40}"),
        prefixed(r"\bIGQV", URLSAFE + "{80,300}"),
        named("facebook|fb[_-]", r"[0-9a-f]{32}\b"),
    )),
    Family("twitter", "saas", "Twitter (X) bearer tokens; keys and secrets by name", (
        prefixed(r"\bA{20,24}", "[A-Za-z0-9%]{30,120}"),
        named("twitter", r"(?:[A-Za-z0-9]{45}|[A-Za-z0-9]{50}|[A-Za-z0-9]{25})\b"),
    )),
    Family("linkedin", "saas", "LinkedIn secrets, by name and in their own shape", (
        prefixed(r"\bWPL_AP1\.", r"[A-Za-z0-9]{16}(?:\.[A-Za-z0-9+/]{4,12}={0,2})?"),
        named("linkedin", r"[A-Za-z0-9]{16}\b"),
    )),
    Family("hubspot", "saas", "HubSpot tokens", (prefixed(r"\bpat-(?:na|eu|ap)\d-", _UUID),)),
    Family("typeform", "saas", "Typeform tokens", (prefixed(r"\btfp_", r"[\w.=-]{44,70}"),)),
    Family("contentful", "saas", "Contentful tokens", (prefixed(r"\bCFPAT-", URLSAFE + "{40,50}"),)),
    Family("mapbox", "saas", "Mapbox secret tokens", (prefixed(r"\bsk\.eyJ", r"[\w-]{20,300}\.[\w-]{20,30}"),)),
    Family("readme", "saas", "ReadMe keys", (prefixed(r"\brdme_", "[a-z0-9]{64,80}"),)),
    Family("prefect", "saas", "Prefect keys", (prefixed(r"\bpn[ub]_", "[A-Za-z0-9]{36}"),)),
    Family("algolia", "saas", "Algolia keys, by name", (named("algolia", r"[0-9a-z]{32}\b"),)),
)  # fmt: skip
