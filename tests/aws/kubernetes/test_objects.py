"""Objects through the API: created, read, changed, selected and deleted, in the words of Kubernetes' API server."""

import json
import threading
from typing import Any

import pytest

from tests.aws.kubernetes.api import (
    APPLY,
    CONFIG_MAPS,
    DEPLOYMENTS,
    JSON_PATCH,
    PODS,
    SCALED_OBJECTS,
    STRATEGIC,
    TABLE,
    Api,
    Refused,
    deployment,
    scaled_object,
)


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def refused(api: Api, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
    with pytest.raises(Refused) as caught:
        api.call(method, path, body, content_type)
    assert caught.value.answer["kind"] == "Status"
    assert caught.value.answer["code"] == caught.value.status
    return caught.value.answer


def test_create_gives_identity_and_get_reads_it_back(api: Api) -> None:
    made = api.create(CONFIG_MAPS, config_map("made", a="1"))
    metadata = made["metadata"]
    assert metadata["uid"]
    assert metadata["creationTimestamp"]
    assert int(metadata["resourceVersion"]) > 0
    assert api.get(f"{CONFIG_MAPS}/made") == made


def test_second_create_conflicts(api: Api) -> None:
    api.create(CONFIG_MAPS, config_map("twice"))
    answer = refused(api, "POST", CONFIG_MAPS, config_map("twice"))
    assert (answer["reason"], answer["message"]) == ("AlreadyExists", 'configmaps "twice" already exists')
    assert answer["details"] == {"name": "twice", "kind": "configmaps"}


def test_missing_object_is_named(api: Api) -> None:
    answer = refused(api, "GET", f"{DEPLOYMENTS}/none")
    assert (answer["code"], answer["reason"]) == (404, "NotFound")
    assert answer["message"] == 'deployments.apps "none" not found'
    assert answer["details"] == {"name": "none", "group": "apps", "kind": "deployments"}


def test_missing_namespace_is_named(api: Api) -> None:
    answer = refused(api, "POST", "/api/v1/namespaces/nowhere/configmaps", config_map("x"))
    assert answer["message"] == 'namespaces "nowhere" not found'


def test_stale_update_conflicts(api: Api) -> None:
    first = api.create(CONFIG_MAPS, config_map("stale", a="1"))
    api.patch(f"{CONFIG_MAPS}/stale", {"data": {"a": "2"}})
    answer = refused(api, "PUT", f"{CONFIG_MAPS}/stale", first)
    assert answer["reason"] == "Conflict"
    assert answer["message"] == (
        'Operation cannot be fulfilled on configmaps "stale": the object has been modified; please apply your changes '
        "to the latest version and try again"
    )


def test_update_that_changes_nothing_keeps_the_version(api: Api) -> None:
    first = api.create(CONFIG_MAPS, config_map("same", a="1"))
    again = api.call("PUT", f"{CONFIG_MAPS}/same", first)
    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


def test_defaults_are_written_out(api: Api) -> None:
    spec = api.create(DEPLOYMENTS, deployment("defaults", replicas=0))["spec"]
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}
    assert (spec["revisionHistoryLimit"], spec["progressDeadlineSeconds"]) == (10, 600)
    pod = spec["template"]["spec"]
    assert (pod["restartPolicy"], pod["schedulerName"]) == ("Always", "default-scheduler")
    assert pod["containers"][0]["imagePullPolicy"] == "Always"


def test_secret_texts_are_encoded(api: Api) -> None:
    thing = {"metadata": {"name": "texts"}, "stringData": {"key": "value"}}
    made = api.create("/api/v1/namespaces/default/secrets", thing)
    assert (made["data"], made["type"]) == ({"key": "dmFsdWU="}, "Opaque")
    assert "stringData" not in made


# --- validation ---


def test_every_broken_rule_is_a_cause(api: Api) -> None:
    thing = deployment("broken", replicas=-1)
    thing["spec"]["template"]["metadata"]["labels"] = {"app": "other"}
    thing["spec"]["template"]["spec"]["containers"][0].pop("image")
    answer = refused(api, "POST", DEPLOYMENTS, thing)
    assert (answer["code"], answer["reason"]) == (422, "Invalid")
    fields = {cause["field"]: cause["message"] for cause in answer["details"]["causes"]}
    assert fields["spec.replicas"] == "Invalid value: -1: must be greater than or equal to 0"
    assert fields["spec.template.spec.containers[0].image"] == "Required value"
    assert fields["spec.template.metadata.labels"].endswith("`selector` does not match template `labels`")
    assert answer["message"].startswith('Deployment.apps "broken" is invalid: [')


