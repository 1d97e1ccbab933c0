"""The keys that say how real systems are reached: metrics from Prometheus and clouds, clusters, accounts.

What they become is in `autoscaler/connections.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from autoscaler import connections as to
from autoscaler.settings_kinds import Duration, Name, PathText, Section, SomeTime, shown

Text = Annotated[str, Field(min_length=1)]
Files = Mapping[str, Any]  # the absolute paths of a section, by key


def _url(value: object) -> str:
    if not isinstance(value, str) or not value.startswith(("http://", "https://")) or len(value) < 10:
        raise ValueError(f"{shown(value)} is no address; write http://prometheus:9090")
    if "@" in value.split("/")[2]:
        raise ValueError("an address holds no password; write username and password_file")
    return value.rstrip("/")


Url = Annotated[
    str, BeforeValidator(_url), WithJsonSchema({"type": "string", "examples": ["http://prometheus:9090"]})
]


class PrometheusSection(Section):
    """A server that speaks the HTTP API of Prometheus (Thanos, Mimir, VictoriaMetrics too)."""

    kind: Literal["prometheus"] = Field(description="The HTTP API of Prometheus.")
    url: Url = Field(description="The server's address; below it /api/v1 is asked.")
    queries: dict[Text, Text] = Field(
        min_length=1, description="PromQL by series id; each must give one series, such as sum(...)."
    )
    step: SomeTime = Field(default=60, description="The distance of points; also that of plans' history.")
    timeout: SomeTime = Field(default=30, description="How long an answer may take.")
    tenant: str = Field(default="", description="Sent as X-Scope-OrgID (Mimir, Cortex, Loki's kin).")
    headers: dict[Text, Text] = Field(default_factory=dict, description="Further headers.")
    username: str = Field(default="", description="For basic authentication, with password_file.")
    password_file: PathText | None = Field(default=None, description="The file with that password.")
    token_file: PathText | None = Field(default=None, description="The file with a bearer token.")
    ca_file: PathText | None = Field(default=None, description="Certificates that vouch for the server.")
    cert_file: PathText | None = Field(default=None, description="Our own certificate (mTLS).")
    key_file: PathText | None = Field(default=None, description="The key of that certificate.")

    @model_validator(mode="after")
    def _every_key_counts(self) -> PrometheusSection:
        if self.timeout > to.PROMETHEUS_DEADLINE_S:
            raise ValueError(f"timeout: all queries together have {to.PROMETHEUS_DEADLINE_S} s; write less")
        if self.token_file and (self.username or self.password_file):
            raise ValueError("give either token_file or username and password_file, not both")
        if bool(self.username) is not bool(self.password_file):
            raise ValueError("username and password_file belong together; give both")
        if self.key_file and not self.cert_file:
            raise ValueError("key_file is the key of cert_file; give that too")
        return self

    def settled(self, name: str, files: Files) -> to.PrometheusSource:
        """Frozen, with absolute paths."""
        return to.PrometheusSource(
            name=name,
            url=self.url,
            queries=MappingProxyType(dict(self.queries)),
            step_s=self.step,
            timeout_s=self.timeout,
            tenant=self.tenant,
            headers=MappingProxyType(dict(self.headers)),
            username=self.username,
            **files,
        )


class AwsAccountSection(Section):
    """An account and region, and whose credentials reach it."""

    region: Text = Field(description="Such as eu-west-1.")
    role_arn: str = Field(default="", description="The role to assume for reading.")
    external_id: str = Field(default="", description="The external id that this role asks for.")
    profile: str = Field(
        default="", description="A profile of the shared files; left out: the environment's."
    )
    endpoint_url: str = Field(default="", description="Another server than AWS, for tests.")

    def account(self) -> to.AwsAccount:
        """Frozen."""
        keys = ("region", "role_arn", "external_id", "profile", "endpoint_url")
        return to.AwsAccount(**{key: getattr(self, key) for key in keys})


class CloudWatchInputSection(Section):
    """A metric that metric math reckons with."""

    namespace: Text = Field(description="Such as AWS/ApplicationELB.")
    metric: Text = Field(description="Such as RequestCount.")
    dimensions: dict[Text, Text] = Field(default_factory=dict, description="Names and values.")
    statistic: Text = Field(default="Average", description="Average, Sum, Maximum, SampleCount or p95.")

    def query(self) -> to.CloudWatchQuery:
        """Frozen."""
        return to.CloudWatchQuery(
            namespace=self.namespace,
            metric=self.metric,
            dimensions=MappingProxyType(dict(self.dimensions)),
            statistic=self.statistic,
        )


class CloudWatchQuerySection(Section):
    """A metric, or metric math: give metric or expression."""

    namespace: str = Field(default="", description="Such as AWS/ApplicationELB.")
    metric: str = Field(default="", description="Such as RequestCount.")
    dimensions: dict[Text, Text] = Field(default_factory=dict, description="Names and values.")
    statistic: Text = Field(default="Average", description="Average, Sum, Maximum, SampleCount or p95.")
    expression: str = Field(default="", description="Instead: metric math, such as a / b.")
    inputs: dict[Text, CloudWatchInputSection] = Field(
        default_factory=dict, description="The metrics that the expression names."
    )
    per_second: bool = Field(default=False, description="true: a period's value divided by its length.")

    def query(self) -> to.CloudWatchQuery:
        """Frozen."""
        return to.CloudWatchQuery(
            namespace=self.namespace,
            metric=self.metric,
            dimensions=MappingProxyType(dict(self.dimensions)),
            statistic=self.statistic,
            expression=self.expression,
            inputs=MappingProxyType({name: one.query() for name, one in self.inputs.items()}),
            per_second=self.per_second,
        )


class CloudWatchSection(AwsAccountSection):
    """Metrics of an account and region; each call costs money."""

    kind: Literal["cloudwatch"] = Field(description="Amazon CloudWatch.")
    queries: dict[Text, CloudWatchQuerySection] = Field(
        min_length=1, description="What is asked, by series id."
    )
    step: SomeTime = Field(default=60, description="The period: a multiple of 60 s.")
    timeout: SomeTime = Field(default=30, description="How long an answer may take.")
    delay: Duration = Field(default=60, description="How long after its end a period is taken for whole.")

    def settled(self, name: str, _files: Files) -> to.CloudWatchSource:
        """Frozen."""
        return to.CloudWatchSource(
            name=name,
            account=self.account(),
            queries=MappingProxyType({series: one.query() for series, one in self.queries.items()}),
            step_s=self.step,
            timeout_s=self.timeout,
            delay_s=self.delay,
        )


class GoogleQuerySection(Section):
    """A filter of Cloud Monitoring, and how its points become one series."""

    filter: Text = Field(description='Such as metric.type = "pubsub.googleapis.com/..." AND resource...')
    aligner: Text = Field(default="ALIGN_MEAN", description="Within a period: ALIGN_RATE, ALIGN_MEAN, ...")
    reducer: Text = Field(default="REDUCE_SUM", description="Over what the filter finds: REDUCE_SUM, ...")


class GoogleMonitoringSection(Section):
    """Metrics of a Google Cloud project."""

    kind: Literal["google-monitoring"] = Field(description="Google Cloud Monitoring.")
    project: Text = Field(description="The project whose metrics they are.")
    queries: dict[Text, GoogleQuerySection] = Field(min_length=1, description="What is asked, by series id.")
    step: SomeTime = Field(default=60, description="The alignment period, at least 60 s.")
    timeout: SomeTime = Field(default=30, description="How long an answer may take.")
    delay: Duration = Field(default=120, description="How long after its end a period is taken for whole.")
    credentials_file: PathText | None = Field(
        default=None, description="A service account's key; left out: what the environment gives."
    )
    endpoint: str = Field(default="", description="Another server's host:port, for tests.")

    def settled(self, name: str, files: Files) -> to.GoogleMonitoringSource:
        """Frozen, with absolute paths."""
        return to.GoogleMonitoringSource(
            name=name,
            project=self.project,
            queries=MappingProxyType(
                {series: to.GoogleQuery(**dict(one)) for series, one in self.queries.items()}
            ),
            step_s=self.step,
            timeout_s=self.timeout,
            delay_s=self.delay,
            endpoint=self.endpoint,
            **files,
        )


class KubernetesSection(Section):
    """A cluster's Deployments and StatefulSets, and the autoscalers that hold them."""

    kubeconfig: PathText | None = Field(
        default=None, description="Its file; left out: KUBECONFIG, ~/.kube/config or the pod's own account."
    )
    context: str = Field(default="", description="The context of that file; left out: its current one.")
    namespaces: list[Name] = Field(default_factory=list, description="Those looked at; left out: all.")
    adopt: list[Text] = Field(
        default_factory=list,
        description="Field managers from whom the replicas may be taken, such as kubectl-client-side-apply.",
    )
    raise_maximum: bool = Field(default=False, description="true: an autoscaler's own maximum may be raised.")
    lead_time: Duration = Field(default=60, description="Lead time of pools that name none.")

    def settled(self, name: str, files: Files) -> to.KubernetesProvider:
        """Frozen, with absolute paths."""
        return to.KubernetesProvider(
            name=name,
            context=self.context,
            namespaces=tuple(self.namespaces),
            adopt=tuple(self.adopt),
            raise_maximum=self.raise_maximum,
            lead_time_s=self.lead_time,
            **files,
        )


