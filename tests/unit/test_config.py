"""Settings: from the command line, else the environment, else the default; wrong ones are named."""

from pathlib import Path

import pytest

from forebay.config import Config, check_config, load_config
from forebay.core.errors import ConfigError


def test_defaults_are_for_loopback():
    config = load_config({}, {})
    assert config == Config()
    assert (config.host, config.port, config.data, config.local) == ("127.0.0.1", 4566, Path(".forebay"), True)


def test_environment_gives_what_the_command_line_does_not():
    environment = {"FOREBAY_PORT": "5000", "FOREBAY_REGION": "eu-west-1", "FOREBAY_DATA": "/data", "PORT": "1"}
    config = load_config({"port": 6000, "region": None}, environment)
    assert (config.port, config.region, config.data) == (6000, "eu-west-1", Path("/data"))


@pytest.mark.parametrize(("text", "value"), [("true", True), ("false", False), ("1", True), ("0", False)])
def test_environment_spells_booleans(text, value):
    assert load_config({}, {"FOREBAY_LOCAL": text}).local is value


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({"FOREBAY_PORT": "70000"}, "port"),
        ({"FOREBAY_PORT": "many"}, "port"),
        ({"FOREBAY_BODY_BYTES_MAX": "1"}, "body_bytes_max"),
        ({"FOREBAY_SHUTDOWN_SECONDS": "-1"}, "shutdown_seconds"),
        ({"FOREBAY_RUNTIME_MATCH": "close"}, "runtime_match"),
        ({"FOREBAY_LOG_LEVEL": "loud"}, "log_level"),
        ({"FOREBAY_FUNCTION_INSTANCES_MAX": "0"}, "function_instances_max"),
        ({"FOREBAY_LOCAL": "perhaps"}, "local"),
    ],
)
def test_setting_that_does_not_fit_is_named(environment, name):
    with pytest.raises(ConfigError, match=rf"\$\.{name}"):
        load_config({}, environment)


@pytest.mark.parametrize("host", ["0.0.0.0", "10.1.2.3", "::", "example.org", ""])
def test_any_other_address_needs_credentials(host):
    with pytest.raises(ConfigError, match="needs credentials"):
        load_config({"host": host}, {})


def test_other_address_with_credentials_is_not_local_even_when_asked():
    config = load_config({"host": "0.0.0.0", "credentials": Path("keys"), "local": True}, {})
    assert not config.local


def test_credentials_on_loopback_end_local_mode_unless_it_is_set():
    assert not load_config({"credentials": Path("keys")}, {}).local
    assert not load_config({}, {"FOREBAY_CREDENTIALS": "keys"}).local
    assert load_config({"credentials": Path("keys"), "local": True}, {}).local
    assert load_config({"credentials": Path("keys")}, {"FOREBAY_LOCAL": "true"}).local


@pytest.mark.parametrize("given", [{"tls_certificate": Path("c")}, {"tls_key": Path("k")}])
def test_tls_needs_both_files(given):
    with pytest.raises(ConfigError, match="both a certificate and its key"):
        check_config(Config(**given))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_loopback_needs_nothing(host):
    assert check_config(Config(host=host)).local