def test_names_are_checked(api: Api) -> None:
    answer = refused(api, "POST", CONFIG_MAPS, config_map("Not_OK"))
    assert answer["message"].startswith(
        'ConfigMap "Not_OK" is invalid: metadata.name: Invalid value: "Not_OK": a lowercase RFC 1123 subdomain must '
    )


def test_unknown_fields_are_warned_of_or_refused(api: Api) -> None:
    thing = deployment("unknown", replicas=0)
    thing["spec"]["replicsa"] = 3
    thing["spec"]["template"]["spec"]["containers"][0]["imag"] = "x"
    made = api.create(DEPLOYMENTS, thing)
    assert "replicsa" not in made["spec"]
    warnings = " ".join(api.warnings)
    assert 'unknown field \\"spec.replicsa\\"' in warnings
    assert 'unknown field \\"spec.template.spec.containers[0].imag\\"' in warnings
    answer = refused(api, "POST", f"{DEPLOYMENTS}?fieldValidation=Strict", thing)
    assert answer["message"] == (
        'Deployment in version "v1" cannot be handled as a Deployment: strict decoding error: '
        'unknown field "spec.template.spec.containers[0].imag", unknown field "spec.replicsa"'
    )


def test_fields_without_effect_are_named(api: Api) -> None:
    thing = deployment("effect", replicas=0)
    thing["spec"]["template"]["spec"]["containers"][0]["securityContext"] = {"runAsUser": 1}
    api.create(DEPLOYMENTS, thing)
    assert any("spec.template.spec.containers[0].securityContext has no effect here" in each for each in api.warnings)


def test_wrong_types_are_refused_in_each_kind_of_words(api: Api) -> None:
    thing = deployment("typed")
    thing["spec"]["replicas"] = "three"
    answer = refused(api, "POST", DEPLOYMENTS, thing)
    assert answer["code"] == 400
    assert "cannot unmarshal string into Go struct field Deployment.spec.replicas of type int32" in answer["message"]
    custom = scaled_object("typed", minReplicaCount="one")
    answer = refused(api, "POST", SCALED_OBJECTS, custom)
    assert answer["code"] == 422
    assert "spec.minReplicaCount in body must be of type integer" in answer["message"]


def test_missing_parts_of_custom_kinds_are_named(api: Api) -> None:
    answer = refused(api, "POST", SCALED_OBJECTS, {"metadata": {"name": "part"}, "spec": {"triggers": []}})
    assert "spec.scaleTargetRef: Required value" in answer["message"]


def test_selector_of_a_deployment_stays(api: Api) -> None:
    api.create(DEPLOYMENTS, deployment("fixed", replicas=0))
    change = {"spec": {"selector": {"matchLabels": {"app": "x"}}, "template": {"metadata": {"labels": {"app": "x"}}}}}
    answer = refused(api, "PATCH", f"{DEPLOYMENTS}/fixed", change, "application/merge-patch+json")
    assert "spec.selector: Invalid value: field is immutable" in answer["message"]


def test_two_scaled_objects_may_not_share_a_target(api: Api) -> None:
    api.create(SCALED_OBJECTS, scaled_object("first") | {"metadata": {"name": "first"}})
    second = scaled_object("first") | {"metadata": {"name": "second"}}
    answer = refused(api, "POST", SCALED_OBJECTS, second)
    assert answer["message"] == (
        "admission webhook \"vscaledobject.kb.io\" denied the request: the workload 'first' of type "
        "'apps/v1.Deployment' is already managed by the ScaledObject 'first'"
    )


# --- patches ---


def test_strategic_merge_merges_containers_by_name(api: Api) -> None:
    api.create(DEPLOYMENTS, deployment("strategic", replicas=0))
    added = {"name": "side", "image": "side:1"}
    changed = {"name": "main", "image": "main:2"}
    change = {"spec": {"template": {"spec": {"containers": [added, changed]}}}}
    containers = api.patch(f"{DEPLOYMENTS}/strategic", change, STRATEGIC)["spec"]["template"]["spec"]["containers"]
    assert [(each["name"], each["image"]) for each in containers] == [("main", "main:2"), ("side", "side:1")]
    assert containers[0]["command"] == ["sleep", "1000"]
    removal = {"spec": {"template": {"spec": {"containers": [{"name": "side", "$patch": "delete"}]}}}}
    left = api.patch(f"{DEPLOYMENTS}/strategic", removal, STRATEGIC)["spec"]["template"]["spec"]["containers"]
    assert [each["name"] for each in left] == ["main"]


