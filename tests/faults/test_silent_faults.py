"""Nobody who has to be asked before the real call is waited for without an end: F19 for credentials."""

from __future__ import annotations

import json
import threading

import pytest
from google.oauth2.credentials import Credentials

from autoscaler import aws, google_cloud
from autoscaler.connections import AwsAccount, AwsProvider, GoogleMonitoringSource, GoogleProvider
from autoscaler.errors import Denied, Unreachable
from autoscaler.metrics import google_monitoring
from autoscaler.providers.aws.asking import Asking
from autoscaler.providers.google import api
from autoscaler.transport import Family, within
from tests.silent import silent
from tests.worlds.aws import REGION, Aws, server

READ = "autoscaling:DescribePolicies"
ROLE = "arn:aws:iam::111122223333:role/loadline"
TINY_S = 0.3
PERSON = {"refresh_token": "r", "client_id": "i", "client_secret": "s"}
POOL = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/o"
HANGS = '#!/bin/sh\nsleep 60 &\necho $! > "$(dirname "$0")/child"\nwait\n'


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A machine that has no credentials of AWS or Google at all, and asks nobody by itself."""
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setattr("time.sleep", lambda _seconds: None)  # between tries
    monkeypatch.setattr(aws, "READ_S", TINY_S)
    monkeypatch.setattr(aws, "CREDENTIALS_S", TINY_S)
    return tmp_path


def asked(**account):
    """A read, with whatever credentials there are."""
    return Asking(AwsProvider(name="aws", account=AwsAccount(region=REGION, **account))).read(READ)


def program(home, script):
    """A credential_process in the profiles `shop` and, as its source, `assumed`."""
    file = home / "get-keys"
    file.write_text(script)
    file.chmod(0o700)
    (home / "config").write_text(
        f"[profile shop]\ncredential_process = {file} --secret hush\n"
        f"[profile assumed]\nrole_arn = {ROLE}\nsource_profile = shop\n"
    )
    return file


def test_f19_a_role_whose_sts_is_silent_is_given_up(home):
    """The call that assumes a role has the deadline of a read, and is tried twice at most."""
    with silent() as sts, pytest.raises(Unreachable, match=READ):
        asked(endpoint_url=sts.url, role_arn=ROLE)
    assert len(sts.ended) <= aws.CREDENTIAL_ATTEMPTS


def test_f19_a_pods_own_role_whose_sts_is_silent_is_given_up(home, monkeypatch):
    """So has the one that botocore makes by itself for a web identity, which would wait for minutes."""
    (home / "token").write_text("a.b.c")
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(home / "token"))
    with silent() as sts:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
        with pytest.raises(Unreachable, match=READ):
            asked()
    assert len(sts.ended) <= aws.CREDENTIAL_ATTEMPTS


def test_f19_a_service_that_is_silent_is_given_up(home):
    """Each read has its deadline, and is tried a few times."""
    with silent() as service, pytest.raises(Unreachable, match=READ):
        asked(endpoint_url=service.url)
    assert len(service.ended) == aws.ATTEMPTS


@pytest.mark.parametrize("profile", ["shop", "assumed"])
def test_f19_a_credential_process_that_hangs_is_ended(home, profile):
    """A profile's program, also that of a source profile, is ended at its deadline; both are named."""
    file = program(home, HANGS)
    with pytest.raises(Unreachable, match=rf"profile shop: credential_process {file} did not answer") as told:
        asked(profile=profile)
    assert "hush" not in str(told.value)


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("#!/bin/sh\necho 'log in' >&2\nexit 1\n", "log in"),
        ("#!/bin/sh\necho hello\n", "answered no credentials"),
        ("no program", "cannot be run"),
    ],
)
def test_f49_a_credential_process_that_fails_is_denied(home, script, told, monkeypatch):
    """Whatever it does wrong is an error of ours, with what it said."""
    monkeypatch.setattr(aws, "CREDENTIALS_S", 10.0)
    program(home, script)
    with pytest.raises(Denied, match=told):
        asked(profile="shop")


