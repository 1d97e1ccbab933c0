"""`loadline doctor --bundle`: what helps is in it, and no secret ever."""

from __future__ import annotations

import base64
import json
import stat
import tarfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler import cli
from autoscaler.connections import AwsAccount, AwsProvider, KubernetesProvider, PrometheusSource
from autoscaler.errors import Unreachable
from autoscaler.examining import bundle, hiding
from autoscaler.examining.report import Look, Report
from autoscaler.ports import Check
from autoscaler.providers.fake import FakeCloud
from tests.prometheus_api import Reply, serving
from tests.worlds import small

PASSWORD, TOKEN, HEADER, ENV, PROXY, EXTERNAL, KUBE, KEY, OVERRIDE = (
    f"canary-{name}-{number}x/+=" for number, name in enumerate(
        ("password", "token", "header", "environment", "proxy", "external", "kube", "key", "override"), 41)
)  # fmt: skip
CANARIES = (PASSWORD, TOKEN, HEADER, ENV, PROXY, EXTERNAL, KUBE, KEY, OVERRIDE)

CONFIGURATION = """\
metrics:
  - kind: prometheus
    url: "%s"
    queries: {web: sum(rps), api: sum(jobs)}
    username: ann
    password_file: password.txt
    headers: {X-Api-Key: "%s"}
  - kind: prometheus
    url: "%s"
    queries: {other: sum(rps)}
    token_file: token.txt
providers:
  fake: {path: ./cloud.db, lead_time: 5m}
  kubernetes:
    shop: {kubeconfig: kube.yaml}
defaults: {model: seasonal_naive}
pools:
  web:
    provider: fake
    minimum: 2
    maximum: 60
    demands: [{series: web, unit_capacity: 10}]
"""


def texts(path):
    """Each file of the bundle with its text."""
    with tarfile.open(path) as archive:
        return {one.name: archive.extractfile(one).read().decode() for one in archive.getmembers()}


def every_form(secret):
    """The ways in which a text may have a secret."""
    yield secret
    yield base64.b64encode(secret.encode()).decode().rstrip("=")
    yield json.dumps(secret)[1:-1]


@pytest.fixture
def shell(tmp_path, monkeypatch, capsys):
    """The command line in a folder of its own."""
    for name in ("LOADLINE_CONFIG", "LOADLINE_FREEZE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return small.Shell(tmp_path, capsys)


def _secretive(request):
    """A server that says back what it was sent, as a careless proxy does."""
    return Reply(("<html>no: " + request + " ".join(CANARIES) + "</html>").encode(), status=401)


def _saying_all(_self):
    """A provider whose error tells every secret in several forms."""
    raise Unreachable(" ".join(form for secret in CANARIES for form in every_form(secret)))


def test_f77_no_secret_of_files_environment_headers_or_urls_is_in_it(shell, monkeypatch):
    """Canaries in every place that may hold a secret, and errors that tell them all: none comes out."""
    monkeypatch.setenv("SHOP_API_TOKEN", ENV)
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:{PROXY}@proxy.example:3128")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEY)
    monkeypatch.setenv("LOADLINE__metrics__1__headers__X-Other", OVERRIDE)
    (shell.folder / "cloud.db").touch()
    monkeypatch.setattr(FakeCloud, "list", _saying_all)
    (shell.folder / "password.txt").write_text(PASSWORD + "\n")
    (shell.folder / "token.txt").write_text(TOKEN)
    (shell.folder / "kube.yaml").write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
        "contexts: [{name: c, context: {cluster: k, user: u}}]\n"
        "clusters: [{name: k, cluster: {server: 'https://127.0.0.1:9'}}]\n"
        f"users:\n- name: u\n  user:\n    token: {KUBE}\n"
    )
    with serving(lambda path, fields, _count: _secretive(path + str(fields))) as server:
        text = CONFIGURATION % (server.url, HEADER, server.url)
        (shell.folder / "loadline.yaml").write_text(text)
        said = shell("doctor --bundle b.tar.gz")
        as_json = shell("doctor -o json")
    everything = {**texts("b.tar.gz"), "text": said.out + said.err, "json": as_json.out + as_json.err}
    assert said.code in {1, 5, 77}, everything["text"]
    assert hiding.HIDDEN in everything["text"]
    leaks = [
        (name, secret)
        for name, text in everything.items()
        for secret in CANARIES
        if secret is not EXTERNAL  # no provider here has one: see below
        for form in every_form(secret)
        if form in text
    ]
    assert leaks == []
    assert "password.txt" in everything["loadline-bundle/configuration.json"]