def test_merge_patch_removes_what_is_null(api: Api) -> None:
    api.create(CONFIG_MAPS, config_map("merge", a="1", b="2"))
    assert api.patch(f"{CONFIG_MAPS}/merge", {"data": {"a": None, "c": "3"}})["data"] == {"b": "2", "c": "3"}


def test_json_patch_runs_its_operations_or_none(api: Api) -> None:
    api.create(CONFIG_MAPS, config_map("json", a="1"))
    path = f"{CONFIG_MAPS}/json"
    operations = [{"op": "test", "path": "/data/a", "value": "1"}, {"op": "add", "path": "/data/b", "value": "2"}]
    assert api.patch(path, operations, JSON_PATCH)["data"] == {"a": "1", "b": "2"}
    bad = [{"op": "remove", "path": "/data/b"}, {"op": "test", "path": "/data/a", "value": "9"}]
    assert refused(api, "PATCH", path, bad, JSON_PATCH)["code"] == 422
    assert api.get(path)["data"] == {"a": "1", "b": "2"}


def test_custom_kinds_take_no_strategic_patch(api: Api) -> None:
    api.create(SCALED_OBJECTS, scaled_object("nostrategic"))
    answer = refused(api, "PATCH", f"{SCALED_OBJECTS}/nostrategic", {}, STRATEGIC)
    assert (answer["code"], answer["reason"]) == (415, "UnsupportedMediaType")


# --- server-side apply ---


def test_apply_creates_then_removes_what_is_no_longer_named(api: Api) -> None:
    path = f"{CONFIG_MAPS}/applied"
    api.apply(path, config_map("applied", a="1", b="2"))
    api.patch(path, {"data": {"c": "3"}})
    merged = api.apply(path, config_map("applied", a="1"))
    assert merged["data"] == {"a": "1", "c": "3"}
    entries = {(each["manager"], each["operation"]) for each in merged["metadata"]["managedFields"]}
    assert ("test", "Apply") in entries


def test_apply_conflicts_name_field_and_manager(api: Api) -> None:
    path = f"{DEPLOYMENTS}/owned"
    api.apply(path, deployment("owned", replicas=0), "first")
    other = {**deployment("owned"), "spec": {"replicas": 2}}
    answer = refused(api, "PATCH", f"{path}?fieldManager=second", other, APPLY)
    assert answer["message"] == 'Apply failed with 1 conflict: conflict with "first" using apps/v1: .spec.replicas'
    assert answer["details"]["causes"][0]["reason"] == "FieldManagerConflict"
    assert api.apply(path, other, "second", force=True)["spec"]["replicas"] == 2
    # It is the second's now, so the first conflicts with it.
    answer = refused(api, "PATCH", f"{path}?fieldManager=first", deployment("owned", replicas=0), APPLY)
    assert '"second"' in answer["message"]
    api.delete(path)


def test_apply_conflicts_with_the_scale(api: Api) -> None:
    path = f"{DEPLOYMENTS}/scaled"
    api.apply(path, deployment("scaled", replicas=0), "owner")
    assert api.get(f"{path}/scale")["spec"] == {"replicas": 0}
    api.call("PUT", f"{path}/scale?fieldManager=hand", {"metadata": {"name": "scaled"}, "spec": {"replicas": 1}})
    answer = refused(api, "PATCH", f"{path}?fieldManager=owner", deployment("scaled", replicas=0), APPLY)
    assert answer["message"].endswith('conflict with "hand" with subresource "scale" using apps/v1: .spec.replicas')
    api.delete(path)


def test_apply_needs_a_manager(api: Api) -> None:
    answer = refused(api, "PATCH", f"{CONFIG_MAPS}/x", config_map("x"), APPLY)
    assert "fieldManager: Required value: is required for apply patch" in answer["message"]


# --- reading ---


def test_dry_run_keeps_nothing(api: Api) -> None:
    made = api.call("POST", f"{CONFIG_MAPS}?dryRun=All", config_map("dry"))
    assert made["metadata"]["uid"]
    assert refused(api, "GET", f"{CONFIG_MAPS}/dry")["code"] == 404


