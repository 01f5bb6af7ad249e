"""Simulated settings: where decisions fall, that no message is lost, and what it costs."""

import resource
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.scaling.manifests.problem import InvalidManifest
from forebay.scaling.simulation.arrivals import format_arrivals, parse_arrivals, read_arrivals
from forebay.scaling.simulation.facts import facts
from forebay.scaling.simulation.histogram import Histogram
from forebay.scaling.simulation.page import page
from forebay.scaling.simulation.run import simulate
from forebay.scaling.simulation.scenario import Options, parse_work_time
from forebay.scaling.simulation.tables import comparison, costs, timeline
from tests.unit.scaling.simulation.setting import deployment, node_pool, run, scaled_object, scenario


def _replicas(result, who):
    return [(entry.at, entry.what.split(": ")[1]) for entry in result.timeline if entry.who == who]


def test_workers_go_from_zero_to_many_and_back():
    result = run(deployment(message_seconds="4"), scaled_object(), arrivals="burst 500 at 1m", seconds=1200)
    assert _replicas(result, "HPA")[:6] == [
        (61.0, "1 -> 4 replicas"),
        (76.0, "4 -> 8 replicas"),
        (91.0, "8 -> 16 replicas"),
        (106.0, "16 -> 32 replicas"),
        (121.0, "32 -> 64 replicas"),
        (136.0, "64 -> 100 replicas"),
    ]
    first, *_, last = [entry for entry in _replicas(result, "KEDA") if "->" in entry[1]]
    assert first == (60.0, "0 -> 1 replicas")
    assert last[1].endswith("-> 0 replicas")
    # The last poll that found work was at 2:00; at 7:00 its cooldown of 300 s is not over yet, at the next poll it is.
    assert last[0] == 450.0
    summary = result.summary
    assert (summary.received, summary.processed, summary.left, summary.cut_off) == (500, 500, 0, 0)
    assert result.samples[-1].pods == 0


def test_a_poll_is_waited_for_and_a_push_is_not():
    polled = run(deployment(), scaled_object(), arrivals="burst 5 at 31s", seconds=300)
    assert _replicas(polled, "KEDA")[0][0] == 60.0
    pushed = run(deployment(), scaled_object("external-push"), arrivals="burst 5 at 31s", seconds=300)
    assert _replicas(pushed, "KEDA")[0][0] == pytest.approx(31.1)


def test_nodes_are_made_for_pods_and_go_with_them():
    result = run(
        deployment(message_seconds="4"), scaled_object(), node_pool(), arrivals="burst 500 at 1m", seconds=1200
    )
    made = [entry for entry in result.timeline if "new node" in entry.what]
    assert made[0].at in {61.0, 62.0}
    # Nothing works before a node is ready: 35 s, and 3 s for the pod.
    assert result.summary.first_start_seconds == pytest.approx(made[0].at + 38, abs=1)
    assert result.samples[-1].nodes == 0
    assert result.summary.node_removals == {"Empty": sum(e.what.count("new node") for e in made)}
    assert result.summary.dollars == pytest.approx(sum(cost.dollars for cost in result.summary.costs))
    assert result.summary.dollars > 0


def test_default_budget_takes_nodes_away_one_by_one():
    def gone(budget):
        result = run(
            deployment(message_seconds="4"), scaled_object(), node_pool(budget=budget),
            arrivals="burst 500 at 1m", seconds=1500,
        )  # fmt: skip
        return next(entry.at for entry in result.timeline if entry.what == "no node is left")

    assert gone("10%") > gone("100%") + 60


def test_consolidation_evicts_pods_and_when_empty_does_not():
    def evicted(policy):
        load = "burst 400 at 1m, steady 2/s from 5m to 15m"
        result = run(deployment(message_seconds="3"), scaled_object(), node_pool(policy), arrivals=load, seconds=1500)
        assert result.summary.left == 0
        return result.summary.evictions

    assert evicted("WhenEmptyOrUnderutilized")["Underutilized"] > 0
    assert evicted("WhenEmpty") == {}


@pytest.mark.parametrize(
    ("marks", "is_lost"),
    [({}, False), ({"marks_busy": "false"}, False), ({"drains": "false", "marks_busy": "false"}, True)],
)
def test_work_is_cut_off_only_where_workers_do_not_drain(marks, is_lost):
    down = {"scaleDown": {"stabilizationWindowSeconds": 0}}
    result = run(
        deployment(message_seconds="20", **marks),
        scaled_object(advanced={"horizontalPodAutoscalerConfig": {"behavior": down}}),
        arrivals="burst 300 at 10s",
        seconds=1800,
    )
    assert (result.summary.cut_off > 0) == is_lost
    # What was cut off comes back, and is done in the end.
    assert result.summary.processed == 300


