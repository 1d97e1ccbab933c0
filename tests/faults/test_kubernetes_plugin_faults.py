"""A kubeconfig whose credentials come from a program (so have EKS, GKE, AKS), and what that does wrong."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from pathlib import Path

import pytest

from autoscaler.clock import SystemClock
from autoscaler.connections import KubernetesProvider
from autoscaler.errors import Denied, Invalid, Unreachable
from autoscaler.providers.kubernetes.client import REFUSED_REST_S, REST_S, Client
from autoscaler.transport import Family, within
from tests.kubernetes_api.worlds import opened
from tests.processes import is_over

API = "client.authentication.k8s.io/v1beta1"
LIST, PATH = "list apps/deployments", "/apis/apps/v1/deployments"
HANGS = "sleep 60 &\necho $! > child\nwait"
TINY_S = 0.5
ENDLESS = {"token": "first", "expirationTimestamp": "soon"}


class Plugin:
    """A program in a folder, the kubeconfig that names it, and how often it ran."""

    def __init__(self, folder, api):
        self.folder, self.api, self.file = folder, api, folder / "cluster.yaml"
        self.program = folder / "get-token"
        self.says("exit 9")
        self.user({"exec": {"apiVersion": API, "command": "./get-token", "args": ["--secret", "hush"]}})

    def user(self, user):
        text = json.loads(Path(self.api.kubeconfig(self.file)).read_text())
        text["users"][0]["user"] = user
        self.file.write_text(json.dumps(text))

    def says(self, script):
        self.program.write_text(f"#!/bin/sh\necho x >> ran\n{script}\n")
        self.program.chmod(0o700)

    def gives(self, token, ends=None, **more):
        status = {"token": token, **({"expirationTimestamp": ends} if ends else {}), **more}
        answer = {"apiVersion": API, "kind": "ExecCredential", "status": status}
        self.says(f"cat <<'END'\n{json.dumps(answer)}\nEND")

    @property
    def runs(self):
        told = self.folder / "ran"
        return len(told.read_text().split()) if told.exists() else 0

    def client(self, clock=None, deadline_s=10.0, **settings):
        settings = {"name": "k8s", "kubeconfig": str(self.file)} | settings
        return Client(KubernetesProvider(**settings), clock, deadline_s=deadline_s)


@pytest.fixture
def world(tmp_path):
    with opened("fake", tmp_path) as found:
        yield found


@pytest.fixture
def plugin(world, tmp_path):
    """A plugin that is not sound yet; the server knows the token `first` alone."""
    world.api.token = "first"
    return Plugin(tmp_path, world.api)


def listing(client):
    return client.ask("GET", PATH, LIST).status


def test_f19_a_plugin_that_hangs_ends_at_its_deadline(plugin):
    """It is Unreachable by kubeconfig, user, command and mend; it and what it started are ended."""
    plugin.says(HANGS)
    with pytest.raises(Unreachable, match=r"within 0\.5 s") as caught:
        listing(plugin.client(deadline_s=TINY_S))
    told = str(caught.value)
    assert all(part in told for part in (str(plugin.file), "user me", "./get-token", "kubectl --kubeconfig"))
    assert "hush" not in told
    assert is_over((plugin.folder / "child").read_text().strip())


@pytest.mark.parametrize("script", [HANGS, "exit 1"])
def test_f49_a_plugin_that_gives_nothing_keeps_nobody_from_starting(world, plugin, script):
    """What starts while a plugin fails goes on without that cluster, and has it once the plugin answers."""
    plugin.says(script)
    client = plugin.client(world.clock, deadline_s=TINY_S)
    with pytest.raises((Denied, Unreachable), match="get-token"):
        listing(client)
    plugin.gives("first")
    client._deadline_s = 10.0
    world.clock.advance(REST_S)
    assert listing(client) == 200


def test_f49_a_plugin_that_gives_nothing_rests(world, plugin):
    """The calls of a turn are each told why, and run it once; some seconds later it is run again."""
    plugin.says("exit 1")
    client = plugin.client(world.clock)
    for right in (LIST, LIST, "get /version"):
        with pytest.raises(Denied, match=f"{right}: .*get-token failed"):
            client.ask("GET", PATH, right)
    assert plugin.runs == 1
    plugin.gives("first")
    world.clock.advance(REFUSED_REST_S)
    assert (listing(client), plugin.runs) == (200, 2)


def test_f49_a_plugin_whose_token_has_ended_rests(world, plugin):
    """It is Denied with the moment, and not run at each call of a turn; the server sees no such token."""
    plugin.gives("first", ends=(world.clock.now() - timedelta(seconds=1)).isoformat())
    client = plugin.client(world.clock)
    for _ in range(3):
        with pytest.raises(Denied, match=r"get-token gave .* ended at 2026-03-02T07:59:59\+00:00; .*clock"):
            listing(client)
    assert plugin.runs == 1
    assert world.api.calls == []


def test_f49_a_token_that_ends_at_once_is_used_for_some_seconds(world, plugin):
    """One that lives shorter than it is renewed early serves the calls of a turn, and is then renewed."""
    plugin.gives("first", ends=(world.clock.now() + timedelta(seconds=1)).isoformat())
    client = plugin.client(world.clock)
    assert [listing(client) for _ in range(3)] == [200] * 3
    assert plugin.runs == 1
    world.clock.advance(REFUSED_REST_S)
    plugin.gives("first")
    assert (listing(client), plugin.runs) == (200, 2)


def test_the_mend_of_a_plugin_asks_for_the_same_cluster(plugin):
    """The command to be tried names the context that is configured, and all files where there are several."""
    plugin.says("exit 1")
    with pytest.raises(Denied, match=f"kubectl --kubeconfig {plugin.file} get --raw"):
        listing(plugin.client())
    with pytest.raises(Denied, match=f"kubectl --kubeconfig {plugin.file} --context fake get --raw"):
        listing(plugin.client(context="fake"))
    other = plugin.folder / "other.yaml"
    other.write_text("{apiVersion: v1, kind: Config}")
    both = f"{plugin.file}:{other}"
    with pytest.raises(Denied, match=f"KUBECONFIG={both} kubectl --context fake get --raw"):
        listing(plugin.client(context="fake", kubeconfig=both))


def test_f49_a_plugin_that_answers_gives_the_token(plugin):
    """Its token is shown to the server, and it is not asked again while that is sound."""
    plugin.gives("first")
    client = plugin.client()
    assert [listing(client) for _ in range(3)] == [200] * 3
    assert plugin.runs == 1


def test_f49_a_token_that_ended_is_renewed(world, plugin):
    """The plugin is asked again when its token ends, before the server says so, and not sooner."""
    plugin.gives("first", ends=f"{world.clock.now() + timedelta(minutes=14):%Y-%m-%dT%H:%M:%SZ}")
    client = plugin.client(world.clock)
    world.clock.advance(13 * 60)
    assert (listing(client), plugin.runs) == (200, 1)
    plugin.gives("second")
    world.api.token = "second"
    world.clock.advance(60)
    world.api.calls.clear()
    assert (listing(client), plugin.runs) == (200, 2)
    assert len(world.api.calls) == 1


def test_f49_a_token_that_the_server_refuses_is_renewed_once(world, plugin):
    """One that ended early is fetched anew; where the new one is none either it is Denied."""
    plugin.gives("first")
    client = plugin.client(world.clock)
    world.api.token = "second"
    with pytest.raises(Denied, match="renew"):
        listing(client)
    assert plugin.runs == 2
    plugin.gives("second")
    assert (listing(client), plugin.runs) == (200, 3)


def test_f19_a_renewal_that_hangs_is_given_up_and_rests(world, plugin):
    """In the midst of a turn a hung plugin costs one deadline, not one a call; later it is tried again."""
    plugin.gives("first", ends=(world.clock.now() + timedelta(seconds=1)).isoformat())
    client = plugin.client(world.clock)
    world.clock.advance(REFUSED_REST_S)
    client._deadline_s = TINY_S
    plugin.says(HANGS)
    for _ in range(5):
        with pytest.raises(Unreachable, match=rf"{LIST}: .*get-token did not answer"):
            listing(client)
    assert plugin.runs == 2
    assert is_over((plugin.folder / "child").read_text().strip())
    plugin.gives("first")
    client._deadline_s = 10.0
    world.clock.advance(REST_S)
    assert (listing(client), plugin.runs) == (200, 3)


def test_f40_a_change_that_waited_for_its_credentials_is_not_sent_late(world, plugin):
    """Where the deadline of a change went by while the plugin ran, nothing is sent any more."""
    plugin.gives("first", ends=(world.clock.now() + timedelta(seconds=1)).isoformat())
    client = plugin.client(world.clock)
    plugin.gives("first")
    world.clock.advance(REFUSED_REST_S)
    answer = plugin.program.read_text().replace("echo x >> ran", "sleep 0.4\necho x >> ran")
    plugin.program.write_text(answer)
    world.api.calls.clear()
    family = Family(name="changing", rate=1.0, burst=1, deadline_s=0.1)
    change = {"query": {}, "body": {}, "content_type": "application/merge-patch+json"}
    with pytest.raises(Unreachable, match="changing"):
        within(lambda: client.ask("PATCH", f"{PATH}/web", "patch apps/deployments", **change), family)
    clock = SystemClock()
    while plugin.runs < 2:
        clock.sleep(0.05)
    clock.sleep(0.2)
    assert world.api.calls == []


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo 'token expired: log in' >&2; exit 3", "status 3: token expired: log in"),
        ("exit 1", "it said nothing"),
        ("echo 'first'", "no ExecCredential"),
        ('echo \'{"apiVersion": "v0", "status": {"token": "first"}}\'', "answered in v0"),
        (f"echo '{json.dumps({'apiVersion': API, 'status': {}})}'", "neither a token nor"),
        (f"echo '{json.dumps({'apiVersion': API, 'status': ENDLESS})}'", "no moment"),
    ],
)
def test_f49_a_plugin_that_fails_says_why(plugin, script, told):
    """What it said, or what its answer lacks, is Denied with its name; its answer itself is not shown."""
    plugin.says(script)
    with pytest.raises(Denied, match=told) as caught:
        listing(plugin.client())
    assert "get-token" in str(caught.value)
    assert "first" not in str(caught.value)


def test_f49_a_plugin_that_is_not_there_is_told_with_its_hint(plugin):
    """The kubeconfig's own hint how to install it is the mend."""
    spec = {"apiVersion": API, "command": "no-such-plugin", "installHint": "install it\nfrom the shelf"}
    plugin.user({"exec": spec})
    with pytest.raises(Denied, match=r"no-such-plugin.*install it from the shelf"):
        listing(plugin.client())


