"""The shape of the configuration file: every field, its default and what it means. The JSON Schema is made from this."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from extproc.config.attach import Attachment, Overrides, Target
from extproc.config.operation import NamedOperation
from extproc.config.provider import Provider
from extproc.config.strict import Strict
from extproc.config.units import Duration, Size
from extproc.operations import Operation
from extproc.policy.kinds import AnyPolicy
from extproc.policy.kinds.operations import Operations
from extproc.providers.known import KNOWN
from extproc.providers.models import Ability

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]
Port = Annotated[int, Field(ge=0, le=65535)]


class Certificate(Strict):
    """Your own certificate."""

    cert: str = Field(description="path of the certificate chain (PEM)")
    key: str = Field(description="path of the private key (PEM)")


class Cors(Strict):
    """Browsers on other origins."""

    origins: list[str] = Field(description="origins that may call, exactly as browsers send them; `*` for any")
    private_network: bool = Field(False, description="answer Access-Control-Allow-Private-Network")


class Gateway(Strict):
    """The listener clients connect to."""

    address: str = Field("127.0.0.1", description="address to listen on; 0.0.0.0 for all")
    port: Port = Field(
        8443, description="port of the TLS listener (of the only one with `tls: none`); 0 picks a free one"
    )
    tls: Literal["auto", "none"] | Certificate = Field(
        "auto", description="auto makes a development certificate on first start"
    )
    plain_port: Port | None = Field(8080, description="a second listener without TLS, on loopback only; null for none")
    admin_port: Port = Field(0, description="Envoy's admin interface, on loopback only; 0 picks a free port")
    max_body: Size = Field(32 << 20, description="largest request and largest unstreamed answer")
    trusted_hops: int = Field(0, ge=0, le=16, description="proxies in front whose X-Forwarded-For is believed")
    drain: Duration = Field(30.0, description="how long answers may still take after the signal to stop")
    cors: Cors | None = Field(None, description="absent: browsers on other origins are refused by their own rules")
    pass_headers: list[Annotated[str, Field(pattern=r"^[a-z0-9-]+$")]] = Field(
        [], description="further request headers that may reach a provider; all others stay here"
    )
    aws_keys: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9]{16,128}$")], str] = Field(
        {},
        description="access key ids to references to their secrets (`env:X`, `file:P`): with any, what comes in Bedrock's "
        "API has to be signed with one of them",
    )
    upstream_ca: str | None = Field(
        None, description="PEM bundle that provider certificates are checked with; default: the system's"
    )


class ProcessorTls(Strict):
    """Mutual TLS between an Envoy elsewhere and the processor. The files are read again when they change."""

    cert: str = Field(description="path of the processor's certificate chain (PEM)")
    key: str = Field(description="path of its private key (PEM)")
    client_ca: str = Field(description="path of the authorities whose clients may call (PEM)")
    names: list[Annotated[str, Field(pattern=r"^[A-Za-z0-9][^*\s]*\*?$")]] = Field(
        [],
        description="which of those clients: DNS names or URIs (`spiffe://…`) of their certificates, exactly or up to a "
        "final `*`; absent: all of them",
    )


class Processor(Strict):
    """The service Envoy asks."""

    bind: str = Field("unix:run/w{n}.sock", description="`unix:PATH` with `{n}` for the worker, or HOST:PORT")
    tls: ProcessorTls | None = Field(None, description="for HOST:PORT: who may call; absent: whoever reaches it")
    transport: Literal["auto", "native", "grpcio"] = Field(
        "auto", description="auto: native on Unix sockets, grpcio (gRPC's own library, slower, any address) elsewhere"
    )
    workers: Annotated[int, Field(ge=1, le=64)] = Field(
        1, description="worker processes; a fault in one hurts only its own"
    )
    message_timeout: Duration = Field(10.0, description="longest time Envoy waits for one answer of the processor")
    max_event: Size = Field(1 << 20, description="largest single event of a stream")
    max_held: Size = Field(4 << 20, description="most bytes held back for one answer")
    max_in_flight: Size = Field(128 << 20, description="most bytes that all answers of a worker hold; beyond it 503")
    python: bool = Field(False, description="whether policies may be Python code (kind `python`)")
    keep_alive: Duration = Field(
        15.0, description="after so long without a byte, a comment goes out while text is held back"
    )
    stall_timeout: Duration = Field(2.0, description="a worker whose event loop stands still for longer is ended")

    @model_validator(mode="after")
    def _transport(self) -> Self:
        if self.transport == "native" and not self.bind.startswith("unix:"):
            raise ValueError("transport native needs a Unix socket: bind must begin with unix:")
        if self.tls and self.bind.startswith("unix:"):
            raise ValueError("tls is for bind: HOST:PORT; a Unix socket is for its owner alone")
        return self

    @property
    def native(self) -> bool:
        """Whether the native transport serves."""
        return self.transport != "grpcio" and self.bind.startswith("unix:")


class Guard(Strict):
    """Traffic that others route (guard-only), where this service is attached to it."""

    unknown: Literal["block", "pass"] = Field(
        "block", description="operations that nobody here can read: `pass` lets them go on unseen, and says so"
    )
    prefixes: list[Annotated[str, Field(pattern=r"^(/[A-Za-z0-9._~-]+)+$")]] = Field(
        [], description="beginnings of paths before those of the API's own, for example /llm"
    )

    @field_validator("prefixes")
    @classmethod
    def _longest_first(cls, value: list[str]) -> list[str]:
        return sorted(value, key=len, reverse=True)

    unnamed: Literal["refuse", "guard", "shadow"] = Field(
        "refuse",
        description="what a call of Envoy's is that does not say which filter it comes from, as Envoy Gateway's do",
    )


class BackendUse(Strict):
    """One backend of a model group."""

    use: str = Field(description="provider/model, or a provider alone for the name the client asked for")
    weight: int = Field(1, ge=1, le=1000, description="share of the traffic among backends that have one")
    abilities: dict[Ability, bool] = Field(
        {},
        description="what it can take, where the table of known models does not say so: requests that need more go elsewhere",
    )


def _backend(value: object) -> object:
    return {"use": value} if isinstance(value, str) else value


class ModelGroup(Strict):
    """What stands behind a public model name. Order is the order of failover, unless backends have weights."""

    backends: Annotated[list[Annotated[BackendUse, BeforeValidator(_backend)]], Field(min_length=1)]
    timeout: Duration = Field(600.0, description="longest time for a whole answer")
    first_byte_timeout: Duration = Field(
        60.0, description="longest wait for a backend's response headers before the next is tried"
    )
    idle_timeout: Duration = Field(120.0, description="longest silence within an answer")

    @property
    def weighted(self) -> bool:
        """Whether traffic is shared by weight rather than failing over in order."""
        return any("weight" in backend.model_fields_set for backend in self.backends)


def _group(value: object) -> object:
    if isinstance(value, str):
        return {"backends": [value]}
    return {"backends": value} if isinstance(value, list) else value


class Log(Strict):
    """One line an exchange, on standard output."""

    format: Literal["auto", "json", "text"] = Field("auto", description="auto: text on a terminal, JSON elsewhere")
    content: Literal["none"] = Field("none", description="prompts and answers are never logged")


class Health(Strict):
    """Where the gateway tells how it is: /health/liveness, /health/readiness, /health/drain and /metrics. Without TLS."""

    address: str = Field("127.0.0.1", description="address to listen on; keep it inside your network")
    port: Port | None = Field(8081, description="null for none; 0 picks a free one")


class Config(Strict):
    """The whole file."""

    version: Literal[1] = 1
    gateway: Gateway = Gateway()
    processor: Processor = Processor()
    health: Health = Health()
    guard: Guard = Guard()
    providers: dict[Name, Provider] = Field({}, description="by name")
    models: dict[str, Annotated[ModelGroup, BeforeValidator(_group)]] = Field(
        {}, description="public model name or glob (`gpt-*`) to backends; the longest literal prefix wins"
    )
    operations: dict[Name, NamedOperation] = Field(
        {}, description="by name: what else of the providers' APIs may pass; all that is named nowhere is a 404"
    )
    policies: dict[Name, Annotated[AnyPolicy, Field(discriminator="kind")]] = Field({}, description="by name")
    sets: dict[Name, list[str]] = Field({}, description="bundles of policies and sets; shipped: recommended, audit-all")
    attach: list[Attachment] | None = Field(
        None, description="absent: every policy of this file applies to all, or `recommended` if there is none"
    )
    overrides: Overrides = Overrides()
    redaction: str = Field("[{type}]", description="what stands in for redacted text where a policy does not say")
    log: Log = Log()

    def targets(self) -> list[Target]:
        """Every description of requests in the file: what Envoy must tell of them."""
        lines = [each.to for each in (*(self.attach or ()), *self.overrides.loosen)]
        return [each for each in lines if isinstance(each, Target)]

    @field_validator("models")
    @classmethod
    def _globs(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name in value:
            if "*" in name[:-1]:
                raise ValueError(f"'{name}': a glob may only end in one '*'")
            if not name or len(name) > 200:
                raise ValueError("a model name has 1 to 200 characters")
        return value

    @field_validator("policies", "sets")
    @classmethod
    def _told_apart(cls, value: dict[str, Any]) -> dict[str, Any]:
        if len({name.lower() for name in value}) < len(value):
            raise ValueError("two names differ only in case, which headers do not heed")
        return value

    @field_validator("operations")
    @classmethod
    def _new_names(cls, value: dict[str, Any]) -> dict[str, Any]:
        if known := sorted(set(Operation).intersection(value)):
            raise ValueError(f"'{known[0]}' is the name of an operation that the gateway knows")
        return value

    @model_validator(mode="after")
    def _known_operations(self) -> Self:
        known = {*Operation, *self.operations}
        for name, policy in self.policies.items():
            for each in policy.named if isinstance(policy, Operations) else ():
                if each not in known:
                    raise ValueError(
                        f"policy '{name}': there is no operation '{each}'; known: {', '.join(sorted(known))}"
                    )
        return self

    @model_validator(mode="after")
    def _providers_complete(self) -> Self:
        for name, provider in self.providers.items():
            kind = provider.type or name
            if kind not in KNOWN and provider.base_url is None:
                raise ValueError(f"provider '{name}' is not one we know by name: it needs a `base_url`")
            if provider.type is None and name not in KNOWN:
                raise ValueError(f"provider '{name}' needs a `type`, for example openai-compatible")
        return self


RESERVED = ("teams", "callers", "store")
"""Top-level names of later versions."""