@pytest.mark.parametrize(("grace", "is_lost"), [(30, True), (300, False)])
def test_messages_longer_than_the_grace_period_are_cut_off(grace, is_lost):
    worker = deployment(message_seconds="200")
    worker["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = grace
    # Twenty messages in work ask for four pods: the HPA takes sixteen away that are busy.
    result = run(worker, scaled_object(), arrivals="burst 100 at 10s", seconds=7200)
    assert (result.summary.cut_off > 0) == is_lost
    assert result.summary.left == 0


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 400), st.integers(0, 900)), min_size=1, max_size=4),
    st.sampled_from(["0.1", "3", "1-9", "p50=2 p95=20"]),
    st.integers(1, 4),
    st.booleans(),
)
def test_every_message_is_somewhere(bursts, work, concurrency, drains):
    load = ", ".join(f"burst {count} at {at}s" for count, at in bursts)
    result = run(
        deployment(message_seconds=work, drains=str(drains).lower(), concurrency=str(concurrency)),
        scaled_object(maxReplicaCount=20, cooldownPeriod=60),
        node_pool("WhenEmptyOrUnderutilized"),
        arrivals=load,
        seconds=1800,
    )
    summary = result.summary
    assert summary.received == sum(count for count, _ in bursts)
    assert 0 <= summary.left == summary.received - summary.processed
    for sample in result.samples:
        assert 0 <= sample.pods_ready <= sample.pods
        assert 0 <= sample.in_flight <= max(1, concurrency) * 60 * 30
        assert min(sample.visible, sample.in_flight, sample.nodes) >= 0
    assert result.samples[-1].visible + result.samples[-1].in_flight == summary.left


def test_more_replicas_never_slow_a_queue_down():
    waits = [
        run(
            deployment(message_seconds="5"), scaled_object(maxReplicaCount=most), arrivals="burst 300", seconds=1800
        ).summary.wait.p95
        for most in (5, 20, 80)
    ]
    assert waits == sorted(waits, reverse=True)


def test_cached_metrics_are_as_old_as_the_poll():
    direct = run(deployment(), scaled_object(pollingInterval=60), arrivals="burst 200 at 61s", seconds=600)
    cached = run(
        deployment(),
        scaled_object(cached=True, pollingInterval=60),
        arrivals="burst 5 at 1s, burst 200 at 61s",
        seconds=600,
    )
    assert _replicas(direct, "HPA")[0][0] == 121.0
    # The HPA sees 5 messages until the poll at 2:00.
    assert _replicas(cached, "HPA")[0][0] == 121.0


def test_cron_trigger_holds_its_window():
    subject = scaled_object()
    metadata = {"timezone": "UTC", "start": "10 * * * *", "end": "20 * * * *", "desiredReplicas": "7"}
    subject["spec"]["triggers"] = [{"type": "cron", "metadata": metadata}]
    subject["spec"]["cooldownPeriod"] = 0
    result = run(deployment(), subject, arrivals="burst 1 at 2s", seconds=2400)
    assert max(sample.pods for sample in result.samples if 700 < sample.at < 1200) == 7
    assert _replicas(result, "KEDA")[0] == (600.0, "0 -> 1 replicas")
    assert result.samples[-1].pods == 0


@pytest.mark.parametrize(("mark", "is_moved"), [("true", False), ("1h", False), ("1s", True)])
def test_protected_pods_are_not_moved(mark, is_moved):
    worker = deployment(message_seconds="3")
    worker["spec"]["template"]["metadata"]["annotations"] = {"karpenter.sh/do-not-disrupt": mark}
    load = "burst 400 at 1m, steady 2/s from 5m to 15m"
    result = run(worker, scaled_object(), node_pool("WhenEmptyOrUnderutilized"), arrivals=load, seconds=1200)
    assert ("Underutilized" in result.summary.evictions) == is_moved


def test_cpu_beside_a_queue_keeps_the_last_pod():
    subject = scaled_object(minReplicaCount=1)
    subject["spec"]["triggers"].append({"type": "cpu", "metricType": "Utilization", "metadata": {"value": "70"}})
    result = run(deployment(), subject, arrivals="burst 100 at 1m", seconds=1800)
    assert result.summary.left == 0
    assert (result.summary.pods_most, result.samples[-1].pods) == (20, 1)
    assert "trigger cpu: always active" in facts(scenario(deployment(), subject))


