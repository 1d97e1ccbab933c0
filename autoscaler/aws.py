"""Clients of AWS, each with deadlines, few retries and a role that is assumed anew before it ends.

boto3 is imported when the first client is made.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from autoscaler.clock import SystemClock
from autoscaler.errors import (
    Denied,
    InsufficientCapacity,
    Invalid,
    NotFound,
    ProviderError,
    Temporary,
    Throttled,
    Unreachable,
)
from autoscaler.programs import CREDENTIALS_S, failure, ran

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from autoscaler.connections import AwsAccount

CONNECT_S, READ_S, ATTEMPTS = 3, 10, 4
CREDENTIAL_ATTEMPTS = 2  # of a call for credentials, which stands before every other one
LONGEST = 300  # characters of a message: a proxy answers with whole pages
AT_ONCE = timedelta(seconds=1)  # credentials that end so soon have ended before botocore looks at them
ANYONE = "loadline"  # the name and secret shown to another server, which asks for some

_DENIED = frozenset(
    {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthFailure", "OptInRequired"}
)
_STALE_CREDENTIALS = frozenset(
    {
        *("ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException"),
        *("SignatureDoesNotMatch", "RequestExpired", "InvalidSignatureException", "RequestTimeTooSkewed"),
    }
)
_NO_UNITS = frozenset(
    {
        *("InsufficientInstanceCapacity", "InsufficientHostCapacity", "InsufficientReservedInstanceCapacity"),
        *("VcpuLimitExceeded", "InstanceLimitExceeded", "MaxSpotInstanceCountExceeded"),
    }
)
_BUSY = frozenset(
    {
        *("ScalingActivityInProgress", "ScalingActivityInProgressFault", "ResourceContention"),
        *("ResourceContentionFault", "ResourceInUseException", "ConcurrentUpdateException"),
        *("IncorrectInstanceState", "UpdateInProgressException"),
    }
)
_NO_CREDENTIALS = frozenset(
    {
        *("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "CredentialRetrievalError"),
        *("UnauthorizedSSOTokenError", "SSOTokenLoadError", "SSOError", "TokenRetrievalError"),
    }
)
_THROTTLED = frozenset(
    {
        *("Throttling", "ThrottlingException", "ThrottledException", "RequestLimitExceeded"),
        *("TooManyRequestsException", "RequestThrottled", "SlowDown"),
    }
)
# So AWS calls a quota of an account, or the most that one thing may have (tags, scheduled actions), and no
# rate: Auto Scaling the first, Application Auto Scaling and ECS the second, EKS the third; STS has none.
_QUOTA = frozenset({"LimitExceeded", "LimitExceededException", "ResourceLimitExceededException"})
_KINDS: tuple[tuple[frozenset[str], type[ProviderError]], ...] = (
    (_NO_UNITS, InsufficientCapacity),
    (_BUSY, Temporary),
)


def client(
    account: AwsAccount, service: str, *, read_s: float | None = None, attempts: int = ATTEMPTS
) -> Any:
    """A client of one service in the account's region. ProviderError where boto3 is missing or refuses.

    `attempts` counts the first one too; calls that change something pass 1: what became of a lost one is told
    by asking, not by trying again.
    """
    with told(service):
        session = _session(account)
        from botocore.config import Config  # noqa: PLC0415 - boto3 only where AWS is asked

        config = Config(
            connect_timeout=CONNECT_S,
            read_timeout=READ_S if read_s is None else read_s,
            retries={"mode": "standard", "total_max_attempts": attempts},
            user_agent_extra=ANYONE,
        )
        parsers = session._session.get_component("response_parser_factory")  # noqa: SLF001 - boto3 hides it
        parsers.set_parser_defaults(timestamp_parser=_moment)
        return session.client(service, config=config, endpoint_url=account.endpoint_url or None)


def _moment(value: Any) -> datetime:
    """A stamp of an answer, aware; the SDK's own reading takes nine tenths of the time of a back-fill."""
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    from botocore.utils import parse_timestamp  # noqa: PLC0415 - as above

    return parse_timestamp(value)  # type: ignore[no-any-return, unused-ignore]


