"""Credentials that cannot be had are Denied with the mend, by whatever name the libraries call it."""

from __future__ import annotations

import pytest
from botocore import exceptions as botocore
from google.auth import exceptions as auth

from autoscaler import aws, google_cloud
from autoscaler.errors import Denied, Unreachable


@pytest.mark.parametrize(
    "error",
    [
        botocore.NoCredentialsError(),
        botocore.UnauthorizedSSOTokenError(),
        botocore.SSOTokenLoadError(error_msg="no token"),
        botocore.TokenRetrievalError(provider="sso", error_msg="it ended"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_f49_credentials_of_aws_that_ended_are_denied(error):
    """Nobody reaches AWS by waiting: the operator logs in anew."""
    with pytest.raises(Denied, match="give credentials"), aws.told("autoscaling:DescribePolicies"):
        raise error


def test_f49_credentials_of_google_that_ended_are_denied():
    """Each error of the credentials is one of ours; a network that failed on the way is Unreachable."""
    for error in (auth.RefreshError("x"), auth.MalformedError("x"), auth.InvalidValue("x")):
        with pytest.raises(Denied, match="credentials_file"), google_cloud.told("compute.zones.list"):
            raise error
    with pytest.raises(Unreachable), google_cloud.told("compute.zones.list"):
        raise auth.TransportError("x")
