"""The configuration and the credentials of a cluster, each had within a deadline.

The package `kubernetes` reads a kubeconfig, but would wait for its plugin (`users[].user.exec`) for ever, and
hides how it failed. So the plugin is run here, and the package is given what it answered.
"""

from __future__ import annotations

import base64
import json
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from autoscaler.connections import KubernetesProvider
from autoscaler.errors import Denied, Invalid, Unreachable
from autoscaler.programs import failure, ran
from autoscaler.transport import Family, within

LOADING_S = 5.0  # for all but the plugin: reading files, and the package itself
EARLY = timedelta(seconds=10)  # so long before its end a token is renewed
_UNREADABLE = (
    AttributeError,
    KeyError,
    TypeError,
    ValueError,
    yaml.YAMLError,
)  # a file that is no kubeconfig
_AUTHORITY = "certificate-authority-data"
_TOLD = (  # of a cluster, as the protocol of plugins names it
    *("server", "tls-server-name", "insecure-skip-tls-verify", _AUTHORITY),
    *("proxy-url", "disable-compression"),
)
_OTHERS = ("token", "tokenFile")  # the package takes these before a plugin


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """The package's client with its credentials. `ends`: when to renew a plugin's, None for never."""

    api: Any
    ends: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """A plugin as the kubeconfig has it, and what messages say of it."""

    spec: Mapping[str, Any]
    user: str
    file: str
    folder: str
    mend: str
    cluster: Mapping[str, Any] | None = None

    @property
    def name(self) -> str:
        """The kubeconfig, the user and the command; arguments may hold secrets and are not told."""
        return f"{self.file}: user {self.user}: the plugin {self.spec.get('command')}"

    def asked(self, deadline_s: float) -> Mapping[str, Any]:
        """The status of its ExecCredential. Unreachable where it hangs, Denied where it gives none."""
        command = [str(self.spec["command"]), *map(str, self.spec.get("args") or ())]
        if os.sep in command[0] and not os.path.isabs(command[0]):  # noqa: PTH117 - a path beside the file
            command[0] = str(Path(self.folder) / command[0])
        try:
            done = ran(
                command,
                name=self.name,
                deadline_s=deadline_s,
                env=self._environment(),
                cwd=self.folder or None,
            )
        except Unreachable as error:
            raise Unreachable(f"{error}; {self.mend}") from error
        except OSError as error:
            hint = str(self.spec.get("installHint") or "install it, or give its whole path")
            raise Denied(f"{self.name} cannot be run ({error}); {' '.join(hint.split())}") from error
        failed = failure(done)
        if failed:
            raise Denied(f"{self.name} {failed}; {self.mend}")
        return self._status(done.stdout)

    def _status(self, answer: bytes) -> Mapping[str, Any]:
        try:
            told = json.loads(answer)
            version, status = told["apiVersion"], dict(told["status"])
        except (KeyError, TypeError, ValueError):
            raise Denied(
                f"{self.name} answered no ExecCredential; {self.mend}"
            ) from None  # it may hold a token
        if version != self.spec.get("apiVersion"):
            raise Denied(
                f"{self.name} answered in {version}, not in {self.spec.get('apiVersion')}; {self.mend}"
            )
        if not status.get("token") and not (
            status.get("clientCertificateData") and status.get("clientKeyData")
        ):
            raise Denied(f"{self.name} gave neither a token nor a certificate with its key; {self.mend}")
        return status

    def _environment(self) -> dict[str, str]:
        spec: dict[str, Any] = {"interactive": False}
        if self.cluster is not None:
            spec["cluster"] = self.cluster
        about = {"apiVersion": self.spec.get("apiVersion"), "kind": "ExecCredential", "spec": spec}
        own = {str(one["name"]): str(one["value"]) for one in self.spec.get("env") or ()}
        return {**os.environ, **own, "KUBERNETES_EXEC_INFO": json.dumps(about)}


def connected(settings: KubernetesProvider, *, deadline_s: float, now: datetime) -> Connection:
    """A client with the credentials as they are now; the file is never written.

    Invalid where there are none, Denied where a plugin gives none, or some that ended before `now`,
    Unreachable where one hangs.

    """
    name = f"credentials ({settings.name}, kubeconfig {settings.kubeconfig or 'of the environment'})"
    family = Family(name=name, rate=1.0, burst=1, deadline_s=deadline_s + LOADING_S)
    return within(lambda: _connected(settings, deadline_s, now), family)


