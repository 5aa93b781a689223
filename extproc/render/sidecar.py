"""A patch that puts the processor into the pods of an Envoy: they share a folder with its Unix sockets.

That is the faster way (the native transport), and nothing else can reach the processor; but it comes and goes with Envoy.
"""

from __future__ import annotations

from typing import Final

from extproc.envoy.types import Json
from extproc.framing.jsontext import dump
from extproc.render.place import HEALTH
from extproc.render.workload import HARDENED, RESOURCES, Pods, variables

FOLDER: Final = "/run/extproc"
"""Where the sockets are, for both containers."""
_VOLUME: Final = "extproc-run"
_ENVOY: Final = "ENVOY"
"""Stands for names that the operator knows."""


def patch(pods: Pods, workers: int, user: int) -> Json:
    """A strategic merge patch (``kubectl patch deployment … --patch-file``, Kustomize).

    The processor is an init container that stays (Kubernetes 1.29 and later): up before Envoy, ended after it.

    Args:
        workers: processes in the pod.
        user: the user Envoy runs as: the socket is for its owner alone.
    """
    container = {
        "name": "llm-extproc",
        "image": pods.image,
        "restartPolicy": "Always",
        "args": ["serve", "--run", FOLDER],
        "env": variables({
            "EXTPROC_CONFIG": "/etc/extproc/extproc.yaml",
            "EXTPROC_HEALTH__ADDRESS": "0.0.0.0",  # noqa: S104
            "EXTPROC_HEALTH__PORT": str(HEALTH),
            "EXTPROC_GATEWAY__DRAIN": f"{pods.drain}s",
            "EXTPROC_GATEWAY__TLS": "none",
            "EXTPROC_GUARD__UNNAMED": pods.unnamed,
            "EXTPROC_LOG__FORMAT": "json",
            "EXTPROC_PROCESSOR__BIND": f"unix:{FOLDER}/w{{n}}.sock",
            "EXTPROC_PROCESSOR__WORKERS": str(workers),
        }),
        "envFrom": [{"secretRef": {"name": f"{pods.place.name}-keys", "optional": True}}],
        "ports": [{"name": "extproc-health", "containerPort": HEALTH}],
        "startupProbe": {**_asked("/health/readiness"), "periodSeconds": 2, "failureThreshold": 30},
        "livenessProbe": {**_asked("/health/liveness"), "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 6},
        "resources": RESOURCES,
        "securityContext": {**HARDENED, "runAsNonRoot": True, "runAsUser": user},
        "volumeMounts": [
            {"name": _VOLUME, "mountPath": FOLDER},
            {"name": "extproc-configuration", "mountPath": "/etc/extproc", "readOnly": True},
        ],
    }  # fmt: skip
    items = [{"key": path.replace("/", "--"), "path": path} for path in pods.texts]
    spec = {
        "terminationGracePeriodSeconds": pods.grace,
        "initContainers": [container],
        "containers": [{"name": _ENVOY, "volumeMounts": [{"name": _VOLUME, "mountPath": FOLDER}]}],
        "volumes": [
            {"name": _VOLUME, "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}},
            {"name": "extproc-configuration", "configMap": {"name": pods.place.name, "items": items}},
        ],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": _ENVOY, "namespace": pods.place.namespace},
        "spec": {"template": {"metadata": {"annotations": _for_istio()}, "spec": spec}},
    }


def _for_istio() -> dict[str, str]:
    """Istio adds its Envoy (container ``istio-proxy``) when the pod is made; this mounts the folder there."""
    return {"sidecar.istio.io/userVolumeMount": dump([{"name": _VOLUME, "mountPath": FOLDER}]).decode()}


def _asked(path: str) -> Json:
    return {"httpGet": {"path": path, "port": "extproc-health"}}