def test_jobs_are_made_for_messages_and_end():
    job = {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledJob",
        "metadata": {"name": "job", "annotations": {"simulation.forebay.dev/message-seconds": "20"}},
        "spec": {
            "jobTargetRef": {"template": {"spec": {"containers": [{"name": "j", "image": "j"}]}}},
            "maxReplicaCount": 30,
            "triggers": [{"type": "aws-sqs-queue", "metadata": {"queueURL": "orders", "queueLength": "1"}}],
        },
    }
    result = run(job, arrivals="burst 100 at 10s", seconds=900)
    assert (result.summary.processed, result.summary.left, result.summary.pods_most) == (100, 0, 30)
    assert result.samples[-1].pods == 0


def test_given_delays_are_used():
    options = Options(message_seconds="1", node_seconds=100.0, start_seconds=10.0)
    result = run(deployment(), scaled_object(), node_pool(), arrivals="burst 5", seconds=600, options=options)
    # The first poll was before the burst, the second after 30 s; then 1 s of batching, 100 s, and 10 s.
    assert result.summary.first_start_seconds == pytest.approx(141, abs=1)


def test_pod_disruption_budgets_slow_consolidation():
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "w"},
        "spec": {"maxUnavailable": 0, "selector": {"matchLabels": {"app": "w"}}},
    }
    load = "burst 400 at 1m, steady 2/s from 5m to 15m"
    pool = node_pool("WhenEmptyOrUnderutilized")
    result = run(deployment(message_seconds="3"), scaled_object(), pool, budget, arrivals=load, seconds=1200)
    assert result.summary.evictions == {}


def test_important_pods_take_the_place_of_others():
    pool = node_pool(limits={"cpu": "8"})
    urgent, subject = deployment("500m", message_seconds="5"), scaled_object(maxReplicaCount=8)
    urgent["metadata"]["name"] = subject["spec"]["scaleTargetRef"]["name"] = subject["metadata"]["name"] = "urgent"
    urgent["spec"]["template"]["spec"]["priorityClassName"] = "urgent"
    subject["spec"]["triggers"][0]["metadata"]["queueURL"] = "urgent"
    kind = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "urgent"}, "value": 100}
    made = scenario(deployment(message_seconds="5"), scaled_object(), urgent, subject, kind, pool)
    load = {"orders": parse_arrivals("burst 2000"), "urgent": parse_arrivals("burst 100 at 5m")}
    result = simulate(made, load, 1800)
    assert result.summary.evictions["Preempted"] > 0
    assert any(entry.who == "scheduler" for entry in result.timeline)
    assert result.summary.cut_off == 0


@pytest.mark.parametrize(
    ("documents", "text"),
    [
        ((deployment(),), "there is no ScaledObject"),
        ((scaled_object(),), "its target Deployment worker is not among the manifests"),
        ((deployment(), scaled_object("kafka")), "trigger kafka is not simulated"),
    ],
)
def test_what_cannot_be_simulated_is_named(documents, text):
    with pytest.raises(InvalidManifest, match=text):
        scenario(*documents)


def test_queues_and_curves_must_match():
    made = scenario(deployment(), scaled_object())
    with pytest.raises(InvalidManifest, match="no workload reads the queue other"):
        simulate(made, {"other": parse_arrivals("burst 1")}, 10)


def test_two_workloads_on_one_queue_are_refused():
    other, subject = deployment(), scaled_object()
    other["metadata"]["name"] = subject["metadata"]["name"] = subject["spec"]["scaleTargetRef"]["name"] = "other"
    with pytest.raises(InvalidManifest, match="two workloads read the queue orders"):
        run(deployment(), scaled_object(), other, subject, arrivals="burst 1", seconds=10)


def test_short_scenarios_are_quick_and_a_large_day_is_bounded():
    made = scenario(deployment(message_seconds="1-5"), scaled_object(), node_pool())
    load = {"": parse_arrivals("burst 400 at 30s, steady 4/s from 2m to 8m")}
    simulate(made, load, 600)
    began = time.process_time()
    simulate(made, load, 600)
    # 100 ms are asked for on a machine of its own; five times that leaves room for a loaded one.
    assert time.process_time() - began < 0.5


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_day_of_a_thousand_nodes_and_ten_thousand_pods():
    pool = node_pool("WhenEmptyOrUnderutilized", "10%")
    pool["spec"]["template"]["spec"]["requirements"].append(
        {"key": "karpenter.kwok.sh/instance-cpu", "operator": "In", "values": ["32"]}
    )
    made = scenario(deployment("3", message_seconds="30-90"), scaled_object(maxReplicaCount=10_000), pool)
    load = {"": parse_arrivals("steady 150/s from 2h to 10h, steady 100/s from 14h to 20h, burst 60000 at 21h")}
    began = time.process_time()
    result = simulate(made, load, 86_400)
    assert time.process_time() - began < 60
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 500 * 1024
    assert (result.summary.nodes_most, result.summary.pods_most) == (1000, 10_000)
    assert result.summary.left == 0


