"""A client of CloudWatch that asks nobody: answers in the shape that AWS documents, held to its model."""

from __future__ import annotations

import threading
from functools import cache
from types import SimpleNamespace

from botocore.validate import ParamValidator

from autoscaler import aws
from autoscaler.connections import AwsAccount

ACCOUNT = AwsAccount(region="eu-central-1", endpoint_url="http://127.0.0.1:9")


class Refused(Exception):
    """What AWS answers in place of a result."""

    def __init__(self, code, message, status=400):
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


class Recorded:
    """`answer(operation, parameters)` gives each answer; `calls` are those that were made, in order.

    It is its own client: the SDK's, made once for all of them, checks what is asked and what is answered.
    """

    def __init__(self, answer):
        self.calls, self._answer, self._turn = [], answer, threading.Lock()
        self.client = self

    def get_metric_data(self, **parameters):
        _ASKING.recorded = self
        return sdk().get_metric_data(**parameters)

    def list_metrics(self, **parameters):
        _ASKING.recorded = self
        return sdk().list_metrics(**parameters)

    def permissions(self):
        """The calls in AWS's words."""
        return {f"cloudwatch:{operation}" for operation, _parameters in self.calls}

    def answered(self, model, asked):
        """What the SDK is to read in place of an answer over the network."""
        with self._turn:
            self.calls.append((model.name, asked))
        try:
            answer = self._answer(model.name, asked)
        except Refused as error:
            found = {"Code": error.code, "Message": error.message, "Type": "Sender"}
            meta = {"HTTPStatusCode": error.status}
            return SimpleNamespace(status_code=error.status), {"Error": found, "ResponseMetadata": meta}
        shown = {key: value for key, value in answer.items() if key != "ResponseMetadata"}
        report = ParamValidator().validate(shown, model.output_shape)
        assert not report.has_errors(), report.generate_report()
        return SimpleNamespace(status_code=200), answer


_ASKING = threading.local()
_MAKING = threading.Lock()


def sdk():
    """The SDK's client, whose calls end before the network."""
    with _MAKING:
        return _sdk()


@cache
def _sdk():
    client = aws.client(ACCOUNT, "cloudwatch")
    events = client.meta.events
    events.register("before-parameter-build.cloudwatch.*", _asked)
    events.register("before-call.cloudwatch.*", _answered)
    return client


def _asked(params, context, **_rest):
    context["asked"] = dict(params)


def _answered(model, context, **_rest):
    return _ASKING.recorded.answered(model, context["asked"])


def result(made_id, points=(), *, label="Metric", status="Complete", messages=()):
    """One MetricDataResult: points are (aware datetime, value)."""
    return {
        "Id": made_id,
        "Label": label,
        "Timestamps": [at for at, _value in points],
        "Values": [value for _at, value in points],
        "StatusCode": status,
        "Messages": [{"Code": code, "Value": value} for code, value in messages],
    }


def ids(parameters):
    """The ids of the queries whose data is returned."""
    return [query["Id"] for query in parameters["MetricDataQueries"] if query["ReturnData"]]