def test_the_bundle_has_what_helps(shell):
    """Doctor's JSON, the configuration, versions and the last plans; for its owner alone to read."""
    small.write(shell.folder)
    assert cli.run(["plan"]) == 0
    answer = shell("doctor --bundle b.tar.gz")
    assert answer.code == 0
    assert "Written: b.tar.gz" in answer.out
    files = {
        name.removeprefix("loadline-bundle/"): json.loads(text) for name, text in texts("b.tar.gz").items()
    }
    assert set(files) == {"doctor.json", "configuration.json", "versions.json", "plans/1.json"}
    assert files["doctor.json"]["exit_code"] == 0
    assert files["configuration.json"]["pools"]["web"]["maximum"] == 60
    assert files["plans/1.json"]["actions"]
    assert {"python", "numpy", "sqlite"} <= set(files["versions.json"])
    assert stat.S_IMODE(Path("b.tar.gz").stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["b.tar.gz", "no/b.tar.gz"])
def test_a_bundle_overwrites_nothing(shell, name):
    """A file that is there, or a folder that is not, is a usage error, and nothing is written."""
    small.write(shell.folder)
    (shell.folder / "b.tar.gz").write_text("mine")
    assert shell(f"doctor --bundle {name}").code == 64
    assert (shell.folder / "b.tar.gz").read_text() == "mine"


def test_f77_a_bundle_of_a_bad_configuration_says_why_and_no_more(shell):
    """There is a bundle even so: for that one asks for help."""
    (shell.folder / "loadline.yaml").write_text("pools: 7\n")
    assert shell("doctor --bundle b.tar.gz").code == 64
    assert {name.rpartition("/")[2] for name in texts("b.tar.gz")} == {"doctor.json", "versions.json"}


def test_f77_the_settings_of_every_kind_hide_what_is_secret(tmp_path):
    """External ids, tenants and headers are left out by name; paths of secret files stay."""
    source = PrometheusSource(
        name="m", url="http://h/?token=abcdefgh", queries={"a": "b"}, tenant="acme-tenant",
        headers={"Authorization": f"Bearer {HEADER}"}, token_file=str(tmp_path / "absent"),
    )  # fmt: skip
    account = AwsAccount(region="eu-central-1", external_id=EXTERNAL)
    key = tmp_path / "google.json"
    key.write_text(json.dumps({"type": "x", "private_key": f"-----BEGIN PRIVATE KEY-----\n{KEY}\n-----END"}))
    settings = SimpleNamespace(credentials_file=str(key))
    value = {
        "metrics": [source], "credentials_file": settings.credentials_file,
        "providers": [AwsProvider(name="a", account=account), KubernetesProvider(name="k")],
    }  # fmt: skip
    secrets = hiding.secrets_of(value, {})
    shown = json.dumps(secrets.hide_all(hiding.described(value)))
    for secret in (HEADER, EXTERNAL, "acme-tenant", "abcdefgh"):
        assert secret not in shown
    assert str(tmp_path / "absent") in shown
    assert KEY not in secrets.hide(f"refused: {KEY}")
    assert EXTERNAL not in secrets.hide(f"AssumeRole with {EXTERNAL}")


@given(st.text(min_size=hiding.SHORTEST, max_size=40).filter(lambda text: len(text.strip()) >= 5), st.text())
def test_f77_a_known_secret_is_hidden_wherever_it_stands(secret, around):
    """Whatever the secret and the text around it, as it is, in JSON or base64: it does not come out."""
    secret = secret.strip()
    secrets = hiding.Secrets([secret])
    if secret in hiding.HIDDEN or secret in around:
        return
    for form in every_form(secret):
        told = secrets.hide(f"{around}|{form}|{around}")
        assert f"|{form}|" not in told


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer s3cr3tvalue",
        "basic dXNlcjpzM2NyM3R2YWx1ZQ==", "http://u:s3cr3tvalue@host/x",
        "https://h/x?a=1&access_token=s3cr3tvalue", "key AKIAABCDEFGHIJKLMNOP",
        "eyJhbGci.eyJzdWIi.s3cr3tvalue",
        "-----BEGIN RSA PRIVATE KEY-----\ns3cr3tvalue\n", "password=s3cr3tvalue",
        '{"password": "s3cr3tvalue"}',
    ],
)  # fmt: skip
def test_f77_what_looks_like_a_secret_is_hidden_though_nobody_knows_it(text):
    """Headers, addresses, cloud keys, tokens and private keys are recognized by their looks."""
    told = hiding.Secrets([]).hide(text)
    for secret in ("s3cr3tvalue", "dXNlcjpzM2NyM3R2YWx1ZQ", "AKIAABCDEFGHIJKLMNOP"):
        assert secret not in told


def test_names_and_figures_stay(shell):
    """What is no secret is not hidden: a bundle must help."""
    secrets = hiding.secrets_of(None, {"TOKEN": "x", "LANG": "C.UTF-8", "PASSWORD": ""})
    report = Report(
        at=small.END, looks=(Look(subject="pools", check=Check(what="web", ok=True, why="4 units")),)
    )
    files = bundle.documents(report, None, [], secrets)
    assert files["doctor.json"] == report.document()
    assert replace(report, looks=()).document()["subjects"] == []
