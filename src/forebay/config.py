"""Every setting of a node: its default, unit and meaning. Read once at the start, validated, then frozen.

A setting comes from the command line, else from the environment (`FOREBAY_` and its name in capitals), else it has
the default. `docs/reference/configuration.md` is generated from this file.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from forebay.core.errors import ConfigError

_PREFIX = "FOREBAY_"

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def _setting(text: str, **bounds: Any) -> Any:
    return Meta(description=text, **bounds)


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one node."""

    host: Annotated[str, _setting("Address to listen on. Any but loopback needs credentials.")] = "127.0.0.1"
    port: Annotated[int, _setting("TCP port of every API; 0 takes a free one.", ge=0, le=65535)] = 4566
    data: Annotated[Path, _setting("Folder of the embedded store, function code and objects.")] = Path(".forebay")
    store: Annotated[
        str | None,
        _setting(
            "URL of the store; without it, SQLite in the data folder. Several PostgreSQL URLs, with commas between "
            "them, spread it over as many databases."
        ),
    ] = None
    store_wait_seconds: Annotated[
        float, _setting("How long a request waits for a PostgreSQL that is away, before it is answered 503.", ge=0)
    ] = 10.0
    region: Annotated[str, _setting("Region of requests that name none.")] = "us-east-1"
    account: Annotated[
        str, _setting("Account of access keys that name none (a key of twelve digits names its account).")
    ] = "000000000000"
    credentials: Annotated[
        Path | None,
        _setting("File with one `access-key secret-key account` a line. With it, every request must be signed by one."),
    ] = None
    tls_certificate: Annotated[Path | None, _setting("PEM certificate chain; with it, the port speaks TLS.")] = None
    tls_key: Annotated[Path | None, _setting("PEM private key of the certificate.")] = None
    public_url: Annotated[
        str | None, _setting("Base of the URLs the node hands out; without it, the request's own Host header.")
    ] = None
    body_bytes_max: Annotated[int, _setting("Largest request body, in bytes.", ge=1024)] = 256 * 1024 * 1024
    connections_max: Annotated[int, _setting("Most open connections.", ge=1)] = 10_000
    shutdown_seconds: Annotated[float, _setting("How long requests and workers may finish on stop.", ge=0)] = 5.0
    trace_seconds: Annotated[
        float, _setting("How long the path of each event is kept for `forebay events trace`; 0 keeps none.", ge=0)
    ] = 24 * 3600.0
    local: Annotated[
        bool,
        _setting(
            "Local mode: opens `/_forebay/reset`, `clock`, `trace` and the views of the command line. Only on "
            "loopback; with credentials it is off unless it is set."
        ),
    ] = True
    runtime_match: Annotated[
        Literal["nearest", "exact"],
        _setting("Whether functions may run on the nearest interpreter when the host lacks the version asked for."),
    ] = "nearest"
    function_instances_max: Annotated[int, _setting("Most function instances at once.", ge=1)] = 64
    function_memory_mb_max: Annotated[
        int | None, _setting("Memory for all function instances, in MB; without it, three quarters of the machine's.")
    ] = None
    function_idle_seconds: Annotated[float, _setting("How long an idle function instance stays warm.", ge=1)] = 300.0
    dynamodb_throttling: Annotated[
        bool, _setting("Whether tables refuse what is above their provisioned, most or warm throughput.")
    ] = False
    sqs_fifo_limits: Annotated[
        bool, _setting("Whether FIFO queues refuse what is above AWS's call rates (300 a second for each action).")
    ] = False
    secrets_key: Annotated[
        Path | None,
        _setting(
            "File of the key that secrets in the store are encrypted with; without it, `secrets.key` in the data "
            "folder. It is made when first needed; nodes that share a store need the same."
        ),
    ] = None
    external_scaler_port: Annotated[
        int | None,
        _setting("TCP port of KEDA's external scaler (gRPC); 0 takes a free one. Without it, there is none."),
    ] = None
    smtp: Annotated[
        str | None,
        _setting(
            "Mail server for topics' subscriptions of mail addresses: `smtp://`, `smtps://` or `smtp+tls://`, with "
            "`user:password@` where it wants that. Without it, mails go to the local outbox only."
        ),
    ] = None
    mail_sender: Annotated[str, _setting("Address that topics' mails are from.")] = "no-reply@sns.forebay"
    pods_max: Annotated[
        int, _setting("Most pods that run as processes at once; 0: sixteen for each processor.", ge=0)
    ] = 0
    pod_images: Annotated[
        Path | None, _setting("File that maps images of pods to commands of this machine (YAML).")
    ] = None
    hpa_sync_seconds: Annotated[float, _setting("How often a HorizontalPodAutoscaler looks at its metrics.", gt=0)] = (
        15.0
    )
    hpa_downscale_stabilization_seconds: Annotated[
        int, _setting("How long a HorizontalPodAutoscaler without its own window waits before it scales down.", ge=0)
    ] = 300
    events_rules_max: Annotated[
        int, _setting("Most rules on an event bus. AWS's own quota, which it raises on request, is 300.", ge=1)
    ] = 100_000
    log_level: Annotated[Literal["debug", "info", "warning", "error"], _setting("Least level that is logged.")] = "info"
    log_format: Annotated[Literal["text", "json"], _setting("Form of log lines on standard error.")] = "text"


def load_config(given: Mapping[str, object], environment: Mapping[str, str]) -> Config:
    """Make the configuration from what the command line gave (None: not given) and the environment.

    Raises:
        ConfigError: a value is out of its range or of the wrong type; the text names the setting.
    """
    values: dict[str, object] = {}
    for field in msgspec.structs.fields(Config):
        value = given.get(field.name)
        if value is None:
            value = environment.get(_PREFIX + field.name.upper())
        if value is not None:
            values[field.name] = str(value) if isinstance(value, Path) else value
    if values.get("credentials") is not None:
        # Who gives out keys may stand behind a proxy of the same machine, so loopback alone is no reason to trust.
        values.setdefault("local", False)
    try:
        config = msgspec.convert(values, Config, strict=False, dec_hook=_decode_path)
    except msgspec.ValidationError as error:
        raise ConfigError(f"A setting does not fit: {error}") from None
    return check_config(config)


def check_config(config: Config) -> Config:
    """Return the configuration if its settings go together.

    Raises:
        ConfigError: they do not; the text says which and what to do.
    """
    if (config.tls_certificate is None) != (config.tls_key is None):
        raise ConfigError("TLS needs both a certificate and its key: set tls-certificate and tls-key.")
    if config.external_scaler_port is not None and not 0 <= config.external_scaler_port <= 65535:
        raise ConfigError("The external scaler's port (external-scaler-port) must be between 0 and 65535.")
    if config.smtp is not None and config.smtp.partition("://")[0] not in {"smtp", "smtps", "smtp+tls"}:
        raise ConfigError("The mail server (smtp) is none of smtp://..., smtps://... and smtp+tls://....")
    if config.host not in _LOOPBACK:
        if config.credentials is None:
            raise ConfigError(
                f"Listening on {config.host} opens this node to the network, so it needs credentials: "
                "give --credentials FILE with a line `access-key secret-key account`, or listen on 127.0.0.1."
            )
        return msgspec.structs.replace(config, local=False)
    return config


def _decode_path(expected: type, value: object) -> object:
    if expected is Path:
        return Path(str(value))
    raise NotImplementedError(expected)
