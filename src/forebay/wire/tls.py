"""TLS for the HTTP port: the context that a certificate and its key make."""

import ssl
from pathlib import Path

from forebay.core.errors import ConfigError


def load_tls(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return a server's context (TLS 1.2 or later) from PEM files; raises `ConfigError` if they do not serve."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"cannot serve TLS with {certificate} and {key}: {error}") from error
    return context
