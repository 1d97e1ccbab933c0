"""Calls to AWS, named as IAM names them (autoscaler.aws tells what is refused in our own errors)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from autoscaler import aws
from autoscaler.connections import AwsProvider
from autoscaler.errors import Denied, Invalid, Unreachable
from autoscaler.transport import refuse_late

CHANGE_READ_S = 5.0


class Asking:
    """One client for each service and way of calling, made when it is needed. Safe for several threads.

    After a refusal for want of rights or credentials the clients are made anew: renewed ones then count.
    """

    def __init__(self, settings: AwsProvider) -> None:
        """Nothing is connected yet."""
        self._account = settings.account
        self._acting = (
            replace(settings.account, role_arn=settings.acting_role_arn)
            if settings.acting_role_arn
            else settings.account
        )
        self._clients: dict[tuple[str, str], Any] = {}
        self._turn = threading.Lock()

    def read(self, action: str, **arguments: Any) -> dict[str, Any]:
        """The answer to a call that reads; `action` as in `autoscaling:DescribePolicies`. ProviderError."""
        return self._ask("read", action, arguments)

    def once(self, action: str, **arguments: Any) -> dict[str, Any]:
        """The same without trying again: for what may well not be there."""
        return self._ask("once", action, arguments)

    def change(self, action: str, **arguments: Any) -> dict[str, Any]:
        """Something is changed, by the acting role, in time and without trying again. ProviderError."""
        refuse_late(action)
        return self._ask("change", action, arguments)

    def rehearse(self, action: str, **arguments: Any) -> None:
        """Ask EC2 whether it would do it, changing nothing; raises what it would raise."""
        try:
            self.change(action, DryRun=True, **arguments)
        except Invalid as error:
            if getattr(error.__cause__, "response", {}).get("Error", {}).get("Code") != "DryRunOperation":
                raise

    def pages(self, action: str, **arguments: Any) -> Iterator[dict[str, Any]]:
        """Each page of a listing, to the end. A page that fails raises; those before it were yielded."""
        token: dict[str, str] = {}
        while True:
            answer = self.read(action, **arguments, **token)
            yield answer
            name = "NextToken" if "NextToken" in answer else "nextToken"
            after = answer.get(name)
            if not after:
                return
            if token.get(name) == after:
                raise Unreachable(f"{action}: the page after {after!r} is that page again")
            token = {name: after}

    def _ask(self, way: str, action: str, arguments: dict[str, Any]) -> dict[str, Any]:
        service, _, operation = action.partition(":")
        try:
            client = self._client(way, service)
            with aws.told(action):
                answer: dict[str, Any] = getattr(client, _method(operation))(**arguments)
        except Denied:
            with self._turn:
                self._clients.clear()
            raise
        return answer

    def _client(self, way: str, service: str) -> Any:
        with self._turn:
            if (way, service) not in self._clients:
                self._clients[way, service] = self._connected(way, service)
            return self._clients[way, service]

    def _connected(self, way: str, service: str) -> Any:
        if way == "change":
            made = aws.client(self._acting, service, read_s=CHANGE_READ_S, attempts=1)
            made.meta.events.register_first("before-send", _in_time)
            return made
        return aws.client(self._account, service, attempts=1 if way == "once" else aws.ATTEMPTS)


def _in_time(*, event_name: str, **_: Any) -> None:
    """Refuse what is late as it is sent: credentials may have been renewed since, and slowly."""
    refuse_late(event_name.partition(".")[2])


def _method(operation: str) -> str:
    from botocore import xform_name  # noqa: PLC0415 - boto3 only where AWS is asked

    return str(xform_name(operation))
