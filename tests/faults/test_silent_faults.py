"""Nobody who has to be asked before the real call is waited for without an end: F19 for credentials."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from google.auth.credentials import AnonymousCredentials
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


def answering(**changes):
    """The script of a credential_process that answers, but for those changes; None takes a key out."""
    keys = {"Version": 1, "AccessKeyId": "a", "SecretAccessKey": "hush", "SessionToken": "c"} | changes
    told = json.dumps({name: value for name, value in keys.items() if value is not None})
    return f"#!/bin/sh\necho '{told}'\n"


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("#!/bin/sh\necho 'log in' >&2\nexit 1\n", "failed with status 1: log in; run it"),
        (
            "#!/bin/sh\nprintf 'f\\374r wen' >&2\nexit 2\n",
            "failed with status 2: f\N{REPLACEMENT CHARACTER}r wen;",
        ),
        ("#!/bin/sh\nexit 3\n", "failed with status 3: it said nothing"),
        ("#!/bin/sh\nfor i in $(seq 500); do echo 'a line' >&2; done\nexit 1\n", "1: a line a line"),
        ("#!/bin/sh\necho hush\n", "answered no credentials"),
        ("#!/bin/sh\nprintf '\\377\\376'\n", "answered no credentials"),
        ("#!/bin/sh\necho '[]'\n", "answered no credentials"),
        ("no program", "cannot be run"),
        (answering(Version=2), "answered in another Version than 1"),
        (answering(AccessKeyId=None), "answered no AccessKeyId"),
        (answering(SecretAccessKey=7), "answered no SecretAccessKey"),
        (answering(SessionToken=7), "a SessionToken that is no text"),
        (answering(Expiration="soon"), r"an Expiration that is no moment with a zone \('soon'\)"),
        (answering(Expiration=1893456000), "an Expiration that is no moment"),
        (answering(Expiration="2099-01-01T00:00:00"), "an Expiration that is no moment"),
        (answering(Expiration="2020-01-01T00:00:00Z"), r"have ended \(2020-01-01T00:00:00\+00:00; look"),
    ],
)
def test_f49_a_credential_process_that_fails_is_denied(home, script, told, monkeypatch):
    """Whatever it does wrong is told in one short line by profile and program; no secret is."""
    monkeypatch.setattr(aws, "CREDENTIALS_S", 10.0)
    file = program(home, script)
    with pytest.raises(Denied, match=rf"profile shop: credential_process {file} .*{told}") as caught:
        asked(profile="shop")
    assert "hush" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < aws.LONGEST + len(str(file)) + 100


def test_f49_an_empty_credential_process_is_denied(home):
    """A key without a program is told as that."""
    (home / "config").write_text("[profile shop]\ncredential_process =\n")
    with pytest.raises(Denied, match=r"profile shop: credential_process is empty"):
        asked(profile="shop")


@pytest.mark.parametrize("ends", [{}, {"SessionToken": None}, {"Expiration": "2099-01-01T00:00:00Z"}])
def test_a_credential_process_gives_the_keys(home, monkeypatch, ends):
    """Its keys sign the calls, with an end and without."""
    monkeypatch.setattr(aws, "CREDENTIALS_S", 10.0)
    program(home, answering(AccessKeyId="of-a-program", **ends))
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


@pytest.fixture
def gcloud(home, monkeypatch):
    """The file of gcloud, whose program hangs and is the first on the path; nothing else gives any."""
    (home / "gcloud").write_text(HANGS)
    (home / "gcloud").chmod(0o700)
    monkeypatch.setenv("PATH", str(home), prepend=":")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(home))
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_QUOTA_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    file = home / "application_default_credentials.json"
    file.write_text(json.dumps({"type": "authorized_user", **PERSON}))
    yield file
    assert not (home / "child").exists()


def found():
    """The credentials of a client of Compute Engine."""
    return google_cloud.client("ZonesClient").transport._session.credentials


def test_f19_gcloud_is_not_run(gcloud):
    """A person's own credentials are read from gcloud's file; gcloud, which may hang, is not asked."""
    assert found().refresh_token == "r"
    source = GoogleMonitoringSource(name="shop", project="shop", queries={})
    assert google_monitoring.connected(source).transport.kind == "grpc"
    gcloud.write_text(json.dumps({"type": "authorized_user"}))
    with pytest.raises(Denied, match="application_default_credentials"):
        found()


@pytest.mark.parametrize("name", ["application_default_credentials.json", "person.json"])
def test_f19_gcloud_is_not_run_for_a_file_that_is_named(gcloud, monkeypatch, name):
    """Nor where the environment names that file, or another one with a person's credentials."""
    file = gcloud.parent / name
    file.write_text(gcloud.read_text().replace('"r"', '"named"'))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    assert found().refresh_token == "named"


@pytest.mark.parametrize("named", [False, True])
def test_f19_gcloud_is_not_run_for_an_account_that_a_person_acts_as(gcloud, monkeypatch, named):
    """`gcloud auth application-default login --impersonate-service-account` writes such a file."""
    url = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/loadline@shop:generateAccessToken"
    source = {"type": "authorized_user", **PERSON}
    told = {"type": "impersonated_service_account", "service_account_impersonation_url": url}
    gcloud.write_text(json.dumps({**told, "source_credentials": source, "delegates": []}))
    if named:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(gcloud))
    assert found().service_account_email == "loadline@shop"


@pytest.mark.parametrize("named", [False, True])
def test_the_project_that_pays_for_a_persons_calls_is_that_of_the_environment(gcloud, monkeypatch, named):
    """GOOGLE_CLOUD_QUOTA_PROJECT goes before the project of the file, as in every program of Google's."""
    gcloud.write_text(json.dumps({"type": "authorized_user", **PERSON, "quota_project_id": "of-the-file"}))
    if named:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(gcloud))
    assert found().quota_project_id == "of-the-file"
    monkeypatch.setenv("GOOGLE_CLOUD_QUOTA_PROJECT", "billing")
    assert found().quota_project_id == "billing"


def test_f49_where_there_is_no_home_the_other_sources_are_asked(gcloud, monkeypatch):
    """A user without a home folder, as in a container, hides neither a named file nor the machine's own."""

    def homeless(_cls):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", classmethod(homeless))
    monkeypatch.delenv("CLOUDSDK_CONFIG")
    machines = AnonymousCredentials()
    with monkeypatch.context() as patch:
        patch.setattr("google.auth.default", lambda **_: (machines, None))
        assert found() is machines
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(gcloud))
    assert found().refresh_token == "r"
