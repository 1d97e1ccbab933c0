"""What the adapter relies on, stated as laws of the server: of the fake, and of a real one if it is named."""

from __future__ import annotations

import pytest

from autoscaler.errors import Invalid, NotFound, Owned, Stale
from autoscaler.providers.kubernetes.owners import conflicting, of
from autoscaler.providers.kubernetes.resources import DEPLOYMENTS, PODS
from tests.kubernetes_api import fields
from tests.kubernetes_api.objects import hpa, populate, put, workload
from tests.kubernetes_api.worlds import SOCKETS, STARTER, WHERE, opened

pytestmark = list(SOCKETS)
REPLICAS = ("spec", "replicas")


@pytest.fixture(params=WHERE)
def hand(request, tmp_path):
    """One who works on a cluster that has a deployment of four units."""
    with opened(request.param, tmp_path) as world:
        world.put(workload())
        yield world.hand


def scale(hand, size, manager="loadline", **how):
    how = {"sub": "scale", **how}
    metadata = how.pop("metadata", {})
    return hand.apply("Deployment", "web", {"spec": {"replicas": size}, "metadata": metadata}, manager, **how)


def test_an_old_resource_version_is_a_conflict_without_managers(hand):
    """A version that was overtaken is refused with 409, also on the scale, and nothing changes."""
    old = hand.get("Deployment", "web")["metadata"]["resourceVersion"]
    hand.scale("Deployment", "web", 5)
    with pytest.raises(Stale):
        scale(hand, 6, metadata={"resourceVersion": old}, force=True)
    with pytest.raises(Stale):
        hand.merge("Deployment", "web", {"metadata": {"resourceVersion": old, "labels": {"a": "b"}}})
    assert hand.get("Deployment", "web")["spec"]["replicas"] == 5


def test_an_apply_against_another_manager_names_it(hand):
    """Another value of a field that another manager set is refused, by its name; the same value is shared."""
    with pytest.raises(Owned, match=STARTER):
        scale(hand, 6)
    scale(hand, 4)
    item = hand.get("Deployment", "web")
    assert set(of(item, REPLICAS)) == {STARTER}
    assert "loadline" in str(item["metadata"]["managedFields"])


def test_force_takes_the_field(hand):
    """A forced apply has the field alone, and others conflict with it from then on, on either path."""
    scale(hand, 6, force=True)
    assert of(hand.get("Deployment", "web"), REPLICAS) == ()
    with pytest.raises(Owned, match="loadline"):
        hand.apply("Deployment", "web", {"spec": {"replicas": 3}}, "argocd-controller")


def test_an_update_takes_what_it_changes(hand):
    """Who writes without apply is never refused, and becomes the manager of what it changed."""
    hand.scale("Deployment", "web", 5, manager="kubectl")
    assert of(hand.get("Deployment", "web"), REPLICAS) == ("kubectl",)
    hand.scale("Deployment", "web", 5, manager="someone")
    assert of(hand.get("Deployment", "web"), REPLICAS) == ("kubectl",)


def test_a_field_that_only_we_own_is_reset_where_we_leave_it_out(hand):
    """An apply without it puts it back to its default: so nothing is ever given up that way."""
    scale(hand, 6, force=True, sub="")
    hand.apply("Deployment", "web", {}, "loadline")
    assert hand.get("Deployment", "web")["spec"]["replicas"] == 1


def test_managed_fields_without_ours_give_up_the_field_and_keep_its_value(hand):
    """The record may be written without an entry: the value stays, and is nobody's."""
    scale(hand, 6, force=True)
    entries = hand.get("Deployment", "web")["metadata"]["managedFields"]
    others = [one for one in entries if one["manager"] != "loadline"]
    hand.merge("Deployment", "web", {"metadata": {"managedFields": others}}, "loadline")
    item = hand.get("Deployment", "web")
    assert (item["spec"]["replicas"], of(item, REPLICAS)) == (6, ())
    assert "loadline" not in str(item["metadata"]["managedFields"])


def test_marks_are_set_and_kept_by_apply(hand):
    """Annotations that are applied stand beside those of others; one that is left out goes."""
    hand.annotate("Deployment", "web", theirs="1")
    hand.apply("Deployment", "web", {"metadata": {"annotations": {"a": "1", "b": "2"}}}, "loadline")
    hand.apply("Deployment", "web", {"metadata": {"annotations": {"a": "3"}}}, "loadline")
    marks = hand.get("Deployment", "web")["metadata"]["annotations"]
    assert {name: marks.get(name) for name in ("theirs", "a", "b")} == {"theirs": "1", "a": "3", "b": None}


