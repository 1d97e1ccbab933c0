"""How real systems are reached, as the configuration says it. Durations are seconds, paths absolute.

Secrets stand in files, whose paths are kept here and which are read when they are used: a renewed one counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

NOTHING: Mapping[str, str] = MappingProxyType({})
PROMETHEUS_DEADLINE_S = 50  # a turn waits 60 s for its sources


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsAccount:
    """One account and region. `role_arn` is assumed with the credentials that are found, `profile` names
    those of the shared files; both "" for what the environment gives. `endpoint_url` is another server's, ""
    for AWS.
    """

    region: str
    role_arn: str = ""
    external_id: str = ""
    profile: str = ""
    endpoint_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsProvider:
    """Pools of one account and region. `acting_role_arn` is assumed for calls that change something, "" for
    the same as reads. `kinds` are those listed: asg, eks, ecs, ec2. `raise_maximum`: a group's own maximum
    may be raised. `outlast`: scheduled actions are left for the hours after this program's death.
    """

    name: str
    account: AwsAccount
    acting_role_arn: str = ""
    kinds: tuple[str, ...] = ("asg",)
    raise_maximum: bool = False
    lead_time_s: int = 300
    outlast: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GoogleProvider:
    """Pools of one project. `locations` are zones and regions, none for all of them. `kinds` are those that
    are listed: mig (groups), gce (instances that are started and stopped).

    `credentials_file` is that of a service account, "" for what the environment gives; `endpoint_url` is
    another server's, asked without credentials.
    """

    name: str
    project: str
    locations: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ("mig",)
    credentials_file: str = ""
    endpoint_url: str = ""
    raise_maximum: bool = False
    lead_time_s: int = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesProvider:
    """Workloads of one cluster. `kubeconfig` "" is that of the environment, else the pod's own account.

    `namespaces`: none for all of them. `adopt` are the field managers from whom `replicas` may be taken.
    `raise_maximum`: an autoscaler's own maximum may be raised.
    """

    name: str
    kubeconfig: str = ""
    context: str = ""
    namespaces: tuple[str, ...] = ()
    adopt: tuple[str, ...] = ()
    raise_maximum: bool = False
    lead_time_s: int = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class PrometheusSource:
    """A server of Prometheus' HTTP API. `queries` are PromQL by series id, evaluated every `step_s`.

    `timeout_s` is for one request, `deadline_s` for all that are made at once, with their retries. `tenant`
    is sent as X-Scope-OrgID. Basic authentication by `username` and `password_file`, bearer by `token_file`,
    mTLS by `cert_file` and `key_file`; "" is none.
    """

    name: str
    url: str
    queries: Mapping[str, str]
    step_s: int = 60
    timeout_s: int = 30
    deadline_s: int = PROMETHEUS_DEADLINE_S
    tenant: str = ""
    headers: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    username: str = ""
    password_file: str = ""
    token_file: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudWatchQuery:
    """A metric (`namespace`, `metric`, `dimensions`, `statistic` such as Sum or p95), or metric math in
    `expression` over those of `inputs`. `per_second`: the value of a period is divided by its length.
    """

    namespace: str = ""
    metric: str = ""
    dimensions: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    statistic: str = "Average"
    expression: str = ""
    inputs: Mapping[str, CloudWatchQuery] = field(default_factory=lambda: MappingProxyType({}))
    per_second: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudWatchSource:
    """Metrics of one account and region, in periods of `step_s` (a multiple of 60, or 1, 5, 10, 20, 30).

    A period counts `delay_s` after its end: what is sent later would be missing in it.
    """

    name: str
    account: AwsAccount
    queries: Mapping[str, CloudWatchQuery]
    step_s: int = 60
    timeout_s: int = 30
    delay_s: int = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class GoogleQuery:
    """A filter of Cloud Monitoring, with its aligner (ALIGN_RATE, ALIGN_MEAN, ...) and the reducer over what
    it finds (REDUCE_SUM, ...).
    """

    filter: str
    aligner: str = "ALIGN_MEAN"
    reducer: str = "REDUCE_SUM"


@dataclass(frozen=True, slots=True, kw_only=True)
class GoogleMonitoringSource:
    """Metrics of one project, aligned to periods of `step_s` (at least 60). `endpoint` is another server's
    host:port, asked without credentials or encryption. A period counts `delay_s` after its end: what becomes
    visible later would be missing in it.
    """

    name: str
    project: str
    queries: Mapping[str, GoogleQuery]
    step_s: int = 60
    timeout_s: int = 30
    delay_s: int = 120
    credentials_file: str = ""
    endpoint: str = ""


RemoteSource = PrometheusSource | CloudWatchSource | GoogleMonitoringSource
RealProvider = AwsProvider | GoogleProvider | KubernetesProvider
