"""What the configuration says of serving: nothing by default, loopback by default, others on purpose."""

from __future__ import annotations

import sys

import pytest

from autoscaler import config
from autoscaler.config import WebSettings
from autoscaler.errors import ConfigError
from autoscaler.web.server import begin
from tests.worlds import small
from tests.worlds.served import Loop


def load(folder, web):
    """The section of a file that has it at its end."""
    path = folder / "loadline.yaml"
    path.write_text(small.CONFIGURATION + web)
    return config.load(str(path)).web


def test_nothing_is_served_that_was_not_asked_for(tmp_path):
    """Without the section there is no server; an empty one is loopback."""
    assert load(tmp_path, "") is None
    assert load(tmp_path, "web: {}\n") == WebSettings(host="127.0.0.1", port=8080, public=False)


@pytest.mark.parametrize(
    ("listen", "host", "port"),
    [
        ("127.0.0.1:9000", "127.0.0.1", 9000),
        ("127.8.8.8:1", "127.8.8.8", 1),
        ("localhost:65535", "127.0.0.1", 65535),
        ("'[::1]:8080'", "::1", 8080),
    ],
)
def test_an_address_is_a_host_and_a_port(tmp_path, listen, host, port):
    """IPv4, IPv6 in brackets, or localhost."""
    assert load(tmp_path, f"web: {{listen: {listen}}}\n") == WebSettings(host=host, port=port)


@pytest.mark.parametrize(
    "listen", ["0.0.0.0:8080", "10.0.0.1:80", "'[::]:8080'", "'[2001:db8::1]:80'", "'[::ffff:10.0.0.1]:80'"]
)
def test_an_address_that_others_reach_needs_a_word(tmp_path, listen):
    """It is refused with its line and the mend, and taken with public: true."""
    with pytest.raises(ConfigError, match=r"loadline.yaml:\d+: web: listen: .*public: true"):
        load(tmp_path, f"web: {{listen: {listen}}}\n")
    assert load(tmp_path, f"web: {{listen: {listen}, public: true}}\n").public


@pytest.mark.parametrize(
    "listen",
    [
        "8080",
        "':8080'",
        "127.0.0.1",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "example.org:80",
        "1.2.3:80",
        "'::1:80'",
        "'[127.0.0.1]:80'",
        "http://127.0.0.1:80",
        "'127.0.0.1:80 '",
        "[127.0.0.1]",
        "127.0.0.1:٣",
    ],
)
def test_what_is_no_address_is_refused(tmp_path, listen):
    """With the line and how to write it; a name is none, since what it leads to may change."""
    with pytest.raises(ConfigError, match=r"loadline.yaml:\d+: web.listen: .*127.0.0.1:8080"):
        load(tmp_path, f"web:\n  listen: {listen}\n")


def test_the_keys_are_explained():
    """The page of `public` says what is told to whom."""
    assert "everyone" in config.explain("web.public")
    assert "127.0.0.1:8080" in config.explain("web.listen")


def test_a_missing_package_is_named_with_the_mend(monkeypatch):
    """The extra is not installed: the error says how to install it."""
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(ConfigError, match=r"loadline.yaml: web: needs the package uvicorn.*loadline\[web\]"):
        begin(WebSettings(), None, Loop(), file="loadline.yaml")
