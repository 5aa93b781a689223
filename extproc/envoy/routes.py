"""Routes: they match what the router filter decided, and the last one is "undecided".

So a request about which nothing was decided goes nowhere, whatever the processor did or failed to do; and no client
credential leaves, whatever the upstream filter does or fails to do.
"""

from __future__ import annotations

from extproc.config.model import Cors
from extproc.envoy import clusters, types
from extproc.envoy.types import Json, seconds, typed
from extproc.exchange.forward import DECISION
from extproc.exchange.headers import CREDENTIALS, REROUTE
from extproc.groups import Group
from extproc.runtime import Runtime

_NETWORK = (
    "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "x-forwarded-client-cert", "forwarded",
    "via", "x-real-ip", "true-client-ip", "cf-connecting-ip", "cf-ray", "cf-ipcountry", "cookie", "origin", "referer",
    "x-envoy-external-address", "x-envoy-internal", "x-envoy-expected-rq-timeout-ms", "x-envoy-attempt-count",
)  # fmt: skip
_METHODS = ("GET", "POST", "OPTIONS")
_RETRY_ON = "5xx,reset,connect-failure,refused-stream,retriable-status-codes"


def route_config(runtime: Runtime) -> Json:
    """The one route configuration of both listeners."""
    return merged([runtime])


def merged(runtimes: list[Runtime]) -> Json:
    """The same for two configurations while one follows the other: the first one's routes go before the second's."""
    runtime = runtimes[0]
    groups: dict[str, Json] = {}
    for each in runtimes:
        for group in each.groups:
            groups.setdefault(group.slug, _group_route(group))
    host: Json = {
        "name": "all",
        "domains": ["*"],
        "request_body_buffer_limit": runtime.config.gateway.max_body,
        "routes": [*groups.values(), _undecided()],
    }
    cors = runtime.config.gateway.cors
    if cors:
        host["typed_per_filter_config"] = {"envoy.filters.http.cors": _cors(cors, runtime)}
    enabled = typed(types.FILTER_CONFIG, disabled=False, config={})
    return {
        "@type": types.ROUTES,
        "name": types.ROUTE_CONFIG,
        "typed_per_filter_config": {types.ROUTER_FILTER: enabled},
        "virtual_hosts": [host],
    }


def _group_route(group: Group) -> Json:
    # with one backend the router filter has set its credential already; what the client sent under that name is gone
    own = group.own_credentials
    credentials = [name for name in CREDENTIALS if name not in own]
    return {
        "name": group.slug,
        "match": {
            "prefix": "/",
            "dynamic_metadata": [
                {"filter": DECISION, "path": [{"key": "group"}], "value": {"string_match": {"exact": group.slug}}}
            ],
        },
        "route": {"cluster": group.slug, **clusters.timeouts(group), "retry_policy": _retries(group)},
        "request_headers_to_remove": [REROUTE, *credentials, *_NETWORK],
    }


def _retries(group: Group) -> Json:
    others = len(group.backends) - 1
    policy: Json = {
        "num_retries": max(others, 1),
        "per_try_idle_timeout": seconds(group.first_byte_timeout),
        # the same backend again is only worth it where it never saw the request
        "retry_on": _RETRY_ON if others else "connect-failure,refused-stream",
        "retry_back_off": {"base_interval": "0.025s", "max_interval": "0.25s"},
    }
    if others:
        policy["retriable_status_codes"] = [401, 403, 408, 429]
    if others and group.weights is None:
        policy["retry_priority"] = {
            "name": "envoy.retry_priorities.previous_priorities",
            "typed_config": typed(types.PREVIOUS_PRIORITIES, update_frequency=1),
        }
    elif others:
        policy["retry_host_predicate"] = [
            {"name": "envoy.retry_host_predicates.previous_hosts", "typed_config": typed(types.PREVIOUS_HOSTS)}
        ]
        policy["host_selection_retry_max_attempts"] = 5
    return policy


def _undecided() -> Json:
    # a cluster without endpoints, not a direct response: only on routes that lead to a cluster does Envoy heed the limit
    # of request bodies, and does its CORS filter act
    return {"name": "undecided", "match": {"prefix": "/"}, "route": {"cluster": types.NOWHERE_CLUSTER}}


def _cors(cors: Cors, runtime: Runtime) -> Json:
    further = {method for each in runtime.named.all for method in each.config.method} - {*_METHODS}
    origins = [{"safe_regex": {"regex": ".*"}} if origin == "*" else {"exact": origin} for origin in cors.origins]
    return typed(
        types.CORS_POLICY,
        allow_origin_string_match=origins,
        allow_methods=", ".join([*_METHODS, *sorted(further)]),
        allow_headers="*, authorization, content-type",
        expose_headers="x-request-id, x-llm-request-id, x-llm-backend, x-llm-policies",
        max_age="600",
        allow_private_network_access=cors.private_network,
    )