class AwsSection(AwsAccountSection):
    """Pools of an account and region."""

    acting_role_arn: str = Field(
        default="", description="The role to assume for changes; left out: the same as for reading."
    )
    kinds: list[Literal["asg", "eks", "ecs", "ec2"]] = Field(
        default=["asg"], min_length=1, description="What is listed: groups, node groups, services, instances."
    )
    raise_maximum: bool = Field(default=False, description="true: a group's own maximum may be raised.")
    lead_time: Duration = Field(default=300, description="Lead time of pools that name none.")
    outlast: bool = Field(
        default=False,
        description="true: groups in mode auto get scheduled floors that hold if this program is gone.",
    )

    def settled(self, name: str, _files: Files) -> to.AwsProvider:
        """Frozen."""
        return to.AwsProvider(
            name=name,
            account=self.account(),
            acting_role_arn=self.acting_role_arn,
            kinds=tuple(self.kinds),
            raise_maximum=self.raise_maximum,
            lead_time_s=self.lead_time,
            outlast=self.outlast,
        )


class GoogleSection(Section):
    """Managed instance groups and instances of a project."""

    project: Text = Field(description="The project.")
    locations: list[Name] = Field(
        default_factory=list, description="Zones and regions looked at; left out: all."
    )
    kinds: list[Literal["mig", "gce"]] = Field(
        default=["mig"], min_length=1, description="What is listed: groups, instances by their label."
    )
    credentials_file: PathText | None = Field(
        default=None, description="A service account's key; left out: what the environment gives."
    )
    endpoint_url: str = Field(default="", description="Another server than Google, for tests.")
    raise_maximum: bool = Field(default=False, description="true: an autoscaler's own maximum may be raised.")
    lead_time: Duration = Field(default=300, description="Lead time of pools that name none.")

    def settled(self, name: str, files: Files) -> to.GoogleProvider:
        """Frozen, with absolute paths."""
        return to.GoogleProvider(
            name=name,
            project=self.project,
            locations=tuple(self.locations),
            kinds=tuple(self.kinds),
            endpoint_url=self.endpoint_url,
            raise_maximum=self.raise_maximum,
            lead_time_s=self.lead_time,
            **files,
        )


def settled(section: Any, place: tuple[str | int, ...], paths: Mapping[tuple[str | int, ...], str]) -> Any:
    """The frozen settings of the section at `place`; `paths` are the absolute ones, by place."""
    name = "/".join(str(part) for part in place[1:]) if place[0] == "providers" else f"metrics {place[-1]}"
    files = {str(at[-1]): path for at, path in paths.items() if at[:-1] == place}
    return section.settled(name, files)
