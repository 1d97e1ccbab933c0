"""What doctor sees at Google Cloud, the marks on an autoscaler, ids, and what docs/google.md says."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.clock import SetClock
from autoscaler.connections import GoogleProvider
from autoscaler.providers import google
from autoscaler.providers.google.marks import PREFIX, marked, marks
from autoscaler.providers.google.places import Place, place_of
from tests.google_api.routes import Fault, RefusedError
from tests.google_api.server import serving

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
DOCUMENT = (Path(__file__).parents[2] / "docs" / "google.md").read_text()
UNASKED = ["compute.instanceGroupManagers.update", "compute.instances.start", "compute.instances.stop"]
ASKED = {*google.PERMISSIONS, *google.ACTING} - {*UNASKED}


@pytest.fixture
def api():
    """A project with a zonal group, and a regional one beside an autoscaler, at START."""
    with serving() as found:
        found.date = START.timestamp()
        found.group("us-central1-a", "web", 4)
        found.group("europe-west1", "shop", 6, scaler=(4, 10))
        yield found
    assert found.strangers == []


def examined(api, clock=None):
    """Every check by what was looked at; looking changes nothing."""
    settings = GoogleProvider(name="gcp", project=api.project, endpoint_url=api.url, kinds=("mig", "gce"))
    checks = google.connect(settings, clock or SetClock(START)).examine()
    assert not [call for call in api.calls if not call.startswith("GET") and "testIam" not in call]
    found = {check.what: check for check in checks}
    assert len(found) == len(checks)
    return found


def test_a_sound_project_is_sound(api):
    """Every permission is looked at and held, the clock agrees; what cannot be asked for is said to be so."""
    found = examined(api)
    assert {what for what, check in found.items() if check.ok is True} == {
        *ASKED,
        "clock",
        "mig/europe-west1/shop",
    }
    assert [what for what, check in found.items() if check.ok is None] == UNASKED
    assert api.used <= {*google.PERMISSIONS, *google.ACTING}


@pytest.mark.parametrize("permission", sorted(ASKED))
def test_f48_doctor_names_each_permission_that_is_missing(api, permission):
    """Each permission that is not held is found and named with its mend."""
    api.denied.add(permission)
    check = examined(api)[permission]
    assert check.ok is False
    assert permission in check.mend
    assert "project shop" in check.mend


def test_an_empty_project_leaves_open_what_cannot_be_asked(api):
    """Where there is no group and no autoscaler their permissions are unknown, not held and not missing."""
    api.groups.clear()
    api.scalers.clear()
    found = examined(api)
    assert [what for what, check in found.items() if check.ok is True] == [
        "compute.instanceGroupManagers.list",
        "compute.autoscalers.list",
        "compute.zones.list",
        "compute.instances.list",
        "clock",
    ]
    assert not [check for check in found.values() if check.ok is False]


def test_a_server_that_does_not_answer_leaves_all_open(api):
    """Nothing is raised, and nothing is called missing, when no call is answered."""
    api.faults.append(Fault("", RefusedError(500, "internalError", "oops"), times=99))
    found = examined(api)
    assert {check.ok for what, check in found.items() if what != "clock"} == {None}


def test_a_project_that_is_not_there_is_named(api):
    """A wrong project is told as such."""
    api.faults.append(Fault("", RefusedError(404, "notFound", "The project was not found"), times=99))
    check = examined(api)["compute.instanceGroupManagers.list"]
    assert (check.ok, "correct `project`" in check.mend) == (False, True)


@pytest.mark.parametrize(("seconds", "ok"), [(59, True), (-59, True), (61, False), (-61, False)])
def test_f49_a_clock_that_is_off_is_told(api, seconds, ok):
    """A machine's clock more than a minute off is told, with the way."""
    clock = SetClock(START)
    api.date = START.timestamp() - seconds
    check = examined(api, clock)["clock"]
    assert check.ok is ok
    assert ok or f"61 s {'ahead of' if seconds > 0 else 'behind'}" in check.why


def test_other_scalers_are_told(api):
    """Node pools' groups, autoscalers that only scale out, and scaling schedules are told with a mend."""
    api.group("us-central1-a", "gke-shop-pool-1-grp", 3)
    bounds = {"minNumReplicas": 1, "maxNumReplicas": 5}
    api.group("us-central1-b", "only", 3, scaler=bounds | {"mode": "ONLY_SCALE_OUT"})
    api.group(
        "us-central1-b",
        "timed",
        3,
        scaler=bounds | {"scalingSchedules": {"noon": {"minRequiredReplicas": 4}}},
    )
    api.group("us-central1-b", "idle", 3, scaler=bounds | {"mode": "OFF"})
    found = examined(api)
    told = {what: check.ok for what, check in found.items() if what.startswith("mig/")}
    assert told == {
        "mig/europe-west1/shop": True,
        "mig/us-central1-a/gke-shop-pool-1-grp": False,
        "mig/us-central1-b/only": False,
        "mig/us-central1-b/timed": None,
        "mig/us-central1-b/idle": True,
    }
    assert all(found[what].mend for what, ok in told.items() if not ok)


TEXTS = st.text(st.characters(exclude_categories=["Cc", "Zl", "Zp"], exclude_characters="\x85"), max_size=20)
VALUES = st.dictionaries(
    st.sampled_from(["original-size", "last-key", "freeze"]).map(PREFIX.__add__),
    TEXTS.map(str.strip),
    max_size=3,
)


@given(st.lists(TEXTS, max_size=4), VALUES)
def test_marks_leave_the_owners_text_alone(lines, ours):
    """What is written is read back; taken away, the description is what its owner wrote."""
    text = "\n".join(line for line in lines if not line.strip().startswith(PREFIX))
    written = marked(text, ours)
    assert marks(written) == ours
    assert marked(written, dict.fromkeys(ours)).splitlines() == text.splitlines()


@pytest.mark.parametrize(
    ("location", "regional"),
    [
        ("us-central1", True),
        ("northamerica-northeast2", True),
        ("us-central1-a", False),
        ("europe-west12-c", False),
        ("us-central1-ai1a", False),
    ],
)
def test_zones_and_regions_are_told_apart(location, regional):
    """A location's form says whether it is a region; an id is read as it is written."""
    place = Place(location, "web")
    assert place.regional is regional
    assert place_of(place.id) == place


def blocks(language):
    """The documents' blocks of a language."""
    return [yaml.safe_load(text) for text in re.findall(rf"```{language}\n(.*?)```", DOCUMENT, re.DOTALL)]


def test_the_document_is_so():
    """Its example is a provider's settings, and its roles are the permissions that the provider declares."""
    example, reading, acting = blocks("yaml")
    lists = {name: tuple(example[name]) for name in ("locations", "kinds")}
    settings = GoogleProvider(**{**example, **lists})
    assert (settings.lead_time_s, settings.raise_maximum) == (300, False)
    assert tuple(reading["includedPermissions"]) == google.PERMISSIONS
    assert tuple(acting["includedPermissions"]) == google.ACTING


def test_nothing_of_google_is_imported_before_it_is_connected():
    """The provider's module costs no SDK: 5 s of CPU only where it is used."""
    names = "autoscaler.providers.google, autoscaler.google_cloud"
    code = f"import sys, {names}; print('google.cloud' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "False\n"
