"""The pods of the processor (or of a whole gateway), how many there are, and how they come and go."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final

from extproc.envoy.types import Json
from extproc.render.place import HEALTH, PORT, Place

TLS_FOLDER: Final = "/etc/extproc-tls"
"""Where the Secret of the processor's certificate is mounted."""
_USER: Final = 101
"""The image's user."""
_LEAVE: Final = 5
"""Seconds between "no longer among the endpoints" and the end of listening: until every Envoy has heard of it."""
_MARGIN: Final = 10


@dataclass(frozen=True, slots=True)
class Pods:
    """What runs.

    ``gateway``: Envoy and processor in one, instead of the processor alone; ``unnamed``: what calls are that do not say
    which filter they come from; ``drain``: seconds in which open answers may
    end; ``texts``: the configuration's files by path; ``tls``: name of the Secret with ``tls.crt``, ``tls.key`` and
    ``ca.crt``, empty for none; ``names``: whom of the certified clients to admit.
    """

    place: Place
    image: str
    gateway: bool
    unnamed: str
    replicas: int
    drain: int
    texts: dict[str, str]
    tls: str = ""
    names: tuple[str, ...] = ()

    @property
    def grace(self) -> int:
        """Seconds after which Kubernetes ends a pod that has not ended by itself."""
        return self.drain + _LEAVE + _MARGIN


def config_map(pods: Pods) -> Json:
    """The configuration's files. Keys of a ConfigMap cannot hold a slash: the volume puts them where they belong."""
    data = {_key(path): text for path, text in pods.texts.items()}
    return pods.place.object("v1", "ConfigMap", data=data)


def _key(path: str) -> str:
    return path.replace("/", "--")


def service_account(place: Place) -> Json:
    """An identity of its own (meshes make certificates of it), and no access to the cluster's API."""
    return {**place.object("v1", "ServiceAccount"), "automountServiceAccountToken": False}


def deployment(pods: Pods) -> Json:
    """A changed configuration starts new pods: its digest is part of them. How many there are is the autoscaler's."""
    digest = hashlib.sha256(repr(sorted(pods.texts.items())).encode()).hexdigest()[:16]
    template = {
        "metadata": {"labels": pods.place.labels, "annotations": {"llm-extproc/configuration": digest}},
        "spec": _pod(pods),
    }
    return pods.place.object(
        "apps/v1",
        "Deployment",
        spec={
            "selector": {"matchLabels": pods.place.labels},
            # first one more, then one less: there are never fewer than wanted
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": template,
        },
    )


def _pod(pods: Pods) -> Json:
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": pods.place.labels},
    }
    return {
        "serviceAccountName": pods.place.name,
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": pods.grace,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "topologySpreadConstraints": [spread],
        "containers": [_container(pods)],
        "volumes": _volumes(pods),
    }


def _container(pods: Pods) -> Json:
    if pods.gateway:
        command = ["up", "--host", "0.0.0.0"]  # noqa: S104
        ports = [{"name": "https", "containerPort": 8443}]
    else:
        command = ["serve", "--run", "/run/extproc"]
        ports = [{"name": "grpc", "containerPort": PORT}]
    return {
        "name": "llm-extproc",
        "image": pods.image,
        "args": command,
        "env": variables(_settings(pods)),
        # keys of providers and of moderation services: env:NAME in the configuration
        "envFrom": [{"secretRef": {"name": f"{pods.place.name}-keys", "optional": True}}],
        "ports": [*ports, {"name": "health", "containerPort": HEALTH}],
        **_probes(pods),
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", str(_LEAVE)]}}},
        "resources": RESOURCES,
        "securityContext": HARDENED,
        "volumeMounts": _mounts(pods),
    }