def test_a_dry_run_answers_and_stores_nothing(hand):
    """dryRun=All answers with the new object, and the old one stays."""
    answer = scale(hand, 6, force=True, dry=True)
    assert answer["spec"]["replicas"] == 6
    assert hand.get("Deployment", "web")["spec"]["replicas"] == 4


def test_what_makes_no_sense_is_invalid(hand):
    """Negative replicas and a minimum above the maximum are refused with 422."""
    with pytest.raises(Invalid):
        scale(hand, -1, force=True)
    with pytest.raises(Invalid):
        hand.create({**hpa(least=5, most=4), "metadata": {"name": "bad", "namespace": hand.namespace}})
    assert hand.get("Deployment", "web")["spec"]["replicas"] == 4


def test_a_generation_moves_with_the_spec_alone(hand):
    """Annotations move the resourceVersion and not the generation; a size moves both."""
    before = hand.get("Deployment", "web")["metadata"]
    hand.annotate("Deployment", "web", a="1")
    marked = hand.get("Deployment", "web")["metadata"]
    assert marked["generation"] == before["generation"]
    assert marked["resourceVersion"] != before["resourceVersion"]
    scale(hand, 5, force=True)
    assert hand.get("Deployment", "web")["metadata"]["generation"] == before["generation"] + 1


def test_nothing_is_made_by_an_apply_at_a_version(hand):
    """An object that is gone does not come back by a change that was meant for it."""
    metadata = hand.get("Deployment", "web")["metadata"]
    hand.delete("Deployment", "web")
    own = {"resourceVersion": metadata["resourceVersion"], "uid": metadata["uid"]}
    with pytest.raises((Stale, NotFound)):
        hand.apply("Deployment", "web", {"metadata": {**own, "annotations": {"a": "1"}}}, "loadline")
    with pytest.raises(NotFound):
        scale(hand, 6)
    with pytest.raises(NotFound):
        hand.get("Deployment", "web")


# The fake alone.


def test_lists_are_paged_as_of_their_beginning(tmp_path):
    """Pages follow each other without a gap, whatever is made meanwhile, and tell how much is left."""
    with opened("fake", tmp_path) as world:
        populate(world.api, 7)
        client = world.hand._client

        def page(token=""):
            query = {"limit": "3"} | ({"continue": token} if token else {})
            return client.ask("GET", DEPLOYMENTS.path(), "list", query=query).body

        first = page()
        assert first["metadata"]["remainingItemCount"] == 4
        put(world.api, workload(name="aaa", namespace="aaa"))
        second = page(first["metadata"]["continue"])
        third = page(second["metadata"]["continue"])
        names = [one["metadata"]["name"] for body in (first, second, third) for one in body["items"]]
        assert sorted(names) == [f"web-{number:04}" for number in range(7)]
        assert "continue" not in third["metadata"]


def test_selectors_choose(tmp_path):
    """Field and label selectors take what they say."""
    with opened("fake", tmp_path) as world:
        for number in range(3):
            put(world.api, workload(name=f"web-{number}"))
        client = world.hand._client

        def names(**query):
            body = client.ask("GET", DEPLOYMENTS.path(), "list", query=query).body
            return [one["metadata"]["name"] for one in body["items"]]

        assert names(labelSelector="app=web-1") == ["web-1"]
        assert names(labelSelector="app!=web-1", fieldSelector="metadata.name!=web-2") == ["web-0"]
        assert (
            client.ask("GET", PODS.path(), "list", query={"fieldSelector": "status.phase=Pending"}).body[
                "items"
            ]
            == []
        )


def test_fields_are_written_and_read_back():
    """The record of fields keeps every path, with dots and slashes in names."""
    paths = {("spec", "replicas"), ("metadata", "annotations", "loadline.dev/original-size")}
    tree = fields.encoded(paths)
    assert tree["f:spec"] == {"f:replicas": {}}
    assert fields.decoded(tree) == paths


def test_conflicts_are_read_from_their_causes():
    """Only causes of field managers name managers, each once, whatever subresource they wrote."""
    text = 'conflict with "kubectl" with subresource "scale" using apps/v1'
    causes = [{"reason": "FieldManagerConflict", "message": text}] * 2 + [{"reason": "Else", "message": text}]
    assert conflicting({"details": {"causes": causes}}) == ("kubectl",)
    assert conflicting({"details": {"causes": causes[2:]}}) == ()
    assert conflicting({}) == ()