def _session(account: AwsAccount) -> Any:
    import boto3  # noqa: PLC0415 - 0.6 s of CPU, only where AWS is asked

    keys = {"aws_access_key_id": ANYONE, "aws_secret_access_key": ANYONE} if account.endpoint_url else {}
    if account.profile:
        keys = {"profile_name": account.profile}
    session = boto3.Session(botocore_session=_bare(), region_name=account.region, **keys)
    _end_programs(session._session)  # noqa: SLF001 - boto3 has no other way to the botocore session
    return _assumed(session, account) if account.role_arn else session


def _bare() -> Any:
    """A session that shares its models of services with all others: each costs tenths of a second."""
    from botocore.session import get_session  # noqa: PLC0415 - as above

    session = get_session()
    loader = _loader()
    loader.search_paths[:] = dict.fromkeys(loader.search_paths)  # each session adds its own
    session.register_component("data_loader", loader)
    _bound(session)
    return session


def _bound(session: Any) -> None:
    """Give a deadline to the clients that botocore itself makes for credentials: of STS and SSO."""
    from botocore.config import Config  # noqa: PLC0415 - as above

    retries = {"mode": "standard", "total_max_attempts": CREDENTIAL_ATTEMPTS}
    session.set_default_client_config(
        Config(connect_timeout=CONNECT_S, read_timeout=READ_S, retries=retries, user_agent_extra=ANYONE)
    )


@cache
def _loader() -> Any:
    from botocore.loaders import create_loader  # noqa: PLC0415 - as above

    return create_loader()


def _assumed(session: Any, account: AwsAccount) -> Any:
    """A session of the role, whose credentials are renewed by themselves."""
    import boto3  # noqa: PLC0415 - as above
    from botocore.credentials import (  # noqa: PLC0415 - as above
        AssumeRoleCredentialFetcher,
        DeferredRefreshableCredentials,
    )

    extra = {"RoleSessionName": ANYONE} | ({"ExternalId": account.external_id} if account.external_id else {})
    inner = session._session  # noqa: SLF001 - boto3 has no other way to the botocore session
    fetcher = AssumeRoleCredentialFetcher(
        client_creator=_creator(inner, account),
        source_credentials=session.get_credentials(),
        role_arn=account.role_arn,
        extra_args=extra,
    )
    assumed = _bare()
    assumed._credentials = DeferredRefreshableCredentials(  # noqa: SLF001 - as above
        method="assume-role", refresh_using=fetcher.fetch_credentials
    )
    return boto3.Session(botocore_session=assumed, region_name=account.region)


def _creator(session: Any, account: AwsAccount) -> Any:
    """How the fetcher makes its client of STS: in the account's region, at the account's endpoint."""

    def create(service: str, **arguments: Any) -> Any:
        arguments.setdefault("region_name", account.region)
        return session.create_client(service, endpoint_url=account.endpoint_url or None, **arguments)

    return create


def _end_programs(session: Any) -> None:
    """Let a `credential_process`, that of a source profile too, be ended at its deadline: it has none."""
    from botocore.credentials import ProcessProvider  # noqa: PLC0415 - as above

    def provider(profile_name: str) -> Any:
        return ProcessProvider(
            profile_name=profile_name,
            load_config=lambda: session.full_config,
            popen=partial(_Program, profile=profile_name),
        )

    resolver = session.get_component("credential_provider")
    name = session.get_config_variable("profile") or "default"
    resolver.insert_before(ProcessProvider.METHOD, provider(name))
    builder = resolver.get_provider("assume-role")._profile_provider_builder  # noqa: SLF001 - the only way to it
    builder._create_process_provider = provider  # noqa: SLF001 - as above


class _Program:
    """A `credential_process` as botocore runs one: Unreachable where it hangs, Denied where it gives none."""

    def __init__(self, command: Sequence[str], *, profile: str, **_pipes: Any) -> None:
        """Run it to its end; botocore would show all that it said, and not check what it answered."""
        if not command:
            raise Denied(f"profile {profile}: credential_process is empty; name a program")
        what = f"profile {profile}: credential_process {command[0]}"
        try:
            done = ran(command, name=what, deadline_s=CREDENTIALS_S)
        except Unreachable as error:
            raise Unreachable(f"{error}; run it by hand") from error
        except OSError as error:
            raise Denied(f"{what} cannot be run ({error}); install it, or give its whole path") from error
        failed = failure(done)
        if failed:
            raise Denied(f"{what} {failed}; run it by hand")
        wrong = _no_keys(done.stdout)
        if wrong:
            raise Denied(f"{what} answered {wrong}; run it by hand")
        self.returncode, self._said = done.returncode, (done.stdout, b"")

    def communicate(self) -> tuple[bytes, bytes]:
        """What it said on its two outputs."""
        return self._said


