"""One self-contained bootstrap: what ``extproc render envoy`` prints and ``envoy/`` shows. No watched files."""

from __future__ import annotations

import yaml

from extproc.envoy import clusters, routes
from extproc.envoy.bootstrap import bootstrap
from extproc.envoy.layout import Layout
from extproc.envoy.types import Json
from extproc.runtime import Runtime

_HEAD = """\
# Envoy for llm-extproc, made by `extproc render envoy`. Start it with: envoy -c THIS_FILE
# The order of the routes and the modes of the two filters are what keeps it closed when something fails: see the README.
"""


def render(runtime: Runtime, layout: Layout) -> Json:
    """The bootstrap with clusters and routes inside."""
    whole = bootstrap(runtime, layout)
    del whole["dynamic_resources"]
    whole["static_resources"]["clusters"] += [_untyped(each) for each in clusters.group_clusters(runtime, layout)]
    for listener in whole["static_resources"]["listeners"]:
        manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
        del manager["rds"]
        manager["route_config"] = _untyped(routes.route_config(runtime))
    return whole


def text(runtime: Runtime, layout: Layout) -> str:
    """The same as YAML."""
    return _HEAD + yaml.dump(render(runtime, layout), Dumper=_Plain, sort_keys=False, width=120)


def _untyped(resource: Json) -> Json:
    return {key: value for key, value in resource.items() if key != "@type"}


class _Plain(yaml.SafeDumper):
    """Writes everything out: no anchors, which people and some tools trip over."""

    def ignore_aliases(self, data: object) -> bool:
        """See PyYAML."""
        return True
