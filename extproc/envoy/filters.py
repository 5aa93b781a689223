"""Our two filters as Envoy is told of them.

The modes are the ones seen to work (see the tests in tests/e2e): the router filter buffers requests and streams answers
in full duplex; the upstream filter sees requests only. Neither ever allows anything when the processor fails.
"""

from __future__ import annotations

from typing import Any, Final

from extproc.config.model import Config
from extproc.envoy import types
from extproc.envoy.types import Json, seconds, typed
from extproc.exchange.forward import ATTEMPT, DECISION, SUBSET, UPSTREAM
from extproc.exchange.outgoing import USAGE
from extproc.exchange.replies import VERDICTS
from extproc.exchange.upstream import BACKEND
from extproc.policy.attach import ADDRESS, JWT, PRINCIPALS, ROUTES
from extproc.service import FILTER

_AFTER: Final = 1.0
"""Seconds that the processor has to say that a service gave no answer."""


def _ext_proc(name: str, mode: Json, patience: float, **more: Any) -> Json:
    timeout = seconds(patience)
    return typed(
        types.EXT_PROC,
        grpc_service={
            "envoy_grpc": {
                "cluster_name": types.PROCESSOR_CLUSTER,
                # it is not this that keeps requests alive when a worker dies: Envoy (1.40) tries only calls again whose
                # request is complete, and ours are open to the end; of 139 streams whose connection failed none was. Should
                # that change, another worker starts from the beginning, as long as nothing has been answered
                "retry_policy": {
                    "num_retries": 3,
                    "retry_on": "connect-failure,refused-stream,reset,unavailable",
                    "retry_back_off": {"base_interval": "0.005s", "max_interval": "0.05s"},
                    "retry_host_predicate": [
                        {
                            "name": "envoy.retry_host_predicates.previous_hosts",
                            "typed_config": typed(types.PREVIOUS_HOSTS),
                        }
                    ],
                    "host_selection_retry_max_attempts": 5,
                },
            },
            "initial_metadata": [{"key": FILTER, "value": name}],
        },
        failure_mode_allow=False,
        status_on_error={"code": "ServiceUnavailable"},
        message_timeout=timeout,
        max_message_timeout=timeout,
        processing_mode=mode,
        **more,
    )


def router_filter(config: Config) -> Json:
    """The filter in the HTTP connection manager.

    Disabled in the chain and enabled by the routes, so that Envoy can still answer requests that its codec refuses.
    """
    mode = {
        "request_header_mode": "SEND",
        "request_body_mode": "BUFFERED",
        "request_trailer_mode": "SEND",
        "response_header_mode": "SEND",
        "response_body_mode": "FULL_DUPLEX_STREAMED",
        "response_trailer_mode": "SEND",
    }
    targets = config.targets()
    attributes = [*ROUTES] if any(each.route for each in targets) else []
    attributes += [ADDRESS] if any(each.kind == "identity" for each in config.policies.values()) else []
    attributes += PRINCIPALS if any(each.principal for each in targets) else ()
    # an answer waits for services: Envoy has to wait longer than for any of them
    deadlines = [getattr(each, "deadline", 0.0) + _AFTER for each in config.policies.values()]
    config_ = _ext_proc(
        "router",
        mode,
        max(config.processor.message_timeout, *deadlines, 0.0),
        **({"request_attributes": attributes} if attributes else {}),
        response_attributes=["response.code_details", ATTEMPT],
        # to remove x-envoy-* headers of clients and providers; and where there is one backend, to say its authority
        mutation_rules={"allow_envoy": True, "allow_all_routing": True},
        metadata_options={
            "receiving_namespaces": {"untyped": [DECISION, SUBSET, USAGE, VERDICTS]},
            "forwarding_namespaces": {"untyped": [UPSTREAM, *([JWT] if any(each.jwt for each in targets) else [])]},
        },
    )
    return {"name": types.ROUTER_FILTER, "disabled": True, "typed_config": config_}


def upstream_filter(config: Config) -> Json:
    """The filter of a cluster with several backends, once an attempt.

    Any client's format may come, so an attempt may have to convert the body; one that does not hangs up before it.
    """
    mode = {
        "request_header_mode": "SEND",
        "request_body_mode": "BUFFERED",
        "request_trailer_mode": "SKIP",
        "response_header_mode": "SKIP",
        "response_body_mode": "NONE",
        "response_trailer_mode": "SKIP",
    }
    config_ = _ext_proc(
        "upstream",
        mode,
        config.processor.message_timeout,
        request_attributes=[BACKEND, ATTEMPT],
        mutation_rules={"allow_all_routing": True},
        metadata_options={
            "receiving_namespaces": {"untyped": [UPSTREAM]},
            "forwarding_namespaces": {"untyped": [DECISION]},
        },
    )
    return {"name": types.UPSTREAM_FILTER, "typed_config": config_}
