"""Every setting of the service in one typed place, read from the environment (`EAR_TEACHER_…`) or from flags.

Passed down to whoever needs it, never imported as a global. Units are in the names.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from common.machine import memory_bytes, usable_cpus
from serve.errors import ConfigurationError

Runtime = Literal["auto", "onnxruntime-cpu", "onnxruntime-cuda", "tensorrt", "tensorrt-rtx"]
Precision = Literal["auto", "fp32", "fp16"]
NeighboursKind = Literal["auto", "exact", "hnsw", "ivf"]
PREFIX = "EAR_TEACHER_"
OTHER_VARIABLES = {"EAR_TEACHER_URL", "EAR_TEACHER_COMMIT"}
"""Read by the client, and by `ear-teacher --version`."""
FROM_KUBERNETES = re.compile(r"EAR_TEACHER_(.*_)?(SERVICE_HOST|SERVICE_PORT.*|PORT_\d+_.*)")
"""What Kubernetes puts into the pods beside a service named ear-teacher."""
MANY_CONNECTIONS = 10_000
KEPT_FILES = 256


def _split(value: Any) -> Any:
    return tuple(filter(None, map(str.strip, value.lower().split(",")))) if isinstance(value, str) else value


def _origin(origins: tuple[str, ...]) -> tuple[str, ...]:
    for origin in origins:
        if origin != "*" and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/\s]+", origin):
            raise ValueError(f"{origin!r} is no origin: give SCHEME://HOST[:PORT], as https://ears.example, or *")
    return origins


def _network(networks: tuple[str, ...]) -> tuple[str, ...]:
    for network in networks:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            raise ValueError(f"{error}: give addresses or networks, as 10.0.0.0/8") from None
    return networks


def _prefix(path: str) -> str:
    path = path.rstrip("/")
    if path and not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", path):
        raise ValueError("give a path that begins with /, as /ears")
    return path


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
"""Comma separated in the environment and in flags."""


def _not_blank(secret: SecretStr) -> SecretStr:
    if not secret.get_secret_value().strip():
        raise ValueError("it is blank: give a secret, or unset the variable")
    return secret


Secret = Annotated[SecretStr, AfterValidator(_not_blank)]


class Settings(BaseSettings):
    """Settings of one service process; each field is `EAR_TEACHER_<NAME>` in the environment."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    bundle: Path = Field(description="folder of the bundle to serve")
    gallery: Path | None = Field(None, description="folder of the gallery; none: embed and reconstruct only")
    database_url: SecretStr | None = Field(
        None, description="PostgreSQL that holds the gallery of several processes: postgresql://user:password@host/name"
    )
    milvus_uri: str | None = Field(
        None, description="Milvus that finds their neighbours; none: each keeps its own in its gallery folder"
    )
    milvus_token: SecretStr | None = Field(None, description="what Milvus asks for: user:password, or an API key")

    host: str = Field("127.0.0.1", description="address to bind to")
    port: int = Field(8350, ge=0, le=65535, description="port to bind to; 0: any free one")
    insecure: bool = Field(False, description="bind beyond loopback without an API key")
    grpc_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="port of the Open Inference Protocol over gRPC (extra grpc); 0: any free one",
    )
    root_path: Annotated[str, AfterValidator(_prefix)] = Field(
        "", description="path prefix under which a proxy shows the service, whether it strips it or not"
    )
    trusted_proxies: Annotated[Names, AfterValidator(_network)] = Field(
        (), description="addresses or networks of proxies whose X-Forwarded-For, -Proto and -Prefix are believed"
    )

    runtime: Runtime = Field("auto", description="what runs the model")
    precision: Precision = Field("auto", description="which of the bundle's variants")
    model_aliases: Names = Field(
        (), description="further names of the active model, for clients that send a fixed one, such as clip-vit-base"
    )
    threads: int = Field(0, ge=0, description="threads of one model run; 0: one per core")
    max_batch: int = Field(16, ge=1, le=1024, description="most pictures in one model run")
    gpu_slots: int = Field(
        2, ge=1, le=8, description="batches on a GPU at once, one computed while others are copied; 1: no overlap"
    )
    longest_batch_ms: float = Field(
        0, ge=0, description="batches that take longer, measured at the start, are not run; 0: no such limit"
    )
    queue_size: int = Field(
        256, ge=1, description="pictures, and calls of the gallery, that may wait; more are answered 429"
    )
    decode_threads: int = Field(
        0, ge=0, description="threads that decode pictures; 0: one per core, which a GPU leaves to them"
    )
    index_threads: int = Field(4, ge=1, description="threads that search and write the gallery")
    neighbours: NeighboursKind = Field("auto", description="how a gallery's neighbours are kept; auto: by its size")
    exact_items: int = Field(50_000, ge=1, description="up to so many ears every vector is compared")
    neighbours_memory_mb: int | None = Field(
        None, ge=1, description="MiB that approximate neighbours may take; none: half of what the process may use"
    )
    recall_target: float = Field(0.97, ge=0.5, lt=1, description="recall@10 that approximate neighbours are tuned to")

    request_timeout_s: float = Field(30.0, gt=0, description="a request that waited longer is answered 429")
    header_timeout_s: float = Field(10.0, gt=0, description="headers that take longer to arrive are answered 408")
    body_timeout_s: float = Field(20.0, gt=0, description="a body that takes longer to arrive is answered 408")
    max_connections: int = Field(
        0, ge=0, description="connections open at once; more are answered 503; 0: as the limit on open files allows"
    )
    stalled_after_s: float = Field(30.0, gt=0, description="a model run that takes longer makes the service not ready")
    probe_s: float = Field(30.0, gt=0, description="how often a golden crop proves the model at work")
    drain_s: float = Field(15.0, ge=0, description="on SIGTERM, running requests get this long")

    max_body_bytes: int = Field(32 << 20, ge=1, description="largest request body")
    max_image_bytes: int = Field(20 << 20, ge=1, description="largest picture file")
    max_pixels: int = Field(51_000_000, ge=1, description="largest picture; a phone's 50 megapixels are 8160x6144")
    max_request_pixels: int = Field(
        800_000_000, ge=1, description="of the larger pictures of one request together; more are answered 413"
    )
    memory_mb: int | None = Field(
        None,
        ge=128,
        description="MiB that the process may take, a quarter for pictures; none: the container's limit",
    )
    max_inputs: int = Field(64, ge=1, description="most pictures in one request")

    url_hosts: Names = Field(
        (), description="hosts (or host:port) that pictures are fetched from by URL; none: no URLs"
    )
    url_private: bool = Field(False, description="allowed hosts may have private addresses")
    url_timeout_s: float = Field(10.0, gt=0, description="longest that fetching a URL may take")

    promotion_share: float = Field(
        0.5, gt=0, le=1, description="of the time, for embedding the gallery anew, and for imports"
    )
    promotion_max_rank1_drop: float = Field(0.02, ge=0, le=1, description="more is not activated unless forced")
    promotion_max_eer_rise: float = Field(0.02, ge=0, le=1, description="more is not activated unless forced")
    promotion_min_overlap10: float = Field(
        0.3, ge=0, le=1, description="less is not activated; of unlabelled galleries"
    )

    log_format: Literal["text", "json"] = Field("text", description="style of the log on stderr")
    log_requests: bool = Field(True, description="one log line per request")
    otlp_endpoint: str | None = Field(None, description="OTLP/HTTP address for traces; needs ear-teacher[otel]")

    api_key: Secret | None = Field(None, description="one API key that may do everything")
    api_key_file: Path | None = Field(None, description="file of hashed API keys with scopes (ear-teacher keys)")
    rate_limit: str | None = Field(None, description="most pictures of one key (or address), such as 600/minute")
    allowed_hosts: Names = Field((), description="names in Host headers that are answered; none: see docs/security.md")
    cors_origins: Annotated[Names, AfterValidator(_origin)] = Field(
        (), description="origins of other web pages that may call this service, as https://ears.example; *: any"
    )
    tls_cert: Path | None = Field(None, description="PEM file: serve https")
    tls_key: Path | None = Field(None, description="PEM file of the certificate's private key")
    audit: bool = Field(True, description="keep an audit log")
    audit_log: Path | None = Field(
        None, description="file of the audit log; none: in the gallery's folder, of a shared gallery the log on stderr"
    )
    audit_key: Secret | None = Field(
        None, description="secret of the aliases in it, one for all processes of a shared gallery; none: the folder's"
    )

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        try:
            return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def has_gallery(self) -> bool:
        """Whether ears can be enrolled and found."""
        return self.gallery is not None or self.database_url is not None

    @property
    def own_gallery(self) -> Path | None:
        """The folder of a gallery that this process has to itself; None where it is shared, or there is none."""
        return self.gallery if self.database_url is None else None

    @property
    def has_keys(self) -> bool:
        """Whether callers must show an API key."""
        return self.api_key is not None or self.api_key_file is not None

    @property
    def decode_workers(self) -> int:
        """Threads of the decode pool."""
        return self.decode_threads or usable_cpus()

    @property
    def memory_bytes(self) -> int:
        """What this process may take of the memory."""
        return memory_bytes() if self.memory_mb is None else self.memory_mb << 20

    @property
    def connections(self) -> int:
        """Most connections at once: some files are kept back for the gallery, the log and pictures."""
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        room = MANY_CONNECTIONS if files == resource.RLIM_INFINITY else max(files // 2, files - KEPT_FILES)
        return self.max_connections or min(room, MANY_CONNECTIONS)

    def check_exposure(self) -> None:
        """Refuse to be reachable from other machines without an API key: ears are biometric data."""
        if self.is_loopback or self.has_keys or self.insecure:
            return
        raise ConfigurationError(
            f"--host {self.host} can be reached from other machines and no API key is set: set EAR_TEACHER_API_KEY "
            "(or --api-key-file), bind to 127.0.0.1, or say --insecure"
        )


def read_settings(given: Mapping[str, Any]) -> Settings:
    """Settings from flags, then the environment, then the defaults. Raises ConfigurationError naming the setting."""
    _check_names(os.environ)
    try:
        return Settings(**given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0]) if first["loc"] else "settings"
        flag = f"--{name.replace('_', '-')} (EAR_TEACHER_{name.upper()})"
        if first["type"] == "missing":
            raise ConfigurationError(f"{flag} is required: {Settings.model_fields[name].description}") from None
        raise ConfigurationError(
            f"{flag} is {first['input']!r:.80}: {first['msg'].removeprefix('Value error, ')}"
        ) from None


def _check_names(environment: Mapping[str, str]) -> None:
    """Refuse variables that look like settings and are none: a misspelt one would be dropped in silence."""
    variables = {PREFIX + name.upper() for name in Settings.model_fields} | OTHER_VARIABLES
    for name in map(str.upper, environment):
        if name.startswith(PREFIX) and name not in variables and not FROM_KUBERNETES.fullmatch(name):
            near = difflib.get_close_matches(name, variables, n=1)
            hint = f"; is {near[0]} meant?" if near else "; docs/operations.md lists the settings"
            raise ConfigurationError(f"the environment has {name}, which is no setting{hint}")


def settings_table() -> str:
    """Every setting as a row of a Markdown table: name, default, what it means."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = "required" if field.is_required() else str(field.default)
        shown = {"None": "", "()": ""}.get(default, default)
        rows.append(f"| `{name.upper()}` | {shown} | {field.description} |\n")
    return "".join(rows)
