"""A client of CloudWatch that asks nobody: answers in the shape that AWS documents, held to its model."""

from __future__ import annotations

import threading
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
    """`answer(operation, parameters)` gives each answer; `calls` are those that were made, in order."""

    def __init__(self, answer):
        self.calls, self._answer, self._turn = [], answer, threading.Lock()
        self.client = aws.client(ACCOUNT, "cloudwatch")
        events = self.client.meta.events
        events.register("before-parameter-build.cloudwatch.*", self._asked)
        events.register("before-call.cloudwatch.*", self._answered)

    def permissions(self):
        """The calls in AWS's words."""
        return {f"cloudwatch:{operation}" for operation, _parameters in self.calls}

    def _asked(self, params, model, context, **_rest):
        context["asked"] = params
        with self._turn:
            self.calls.append((model.name, dict(params)))

    def _answered(self, model, context, **_rest):
        try:
            answer = self._answer(model.name, context["asked"])
        except Refused as error:
            found = {"Code": error.code, "Message": error.message, "Type": "Sender"}
            meta = {"HTTPStatusCode": error.status}
            return SimpleNamespace(status_code=error.status), {"Error": found, "ResponseMetadata": meta}
        shown = {key: value for key, value in answer.items() if key != "ResponseMetadata"}
        report = ParamValidator().validate(shown, model.output_shape)
        assert not report.has_errors(), report.generate_report()
        return SimpleNamespace(status_code=200), answer


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
