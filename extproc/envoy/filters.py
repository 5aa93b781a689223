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
from extproc.exchange.guarding import CLUSTER
from extproc.exchange.outgoing import USAGE
from extproc.exchange.replies import VERDICTS
from extproc.exchange.upstream import BACKEND
from extproc.policy.attach import ADDRESS, JWT, PRINCIPALS, ROUTES
from extproc.service import FILTER

_AFTER: Final = 1.0
"""Seconds that the processor has to say that a service gave no answer."""


def _ext_proc(name: str, mode: Json, patience: float, *, cluster: str = types.PROCESSOR_CLUSTER, **more: Any) -> Json:
    timeout = seconds(patience)
    return typed(
        types.EXT_PROC,
        grpc_service={
            "envoy_grpc": {
                "cluster_name": cluster,
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
    mode = _modes("BUFFERED", "FULL_DUPLEX_STREAMED")
    targets = config.targets()
    attributes = [*ROUTES] if any(each.route for each in targets) else []
    attributes += [ADDRESS] if any(each.kind == "identity" for each in config.policies.values()) else []
    attributes += PRINCIPALS if any(each.principal for each in targets) else ()
    config_ = _ext_proc(
        "router",
        mode,
        _patience(config),
        **_asked(attributes),
        response_attributes=["response.code_details", ATTEMPT],
        # to remove x-envoy-* headers of clients and providers; and where there is one backend, to say its authority
        mutation_rules={"allow_envoy": True, "allow_all_routing": True},
        metadata_options={
            "receiving_namespaces": {"untyped": [DECISION, SUBSET, USAGE, VERDICTS]},
            "forwarding_namespaces": {"untyped": [UPSTREAM, *([JWT] if any(each.jwt for each in targets) else [])]},
        },
    )
    return {"name": types.ROUTER_FILTER, "disabled": True, "typed_config": config_}


def _asked(attributes: list[str]) -> Json:
    return {"request_attributes": attributes} if attributes else {}


def _patience(config: Config) -> float:
    """Seconds. An answer waits for services: Envoy has to wait longer than for any of them."""
    deadlines = [getattr(each, "deadline", 0.0) + _AFTER for each in config.policies.values()]
    return max(config.processor.message_timeout, *deadlines, 0.0)


_EVERYWHERE: Final = [*ROUTES, ADDRESS, *PRINCIPALS]
"""Attributes for an Envoy that is not configured by us: all that policies may ask for, so that it need not be changed
whenever they are."""


def guard_filter(config: Config, *, shadow: bool = False) -> Json:
    """The one filter on traffic that others route: it changes no route and no credential, and adds none.

    Args:
        shadow: it sees all and can touch nothing: Envoy hears no answer, waits for none and does without the processor.
    """
    known: Json = {
        "request_attributes": _EVERYWHERE,
        "response_attributes": ["response.code_details", CLUSTER, ATTEMPT],
        "metadata_options": {"forwarding_namespaces": {"untyped": [JWT]}},
    }
    if shadow:
        return {"name": types.SHADOW_FILTER, "typed_config": _shadow(known)}
    known["metadata_options"]["receiving_namespaces"] = {"untyped": [USAGE, VERDICTS]}
    mode = _modes("BUFFERED", "FULL_DUPLEX_STREAMED")
    config_ = _ext_proc(
        "guard", mode, _patience(config), cluster=types.GUARD_CLUSTER, stat_prefix="llm_extproc", **known
    )
    return {"name": types.GUARD_FILTER, "typed_config": config_}


def _modes(request_body: str, response_body: str) -> Json:
    return {
        "request_header_mode": "SEND",
        "request_body_mode": request_body,
        "request_trailer_mode": "SEND",
        "response_header_mode": "SEND",
        "response_body_mode": response_body,
        "response_trailer_mode": "SEND",
    }


def _shadow(known: Json) -> Json:
    return typed(
        types.EXT_PROC,
        stat_prefix="llm_extproc_shadow",
        grpc_service={
            # no retries: for them Envoy would keep what it has sent
            "envoy_grpc": {"cluster_name": types.SHADOW_CLUSTER},
            "initial_metadata": [{"key": FILTER, "value": "shadow"}],
        },
        observability_mode=True,
        failure_mode_allow=True,
        processing_mode=_modes("STREAMED", "STREAMED"),
        **known,
    )


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