def test_a_credential_process_gives_the_keys(home, monkeypatch):
    """Its keys sign the calls."""
    monkeypatch.setattr(aws, "CREDENTIALS_S", 10.0)
    keys = {"Version": 1, "AccessKeyId": "of-a-program", "SecretAccessKey": "s"}
    program(home, f"#!/bin/sh\necho '{json.dumps(keys)}'\n")
    made = aws.client(AwsAccount(region=REGION, profile="shop"), "autoscaling")
    assert made._request_signer._credentials.access_key == "of-a-program"


def test_f40_a_change_whose_credentials_took_too_long_is_not_sent(monkeypatch):
    """What was given up while it was signed never leaves; other changes do."""
    held, over = threading.Event(), threading.Event()
    with server() as address:
        world = Aws(address, monkeypatch)
        world.group()
        asking = world.provider()._account.asking

        def change(size):
            try:
                asking.change(
                    "autoscaling:SetDesiredCapacity", AutoScalingGroupName="web", DesiredCapacity=size
                )
            finally:
                over.set()

        change(5)
        over.clear()
        slow = asking._clients["change", "autoscaling"]
        slow.meta.events.register("before-sign", lambda **_: held.wait(5) and None)
        with pytest.raises(Unreachable, match="changing"):
            within(lambda: change(6), Family(name="changing", rate=1.0, burst=1, deadline_s=0.1))
        held.set()
        assert over.wait(5)
        assert world.described()[0]["DesiredCapacity"] == 5


def compute(monkeypatch, **settings):
    """Compute Engine by what credentials there are, and with a tiny deadline."""
    monkeypatch.setattr(api, "CALL_S", TINY_S)
    return api.Compute(GoogleProvider(name="gcp", project="shop", **settings))


def test_f19_compute_engine_that_is_silent_is_given_up(monkeypatch):
    """Each read has its deadline."""
    with silent() as service, pytest.raises(Unreachable, match=r"compute\.zones\.list"):
        list(compute(monkeypatch, endpoint_url=service.url).zones())


def test_f19_a_token_of_google_that_does_not_come_is_given_up(monkeypatch):
    """The call for a token has the deadline of the call that needs it."""
    with silent() as tokens:
        person = Credentials(None, token_uri=tokens.url, **PERSON)
        monkeypatch.setattr(google_cloud, "credentials", lambda *_, **__: person)
        with pytest.raises(Unreachable, match=r"compute\.zones\.list"):
            list(compute(monkeypatch).zones())


def test_f19_a_project_that_nobody_asks_for_is_not_waited_for(home, monkeypatch):
    """An account from outside looks its project up while it is read: within the deadline of a call."""
    monkeypatch.setattr(google_cloud, "CALL_S", TINY_S)
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT", raising=False)
    (home / "subject").write_text("s")
    with silent() as tokens:
        told = {
            "type": "external_account",
            "audience": POOL,
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": tokens.url,
            "credential_source": {"file": str(home / "subject")},
        }
        (home / "outside.json").write_text(json.dumps(told))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(home / "outside.json"))
        with pytest.raises(Unreachable, match="credentials"):
            google_cloud.client("ZonesClient")


def test_f19_gcloud_is_not_run(home, monkeypatch):
    """A person's own credentials are read from gcloud's file; gcloud, which may hang, is not asked."""
    (home / "gcloud").write_text(HANGS)
    (home / "gcloud").chmod(0o700)
    monkeypatch.setenv("PATH", str(home), prepend=":")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(home))
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    file = home / "application_default_credentials.json"
    file.write_text(json.dumps({"type": "authorized_user", **PERSON}))
    assert google_cloud.client("ZonesClient").transport._session.credentials.refresh_token == "r"
    source = GoogleMonitoringSource(name="shop", project="shop", queries={})
    assert google_monitoring.connected(source).transport.kind == "grpc"
    assert not (home / "child").exists()
    file.write_text(json.dumps({"type": "authorized_user"}))
    with pytest.raises(Denied, match="application_default_credentials"):
        google_cloud.client("ZonesClient")