# --- Curves, tables, pages -----------------------------------------------------------------------------------------


def test_curves_are_read_from_csv(tmp_path):
    path = tmp_path / "curve.csv"
    path.write_text("seconds,messages\n0,60\n60,0\n120,6\n")
    curve = read_arrivals(path)
    assert (curve.total, curve.end) == (66, 180)
    counts = curve.ticks(1.0)
    assert sum(counts.values()) == 66
    assert counts[60] == 1
    assert not any(60 < step <= 120 for step in counts)


def test_recordings_are_read_as_they_are_written(tmp_path):
    path = tmp_path / "curve.csv"
    path.write_text(format_arrivals([(1_767_571_200.0, 5.0), (1_767_571_260.0, 7.0)]))
    curve = read_arrivals(path)
    assert [(s.start, s.end, s.count) for s in curve.segments] == [(0, 60, 5), (60, 120, 7)]


@pytest.mark.parametrize(
    "text",
    [
        "seconds,messages\n5,1\n5,2\n",
        "seconds,messages\na,1\n",
        "seconds,messages\n1,-1\n",
        "time,messages\n1,1\n",
        "seconds,count\n1,1\n",
        "",
    ],
)
def test_other_files_are_refused(tmp_path, text):
    path = tmp_path / "curve.csv"
    path.write_text(text)
    with pytest.raises(InvalidManifest):
        read_arrivals(path)


@pytest.mark.parametrize("text", ["", "burst", "burst x", "steady 1/d", "steady 1/s from 2m to 1m", "nothing.csv"])
def test_other_descriptions_are_refused(text):
    with pytest.raises(InvalidManifest):
        parse_arrivals(text)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 50), min_size=1, max_size=20), st.sampled_from([0.25, 1.0]))
def test_fractions_of_messages_are_carried_on(counts, tick):
    text = ", ".join(f"steady {count:.3f}/m from {index}m to {index + 1}m" for index, count in enumerate(counts))
    curve = parse_arrivals(text)
    assert sum(curve.ticks(tick).values()) == pytest.approx(curve.total, abs=1)


@pytest.mark.parametrize(("text", "mean"), [("2", 2.0), ("1-5", 3.0)])
def test_work_times_have_their_mean(text, mean):
    assert parse_work_time(text).mean == pytest.approx(mean)


def test_quantiles_of_work_are_kept():
    classes = sorted(parse_work_time("p50=2 p95=30").classes)
    assert classes[9] < 2 < classes[10]
    assert classes[18] == pytest.approx(21.4, abs=0.1)


def test_histogram_s_percentiles_are_within_two_percent():
    histogram = Histogram()
    for seconds in range(1, 1001):
        histogram.add(float(seconds), 1)
    assert histogram.percentile(50) == pytest.approx(500, rel=0.03)
    assert histogram.percentile(99) == pytest.approx(990, rel=0.03)
    histogram.add(1000.0, -1)
    assert histogram.count == 999


def test_tables_and_pages_show_all_settings():
    documents = (deployment(), scaled_object(), node_pool())
    results = [run(*documents, arrivals="burst 50 at 10s", seconds=600) for _ in range(2)]
    table = comparison(results)
    assert "messages done" in table
    assert table.splitlines()[0].split() == ["setting", "setting"]
    assert "on-demand" in costs(results[0])
    assert "because active at 0 replicas" in timeline(results[0])
    html = page(results, "A <b> title")
    assert html.count("<svg") == 5
    assert "A &lt;b&gt; title" in html
    assert "http" not in html.replace("http-equiv", "")


def test_facts_say_what_manifests_mean():
    text = facts(scenario(deployment(), scaled_object(pollingInterval=7, cooldownPeriod=40), node_pool(budget="10%")))
    assert "0 -> 1: by KEDA, within 7 s (pollingInterval)" in text
    assert "N -> 0: by KEDA in one step, 40 to 47 s after" in text
    assert "1, 4, 8, 16, 32, 64, 100" in text
    assert "empty nodes that go at once, of 10: 1, all of them in about 5m" in text


def test_picture_is_drawn_where_matplotlib_is(tmp_path):
    pytest.importorskip("matplotlib")
    from forebay.scaling.simulation.plots import draw

    result = run(deployment(), scaled_object(), arrivals="burst 50 at 10s", seconds=600)
    path = tmp_path / "picture.png"
    draw([result], path)
    assert path.read_bytes().startswith(b"\x89PNG")