RESOURCES: Final[Json] = {
    # no limit of CPU: throttling stands the event loop still, and a worker that stands still is replaced
    "requests": {"cpu": "500m", "memory": "512Mi"},
    "limits": {"memory": "1Gi"},
}
HARDENED: Final[Json] = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def _settings(pods: Pods) -> dict[str, str]:
    """What depends on the cluster, not on the configuration file, and wins over it."""
    found = {
        "EXTPROC_CONFIG": "/etc/extproc/extproc.yaml",
        "EXTPROC_HEALTH__ADDRESS": "0.0.0.0",  # noqa: S104
        "EXTPROC_HEALTH__PORT": str(HEALTH),
        "EXTPROC_GATEWAY__DRAIN": f"{pods.drain}s",
        "EXTPROC_LOG__FORMAT": "json",
    }
    if pods.gateway:
        found |= {"EXTPROC_GATEWAY__PORT": "8443", "EXTPROC_GATEWAY__PLAIN_PORT": "null"}
        certificate = ("CERT", "tls.crt"), ("KEY", "tls.key")
        return found | {f"EXTPROC_GATEWAY__TLS__{key}": f"{TLS_FOLDER}/{file}" for key, file in certificate if pods.tls}
    found |= {
        "EXTPROC_GATEWAY__TLS": "none",
        "EXTPROC_GUARD__UNNAMED": pods.unnamed,
        "EXTPROC_PROCESSOR__BIND": f"0.0.0.0:{PORT}",
        "EXTPROC_PROCESSOR__TRANSPORT": "grpcio",
        "EXTPROC_PROCESSOR__WORKERS": "1",  # one address, one worker: replicas are what there are more of
    }
    if pods.tls:
        found |= {
            "EXTPROC_PROCESSOR__TLS__CERT": f"{TLS_FOLDER}/tls.crt",
            "EXTPROC_PROCESSOR__TLS__KEY": f"{TLS_FOLDER}/tls.key",
            "EXTPROC_PROCESSOR__TLS__CLIENT_CA": f"{TLS_FOLDER}/ca.crt",
            "EXTPROC_PROCESSOR__TLS__NAMES": f"[{', '.join(pods.names)}]",
        }
    return found


def variables(found: dict[str, str]) -> list[Json]:
    """As a container has them."""
    return [{"name": name, "value": value} for name, value in found.items()]


def _probes(pods: Pods) -> Json:
    """Kubernetes asks gRPC without TLS only; with it, and for a gateway, the health port answers instead."""
    grpc: Json = {"grpc": {"port": PORT}}
    over_http = pods.gateway or bool(pods.tls)
    ready: Json = {"httpGet": {"path": "/health/readiness", "port": "health"}} if over_http else grpc
    alive: Json = {"httpGet": {"path": "/health/liveness", "port": "health"}} if over_http else grpc
    return {
        "startupProbe": {**ready, "periodSeconds": 2, "failureThreshold": 30},
        "readinessProbe": {**ready, "periodSeconds": 5, "timeoutSeconds": 2, "failureThreshold": 2},
        # the workers have a watchdog of their own; this is for what it cannot see
        "livenessProbe": {**alive, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 6},
    }


def _mounts(pods: Pods) -> list[Json]:
    found: list[Json] = [
        {"name": "configuration", "mountPath": "/etc/extproc", "readOnly": True},
        {"name": "run", "mountPath": "/run/extproc"},
        {"name": "state", "mountPath": "/var/lib/extproc"},
    ]
    if pods.tls:
        found.append({"name": "tls", "mountPath": TLS_FOLDER, "readOnly": True})
    return found


def _volumes(pods: Pods) -> list[Json]:
    items = [{"key": _key(path), "path": path} for path in pods.texts]
    found: list[Json] = [
        {"name": "configuration", "configMap": {"name": pods.place.name, "items": items}},
        {"name": "run", "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}},
        {"name": "state", "emptyDir": {"sizeLimit": "16Mi"}},
    ]
    if pods.tls:
        found.append({"name": "tls", "secret": {"secretName": pods.tls, "defaultMode": 0o440}})
    return found


def autoscaler(pods: Pods) -> Json:
    """More pods by CPU; fewer only slowly, as every pod that goes waits for its answers to end."""
    metric: Json = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}
    return pods.place.object(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        spec={
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": pods.place.name},
            "minReplicas": pods.replicas,
            "maxReplicas": max(10, pods.replicas),
            "metrics": [{"type": "Resource", "resource": metric}],
            "behavior": {
                "scaleDown": {
                    "stabilizationWindowSeconds": 600,
                    "policies": [{"type": "Pods", "value": 1, "periodSeconds": 120}],
                }
            },
        },
    )


def disruption_budget(place: Place) -> Json:
    """Drained nodes take one pod at a time."""
    spec: dict[str, Any] = {"maxUnavailable": 1, "selector": {"matchLabels": place.labels}}
    return place.object("policy/v1", "PodDisruptionBudget", spec=spec)