def _no_keys(answer: bytes) -> str:
    """Why the answer of a program holds no credentials, "" where it does; its text may hold secrets."""
    try:
        told = json.loads(answer.decode())
    except ValueError:
        return "no credentials"
    if not isinstance(told, dict):
        return "no credentials"
    if told.get("Version") != 1:
        return "in another Version than 1, or in none"
    for name in ("AccessKeyId", "SecretAccessKey"):
        if not told.get(name) or not isinstance(told[name], str):
            return f"no {name}"
    if not isinstance(told.get("SessionToken"), str | None):
        return "a SessionToken that is no text"
    return "" if told.get("Expiration") is None else _no_end(told["Expiration"])


def _no_end(ends: Any) -> str:
    """Why the `Expiration` of credentials does not serve, "" where it is a moment to come."""
    # botocore reads it so
    from dateutil.parser import parse  # type: ignore[import-untyped, unused-ignore]  # noqa: PLC0415

    try:
        at = parse(ends)
    except (OverflowError, TypeError, ValueError):
        at = None
    if at is None or at.tzinfo is None:
        return f"an Expiration that is no moment with a zone ({str(ends)[:40]!r})"
    if at <= SystemClock().now() + AT_ONCE:
        return f"credentials that have ended ({at.isoformat()}; look at this machine's clock too)"
    return ""


@contextmanager
def told(what: str) -> Iterator[None]:
    """Turn what botocore raises into our own errors; `what` names the call, such as a permission."""
    try:
        from botocore.exceptions import (  # noqa: PLC0415 - as above
            BotoCoreError,
            ClientError,
            ParamValidationError,
        )
        from botocore.parsers import ResponseParserError  # noqa: PLC0415 - as above
    except ImportError as error:
        raise Invalid("AWS needs boto3: pip install 'loadline[aws]'") from error
    try:
        yield
    except ClientError as error:
        raise _refused(what, error.response) from error
    except ResponseParserError as error:
        said = " ".join(str(error).split())[:LONGEST]
        why = f"{what}: the answer cannot be read, as if it came from a proxy and not from AWS ({said})"
        raise Unreachable(why) from error
    except ParamValidationError as error:
        raise Invalid(f"{what}: {error}") from error
    except BotoCoreError as error:
        if type(error).__name__ in _NO_CREDENTIALS:
            why = f"{what}: {error}; give credentials by the environment, a profile or a role"
            raise Denied(why) from error
        raise Unreachable(f"{what}: {error}") from error


FORBIDDEN = 403  # also where the answer's own code is one that nobody knows


def _refused(what: str, answer: dict[str, Any]) -> ProviderError:
    """What an answer that refuses comes to; `what` is the permission that the call needs."""
    told, about = answer.get("Error", {}), answer.get("ResponseMetadata", {})
    code = str(told.get("Code", ""))
    message = f"{what}: {' '.join(str(told.get('Message', '') or code).split())[:LONGEST]}"
    if code in _STALE_CREDENTIALS:
        return Denied(f"{message} ({code}; renew the credentials, and look at this machine's clock)")
    if code in _DENIED:
        return Denied(f"{message} (the permission {what} is needed)")
    if code in _THROTTLED:
        return Throttled(message, retry_after=_rest_s(about))
    if code in _QUOTA:
        mend = "have it raised in Service Quotas, or remove what is not used: trying again does not help"
        return Invalid(f"{message} ({code}: a quota of AWS is reached; {mend})")
    kind = next((kind for codes, kind in _KINDS if code in codes), None)
    status = int(about.get("HTTPStatusCode", 400))
    if kind is None and status == FORBIDDEN:
        return Denied(f"{message} ({code}; the permission {what} is needed)")
    if kind is None and status >= 500:
        kind = Unreachable
    if kind is None and (code.endswith(("NotFound", "NotFoundException")) or "not found" in message):
        kind = NotFound
    return (kind or Invalid)(f"{message} ({code})")


def _rest_s(about: dict[str, Any]) -> float:
    """How long to rest in seconds, as the answer's header says; 30 where it says nothing that is a number."""
    value = str(about.get("HTTPHeaders", {}).get("retry-after", ""))
    return float(value) if value.isdecimal() else 30.0