def test_lists_are_selected_and_paged(api: Api) -> None:
    for number in range(5):
        thing = config_map(f"page-{number}")
        thing["metadata"]["labels"] = {"set": "pages", "odd": str(number % 2)}
        api.create(CONFIG_MAPS, thing)
    path = f"{CONFIG_MAPS}?labelSelector=set%3Dpages"
    page = api.get(f"{path}&limit=2")
    names = [each["metadata"]["name"] for each in page["items"]]
    assert (names, page["metadata"]["remainingItemCount"]) == (["page-0", "page-1"], 3)
    rest = api.get(f"{path}&limit=10&continue={page['metadata']['continue']}")
    assert [each["metadata"]["name"] for each in rest["items"]] == ["page-2", "page-3", "page-4"]
    odd = api.items(f"{CONFIG_MAPS}?labelSelector=set%20in%20(pages),odd!%3D0")
    assert [each["metadata"]["name"] for each in odd] == ["page-1", "page-3"]
    assert len(api.items(f"{CONFIG_MAPS}?fieldSelector=metadata.name%3Dpage-4")) == 1
    answer = refused(api, "GET", f"{CONFIG_MAPS}?fieldSelector=data.x%3D1")
    assert answer["message"].endswith("field label not supported: data.x")


def test_tables_print_what_kubectl_prints(api: Api) -> None:
    api.create(DEPLOYMENTS, deployment("table", replicas=0))
    table = api.get(f"{DEPLOYMENTS}/table", Accept=TABLE)
    shown = [each["name"] for each in table["columnDefinitions"] if each["priority"] == 0]
    assert (table["kind"], shown) == ("Table", ["Name", "Ready", "Up-to-date", "Available", "Age"])
    assert table["rows"][0]["cells"][:2] == ["table", "0/0"]
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    api.create(SCALED_OBJECTS, scaled_object("table"))
    table = api.get(f"{SCALED_OBJECTS}/table", Accept=TABLE)
    columns = [each["name"] for each in table["columnDefinitions"]]
    assert columns[:5] == ["Name", "ScaleTargetKind", "ScaleTargetName", "Min", "Max"]
    assert table["rows"][0]["cells"][2] == "table"


def test_watch_tells_changes_in_order(api: Api) -> None:
    start = api.get(CONFIG_MAPS)["metadata"]["resourceVersion"]
    events = api.watch(f"{CONFIG_MAPS}?watch=1&resourceVersion={start}&labelSelector=watched")
    thing = config_map("watched", a="1")
    thing["metadata"]["labels"] = {"watched": "yes"}
    api.create(CONFIG_MAPS, thing)
    api.patch(f"{CONFIG_MAPS}/watched", {"data": {"a": "2"}})
    # What is selected no more is gone, for the watch.
    api.patch(f"{CONFIG_MAPS}/watched", {"metadata": {"labels": {"watched": None}}})
    seen = [next(events) for _ in range(3)]
    assert [each["type"] for each in seen] == ["ADDED", "MODIFIED", "DELETED"]
    versions = [int(each["object"]["metadata"]["resourceVersion"]) for each in seen]
    assert versions == sorted(versions)
    assert versions[0] > int(start)


def test_watch_begins_with_what_is_there(api: Api) -> None:
    api.create(CONFIG_MAPS, config_map("initial"))
    events = api.watch(f"{CONFIG_MAPS}?watch=1&fieldSelector=metadata.name%3Dinitial&sendInitialEvents=true")
    first, mark = next(events), next(events)
    assert (first["type"], first["object"]["metadata"]["name"]) == ("ADDED", "initial")
    assert mark["type"] == "BOOKMARK"
    assert mark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


def test_watch_ends_in_time(api: Api) -> None:
    assert (
        list(api.watch(f"{CONFIG_MAPS}?watch=1&timeoutSeconds=1&resourceVersion=1&fieldSelector=metadata.name%3Dx"))
        == []
    )


def test_watch_from_the_future_is_expired(api: Api) -> None:
    (event,) = list(api.watch(f"{CONFIG_MAPS}?watch=1&resourceVersion=999999999"))
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")