def test_a_plugin_is_told_what_it_asks_for(plugin):
    """Its environment, arguments and what it wants to know of the cluster reach it, in its own folder."""
    told = plugin.folder / "told"
    plugin.gives("first")
    plugin.program.write_text(
        plugin.program.read_text() + 'printf "%s\\n" "$REGION" "$*" "$KUBERNETES_EXEC_INFO" > told\n'
    )
    env = [{"name": "REGION", "value": "eu"}]
    spec = {"apiVersion": API, "command": "./get-token", "args": ["a", "b c"], "env": env}
    plugin.user({"exec": {**spec, "provideClusterInfo": True}})
    plugin.client()
    region, arguments, about = told.read_text().splitlines()
    assert (region, arguments) == ("eu", "a b c")
    info = json.loads(about)
    assert (info["apiVersion"], info["kind"], info["spec"]["interactive"]) == (API, "ExecCredential", False)
    assert info["spec"]["cluster"]["server"] == plugin.api.url


@pytest.mark.parametrize("given", ["path", "both"])
def test_a_plugin_is_told_the_authority_itself(plugin, given):
    """Its protocol has the certificate, not the path beside the file, and nothing that it does not know."""
    told, text = plugin.folder / "told", json.loads(plugin.file.read_text())
    (plugin.folder / "ca.pem").write_bytes(b"of the path")
    data = base64.b64encode(b"of the path" if given == "path" else b"of the file").decode()
    cluster = text["clusters"][0]["cluster"]
    cluster |= {"certificate-authority": "ca.pem", "tls-server-name": "api"}
    cluster |= {"certificate-authority-data": data} if given == "both" else {}
    name, own = "client.authentication.k8s.io/exec", {"audience": "a"}
    cluster["extensions"] = [{"name": name, "extension": own}, {"name": "other", "extension": 1}]
    text["users"][0]["user"]["exec"]["provideClusterInfo"] = True
    plugin.file.write_text(json.dumps(text))
    plugin.gives("first")
    plugin.program.write_text(plugin.program.read_text() + 'printf %s "$KUBERNETES_EXEC_INFO" > told\n')
    plugin.client()
    assert json.loads(told.read_text())["spec"]["cluster"] == {
        "server": plugin.api.url,
        "tls-server-name": "api",
        "certificate-authority-data": data,
        "config": own,
    }


def test_a_token_of_the_file_comes_before_its_plugin(plugin):
    """As with kubectl a static token is taken, and no program is run."""
    plugin.user({"token": "first", "exec": {"apiVersion": API, "command": "./get-token"}})
    assert (listing(plugin.client()), plugin.runs) == (200, 0)


def test_f19_the_old_way_to_a_program_is_refused(plugin):
    """A command of auth-provider could hang for ever: it is Invalid, with the way that replaced it."""
    plugin.user({"auth-provider": {"name": "gcp", "config": {"cmd-path": "./get-token"}}})
    with pytest.raises(Invalid, match=r"cmd-path.*exec"):
        plugin.client()
    assert plugin.runs == 0