def _connected(settings: KubernetesProvider, deadline_s: float, now: datetime) -> Connection:
    try:
        from kubernetes import client, config  # noqa: PLC0415 - 1 s of CPU, only where a cluster is asked
    except ImportError as error:
        raise Invalid("Kubernetes needs its client: pip install 'loadline[kubernetes]'") from error
    found = client.Configuration()
    found.retries = False  # each call says how often itself
    file, ends = settings.kubeconfig, None
    try:
        if not file and not _has_file(config.KUBE_CONFIG_DEFAULT_LOCATION):
            config.load_incluster_config(client_configuration=found)  # type: ignore[no-untyped-call]
        else:
            file = file or config.KUBE_CONFIG_DEFAULT_LOCATION
            ends = _load(file, settings.context, found, deadline_s, now)
    except (config.ConfigException, OSError, *_UNREADABLE) as error:
        told = isinstance(error, config.ConfigException | OSError)
        why = error if told else f"it is no kubeconfig ({type(error).__name__})"  # its text may hold secrets
        raise Invalid(
            f"no credentials for {settings.name}: {settings.kubeconfig or 'KUBECONFIG and the pod'}: {why}; "
            "name a kubeconfig, or run in a pod with a service account"
        ) from error
    return Connection(api=client.ApiClient(found), ends=ends)


def _load(file: str, context: str, found: Any, deadline_s: float, now: datetime) -> datetime | None:
    """Put a kubeconfig's credentials into `found`, and say when they are to be renewed."""
    from kubernetes.config.kube_config import KubeConfigLoader, KubeConfigMerger  # noqa: PLC0415 - as above

    merged = KubeConfigMerger(file).config  # type: ignore[no-untyped-call]
    loader = KubeConfigLoader(  # type: ignore[no-untyped-call]
        config_dict=merged, active_context=context or None, config_base_path=None
    )
    chosen = loader.current_context["context"]
    entry = _named(merged.value["users"], chosen.get("user"))
    user = {} if entry is None else entry.value["user"] or {}
    _refuse_commands(user, file, str(chosen.get("user")))
    spec = user.pop("exec", None)
    if spec is None or any(user.get(name) for name in _OTHERS):
        loader.load_and_set(found)  # type: ignore[no-untyped-call]
        return None
    cluster = _named(merged.value["clusters"], chosen.get("cluster"))
    source = str(entry.path or file) if entry is not None else file
    plugin = Plugin(
        spec=spec,
        user=str(chosen.get("user")),
        file=source,
        folder=str(Path(source).absolute().parent),
        mend=_mend(file if os.pathsep in file else source, context),
        cluster=_told(cluster) if spec.get("provideClusterInfo") and cluster is not None else None,
    )
    status = plugin.asked(deadline_s)
    user |= _as_user(status)
    loader.load_and_set(found)  # type: ignore[no-untyped-call]
    ends = status.get("expirationTimestamp")
    return None if ends is None else _end(ends, plugin, now) - EARLY


def _mend(files: str, context: str) -> str:
    """How to see what goes wrong: kubectl takes several files by the environment alone."""
    several, named = os.pathsep in files, shlex.quote(files)
    how = f"KUBECONFIG={named} kubectl" if several else f"kubectl --kubeconfig {named}"
    which = f" --context {shlex.quote(context)}" if context else ""
    return f"see, as the user of this process: {how}{which} get --raw /version"


def _named(entries: Any, name: str | None) -> Any:
    return next((one for one in entries if one.value["name"] == name), None)


def _refuse_commands(user: Mapping[str, Any], file: str, name: str) -> None:
    """The old way to a program has no deadline; kubectl itself does without it since 1.26."""
    settings = (user.get("auth-provider") or {}).get("config") or {}
    if "cmd-path" in settings:
        raise Invalid(
            f"{file}: user {name}: auth-provider with cmd-path is no longer supported; "
            "let the cluster's own tool write the user anew, with exec and gke-gcloud-auth-plugin"
        )


def _as_user(status: Mapping[str, Any]) -> dict[str, str]:
    """What a plugin gave, as the entry of a user that has it without one."""
    found = {"token": str(status["token"])} if status.get("token") else {}
    for there, here in (
        ("clientCertificateData", "client-certificate-data"),
        ("clientKeyData", "client-key-data"),
    ):
        if status.get(there):
            found[here] = base64.b64encode(str(status[there]).encode()).decode()
    return found


def _moment(text: Any, plugin: Plugin) -> datetime:
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError:
        raise Denied(f"{plugin.name} answered no moment of time as the end of its token: {text!r}") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _end(text: Any, plugin: Plugin, now: datetime) -> datetime:
    at = _moment(text, plugin)
    if at <= now:
        why = f"gave credentials that had ended at {at.isoformat()}; look at this machine's clock"
        raise Denied(f"{plugin.name} {why}, or {plugin.mend}")
    return at


def _told(entry: Any) -> dict[str, Any]:
    """What a plugin is told of the cluster: what the protocol has of the file's entry, and its own extension.

    The protocol has no path of an authority's certificate, relative to the file, but what stands there.
    """
    cluster = entry.value["cluster"]
    known = {name: cluster[name] for name in _TOLD if name in cluster}
    authority = cluster.get("certificate-authority")
    if authority and not known.get(_AUTHORITY):
        path = Path(entry.path or "").absolute().parent / authority
        known[_AUTHORITY] = base64.b64encode(path.read_bytes()).decode()
    for one in cluster.get("extensions") or ():
        if one.get("name") == "client.authentication.k8s.io/exec":
            known["config"] = one.get("extension")
    return known


def _has_file(paths: str) -> bool:
    return any(Path(path).expanduser().is_file() for path in paths.split(os.pathsep) if path)