def test_discovery_in_both_forms(api: Api) -> None:
    groups = {each["name"] for each in api.get("/apis")["groups"]}
    assert {"apps", "batch", "autoscaling", "keda.sh", "karpenter.sh", "metrics.k8s.io"} <= groups
    accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    found = api.get("/apis", Accept=accept)
    assert found["kind"] == "APIGroupDiscoveryList"
    apps = next(each for each in found["items"] if each["metadata"]["name"] == "apps")
    resource = next(each for each in apps["versions"][0]["resources"] if each["resource"] == "deployments")
    assert {each["subresource"] for each in resource["subresources"]} == {"status", "scale"}
    assert api.get("/version")["gitVersion"].startswith("v1.")


def test_openapi_tells_of_field_validation_and_keys(api: Api) -> None:
    index = api.get("/openapi/v3")["paths"]
    document = api.get(index["apis/apps/v1"]["serverRelativeURL"])
    patch = document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"]
    assert {"fieldValidation", "dryRun"} <= {each["name"] for each in patch["parameters"]}
    containers = document["components"]["schemas"]["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"]
    assert containers["x-kubernetes-patch-merge-key"] == "name"
    references = set(json.dumps(document).split('"#/components/schemas/')[1:])
    names = {each.split('"', 1)[0] for each in references}
    assert names <= set(document["components"]["schemas"])


def test_unknown_kinds_and_methods_are_refused(api: Api) -> None:
    assert refused(api, "GET", "/apis/apps/v1/daemonsets")["message"] == (
        "the server could not find the requested resource"
    )
    assert refused(api, "POST", "/apis/metrics.k8s.io/v1beta1/nodes", {})["code"] == 405


def test_events_are_served_under_both_groups(api: Api) -> None:
    event = {
        "metadata": {"name": "told"},
        "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"},
        "reason": "Because",
        "message": "it is so",
        "type": "Normal",
    }
    api.create("/api/v1/namespaces/default/events", event)
    newer = api.get("/apis/events.k8s.io/v1/namespaces/default/events/told")
    assert (newer["note"], newer["regarding"]["name"], newer["apiVersion"]) == ("it is so", "p", "events.k8s.io/v1")


# --- deleting ---


def test_finalizers_hold_an_object(api: Api) -> None:
    thing = config_map("held")
    thing["metadata"]["finalizers"] = ["example.com/hold"]
    api.create(CONFIG_MAPS, thing)
    held = api.delete(f"{CONFIG_MAPS}/held")
    assert held["metadata"]["deletionTimestamp"]
    api.patch(f"{CONFIG_MAPS}/held", {"metadata": {"finalizers": None}})
    assert refused(api, "GET", f"{CONFIG_MAPS}/held")["code"] == 404


def test_delete_with_another_uid_conflicts(api: Api) -> None:
    api.create(CONFIG_MAPS, config_map("precise"))
    with pytest.raises(Refused) as caught:
        api.delete(f"{CONFIG_MAPS}/precise", {"preconditions": {"uid": "other"}})
    assert caught.value.answer["reason"] == "Conflict"


def test_namespace_goes_with_its_contents(api: Api) -> None:
    api.create("/api/v1/namespaces", {"metadata": {"name": "room"}})
    api.create("/api/v1/namespaces/room/configmaps", config_map("inside"))
    assert api.delete("/api/v1/namespaces/room")["status"]["phase"] == "Terminating"
    api.until_gone("/api/v1/namespaces/room")
    assert refused(api, "GET", "/api/v1/namespaces/room/configmaps/inside")["code"] == 404


def test_deletecollection_deletes_what_is_selected(api: Api) -> None:
    for name in ("bulk-a", "bulk-b"):
        thing = config_map(name)
        thing["metadata"]["labels"] = {"bulk": "yes"}
        api.create(CONFIG_MAPS, thing)
    api.delete(f"{CONFIG_MAPS}?labelSelector=bulk")
    assert api.items(f"{CONFIG_MAPS}?labelSelector=bulk") == []


def test_web_pages_of_others_are_refused(api: Api) -> None:
    with pytest.raises(Refused) as caught:
        api.call("POST", PODS, {}, Origin="http://evil.example")
    assert caught.value.status == 403


def test_concurrent_changes_lose_nothing(api: Api) -> None:
    api.create(CONFIG_MAPS, config_map("busy"))
    threads = [
        threading.Thread(target=api.patch, args=(f"{CONFIG_MAPS}/busy", {"data": {f"k{number}": "1"}}))
        for number in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(api.get(f"{CONFIG_MAPS}/busy")["data"]) == 12
