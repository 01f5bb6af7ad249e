"""Executions through boto3: starting, histories, tasks by token, stopping, lists, time."""

import json
from typing import Any

from tests.aws.stepfunctions.conftest import PASS, ROLE, States
from tests.harness import wait_until

WAIT: dict[str, Any] = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 3600, "End": True}}}


def queue(states: States, name: str) -> str:
    return states.node.client("sqs").create_queue(QueueName=name)["QueueUrl"]


def message(states: States, url: str) -> dict[str, Any]:
    sqs = states.node.client("sqs")
    (found,) = wait_until(lambda: sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5).get("Messages"))
    return json.loads(found["Body"])


def test_an_execution_of_passes_has_the_history_of_aws(states: States) -> None:
    chain = {
        "StartAt": "A",
        "States": {"A": {"Type": "Pass", "Result": 1, "ResultPath": "$.r", "Next": "B"}, "B": {"Type": "Succeed"}},
    }
    execution = states.run(chain, {"k": "v"})
    assert (execution["status"], execution["output"]) == ("SUCCEEDED", '{"k":"v","r":1}')
    events = states.history(execution["executionArn"])
    assert [(event["id"], event["previousEventId"], event["type"]) for event in events] == [
        (1, 0, "ExecutionStarted"),
        (2, 0, "PassStateEntered"),
        (3, 2, "PassStateExited"),
        (4, 3, "SucceedStateEntered"),
        (5, 4, "SucceedStateExited"),
        (6, 5, "ExecutionSucceeded"),
    ]
    assert events[1]["stateEnteredEventDetails"] == {
        "name": "A",
        "input": '{"k": "v"}',
        "inputDetails": {"truncated": False},
    }
    assert events[5]["executionSucceededEventDetails"] == {
        "output": '{"k":"v","r":1}',
        "outputDetails": {"truncated": False},
    }


def test_history_pages_both_ways_and_leaves_data_out(states: States) -> None:
    execution = states.run(PASS)["executionArn"]
    first = states.client.get_execution_history(executionArn=execution, maxResults=3)
    rest = states.client.get_execution_history(executionArn=execution, nextToken=first["nextToken"])
    assert [event["id"] for event in first["events"] + rest["events"]] == [1, 2, 3, 4]
    assert "nextToken" not in rest
    backward = states.history(execution, reverseOrder=True, maxResults=2)
    assert [event["id"] for event in backward] == [4, 3]
    bare = states.history(execution, includeExecutionData=False)
    assert "input" not in bare[0]["executionStartedEventDetails"]


def test_start_is_idempotent_while_it_runs(states: States) -> None:
    machine = states.create(WAIT)
    first = states.start(machine, {"a": 1}, name="once")
    assert states.start(machine, {"a": 1}, name="once") == first
    refused = states.refusal("start_execution", stateMachineArn=machine, name="once", input='{"a": 2}')
    assert refused == ("ExecutionAlreadyExists", f"Execution Already Exists: '{first}'")
    states.client.stop_execution(executionArn=first, error="E", cause="C")
    stopped = states.client.describe_execution(executionArn=first)
    assert (stopped["status"], stopped["error"], stopped["cause"]) == ("ABORTED", "E", "C")
    refused = states.refusal("start_execution", stateMachineArn=machine, name="once", input='{"a": 1}')
    assert refused[0] == "ExecutionAlreadyExists"


def test_start_refuses_what_is_no_json(states: States) -> None:
    code, text = states.refusal("start_execution", stateMachineArn=states.create(PASS), input="{")
    assert code == "InvalidExecutionInput"
    assert text.startswith("Invalid State Machine Execution Input: '")


def test_a_task_calls_an_operation_and_a_token_ends_it(states: States) -> None:
    url = queue(states, "tokens")
    ask = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Parameters": {"QueueUrl": url, "MessageBody": {"token.$": "$$.Task.Token"}},
        "End": True,
    }
    execution = states.start(states.create({"StartAt": "Ask", "States": {"Ask": ask}}))
    token = message(states, url)["token"]
    states.client.send_task_heartbeat(taskToken=token)
    states.wait_for(execution, "TaskSubmitted")
    states.client.send_task_success(taskToken=token, output='{"approved": true}')
    assert states.ended(execution)["output"] == '{"approved": true}'
    refused = states.refusal("send_task_success", taskToken=token, output="{}")
    assert refused == ("TaskTimedOut", "Task Timed Out: 'Provided task does not exist anymore'")
    assert states.types(execution) == [
        "ExecutionStarted",
        "TaskStateEntered",
        "TaskScheduled",
        "TaskStarted",
        "TaskSubmitted",
        "TaskSucceeded",
        "TaskStateExited",
        "ExecutionSucceeded",
    ]
    refused = states.refusal("send_task_success", taskToken="nonsense", output="{}")
    assert refused == ("InvalidToken", "Invalid Token: 'Invalid token'")


def test_a_failing_task_is_caught(states: States) -> None:
    state = {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:sqs:getQueueUrl",
        "Parameters": {"QueueName": "none"},
        "Catch": [{"ErrorEquals": ["Sqs.QueueDoesNotExistException"], "Next": "Caught"}],
        "End": True,
    }
    execution = states.run({"StartAt": "T", "States": {"T": state, "Caught": {"Type": "Pass", "End": True}}})
    output = json.loads(execution["output"])
    assert output["Error"] == "Sqs.QueueDoesNotExistException"
    assert output["Cause"].startswith(
        "The specified queue does not exist. (Service: Sqs, Status Code: 400, Request ID:"
    )


def test_an_unknown_parameter_is_refused_or_fails_the_task(states: States) -> None:
    resource = "arn:aws:states:::aws-sdk:sqs:listQueues"
    fixed = {"Type": "Task", "Resource": resource, "Parameters": {"Colour": "red"}, "End": True}
    definition = json.dumps({"StartAt": "T", "States": {"T": fixed}})
    code, text = states.refusal("create_state_machine", name="x", definition=definition, roleArn=ROLE)
    assert code == "InvalidDefinition"
    assert text == (
        "Invalid State Machine Definition: 'SCHEMA_VALIDATION_FAILED: "
        'The field "Colour" is not supported by Step Functions at /States/T/Parameters\''
    )
    computed = {
        "Type": "Task",
        "QueryLanguage": "JSONata",
        "Resource": resource,
        "Arguments": "{% $states.input %}",
        "End": True,
    }
    execution = states.run({"StartAt": "T", "States": {"T": computed}}, {"Colour": "red"})
    assert execution["error"] == "States.Runtime"
    assert 'The field "Colour" is not supported by Step Functions' in execution["cause"]


def test_an_execution_starts_another_and_waits_for_it(states: States) -> None:
    child = states.create({"StartAt": "A", "States": {"A": {"Type": "Pass", "Result": {"x": 1}, "End": True}}})
    outputs = {}
    for pattern in ("sync", "sync:2"):
        state = {
            "Type": "Task",
            "Resource": f"arn:aws:states:::states:startExecution.{pattern}",
            "Parameters": {"StateMachineArn": child, "Input": {"in": 1}},
            "End": True,
        }
        outputs[pattern] = json.loads(states.run({"StartAt": "T", "States": {"T": state}})["output"])
    assert (outputs["sync"]["Status"], outputs["sync"]["Output"]) == ("SUCCEEDED", '{"x":1}')
    assert outputs["sync:2"]["Output"] == {"x": 1}
    assert outputs["sync:2"]["Input"] == {"in": 1}


def test_a_failed_child_fails_the_task_that_waits(states: States) -> None:
    fail = {"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "E", "Cause": "C"}}}
    state = {
        "Type": "Task",
        "Resource": "arn:aws:states:::states:startExecution.sync:2",
        "Parameters": {"StateMachineArn": states.create(fail)},
        "End": True,
    }
    execution = states.run({"StartAt": "T", "States": {"T": state}})
    assert (execution["status"], execution["error"]) == ("FAILED", "States.TaskFailed")
    assert json.loads(execution["cause"])["Error"] == "E"


def test_a_worker_does_an_activitys_task(states: States) -> None:
    activity = states.client.create_activity(name="paint")["activityArn"]
    state = {"Type": "Task", "Resource": activity, "HeartbeatSeconds": 60, "TimeoutSeconds": 100, "End": True}
    execution = states.start(states.create({"StartAt": "T", "States": {"T": state}}), {"wall": 1})
    task = states.client.get_activity_task(activityArn=activity, workerName="me")
    assert json.loads(task["input"]) == {"wall": 1}
    states.client.send_task_failure(taskToken=task["taskToken"], error="Paint", cause="none left")
    ended = states.ended(execution)
    assert (ended["error"], ended["cause"]) == ("Paint", "none left")
    events = {event["type"]: event for event in states.history(execution)}
    assert events["ActivityScheduled"]["activityScheduledEventDetails"] == {
        "resource": activity,
        "input": '{"wall": 1}',
        "inputDetails": {"truncated": False},
        "timeoutInSeconds": 100,
        "heartbeatInSeconds": 60,
    }
    assert events["ActivityStarted"]["activityStartedEventDetails"] == {"workerName": "me"}


def test_lists_are_filtered_paged_and_newest_first(states: States) -> None:
    machine = states.create(WAIT)
    arns = [states.start(machine, name=f"e{number}") for number in range(4)]
    states.client.stop_execution(executionArn=arns[0])
    running = states.client.list_executions(stateMachineArn=machine, statusFilter="RUNNING")["executions"]
    assert [item["executionArn"] for item in running] == arns[:0:-1]
    paginator = states.client.get_paginator("list_executions")
    pages = list(paginator.paginate(stateMachineArn=machine, maxResults=3))
    assert [len(page["executions"]) for page in pages] == [3, 1]
    assert {item["executionArn"] for page in pages for item in page["executions"]} == set(arns)
    none = states.client.list_executions(stateMachineArn=machine, redriveFilter="REDRIVEN")["executions"]
    assert none == []
    code, _ = states.refusal("list_executions", stateMachineArn=machine, mapRunArn="x")
    assert code == "ValidationException"


def test_rules_start_executions_in_their_commit(states: States) -> None:
    url = queue(states, "of-rule")
    send = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage",
        "Parameters": {"QueueUrl": url, "MessageBody.$": "$.detail"},
        "End": True,
    }
    machine = states.create({"StartAt": "S", "States": {"S": send}})
    events = states.node.client("events")
    events.put_rule(Name="home", EventPattern='{"source":["quotes"]}')
    target = {"Id": "1", "Arn": machine, "RoleArn": "arn:aws:iam::000000000000:role/r"}
    events.put_targets(Rule="home", Targets=[target])
    events.put_events(Entries=[{"Source": "quotes", "DetailType": "d", "Detail": '{"kind":"home"}'}])
    assert message(states, url) == {"kind": "home"}


def test_status_changes_go_to_the_default_bus(states: States) -> None:
    url = queue(states, "changes")
    sqs, events = states.node.client("sqs"), states.node.client("events")
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="changes", EventPattern='{"source":["aws.states"],"detail":{"name":["watched"]}}')
    events.put_targets(Rule="changes", Targets=[{"Id": "1", "Arn": arn}])
    execution = states.start(states.create(PASS), name="watched")
    bodies = [message(states, url) for _ in range(2)]
    assert sorted(body["detail"]["status"] for body in bodies) == ["RUNNING", "SUCCEEDED"]
    assert {body["detail-type"] for body in bodies} == {"Step Functions Execution Status Change"}
    assert {body["detail"]["executionArn"] for body in bodies} == {execution}
    assert bodies[0]["resources"] == [execution]


def test_express_executions_run_in_one_call(states: States) -> None:
    machine = states.create(PASS, type="EXPRESS")
    answer = states.client.start_sync_execution(stateMachineArn=machine, input='{"a":1}', name="n")
    assert (answer["status"], answer["output"], answer["name"]) == ("SUCCEEDED", '{"a":1}', "n")
    assert answer["billingDetails"] == {"billedMemoryUsedInMB": 64, "billedDurationInMilliseconds": 100}
    assert answer["executionArn"].startswith("arn:aws:states:us-east-1:000000000000:express:")
    code, _ = states.refusal("list_executions", stateMachineArn=machine)
    assert code == "StateMachineTypeNotSupported"
    code, _ = states.refusal("start_sync_execution", stateMachineArn=states.create(PASS))
    assert code == "StateMachineTypeNotSupported"


def test_express_executions_call_tasks_wait_and_log(states: States) -> None:
    url = queue(states, "express")
    logs = states.node.client("logs")
    logs.create_log_group(logGroupName="express")
    group = "arn:aws:logs:us-east-1:000000000000:log-group:express:*"
    send = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage",
        "Parameters": {"QueueUrl": url, "MessageBody.$": "$"},
        "Next": "W",
    }
    definition = {"StartAt": "S", "States": {"S": send, "W": {"Type": "Wait", "Seconds": 1, "End": True}}}
    logging = {
        "level": "ALL",
        "includeExecutionData": True,
        "destinations": [{"cloudWatchLogsLogGroup": {"logGroupArn": group}}],
    }
    machine = states.create(definition, type="EXPRESS", loggingConfiguration=logging)
    answer = states.client.start_sync_execution(stateMachineArn=machine, input='{"b":1}')
    assert answer["status"] == "SUCCEEDED"
    assert message(states, url) == {"b": 1}

    def lines() -> list[dict[str, Any]] | None:
        found = logs.filter_log_events(logGroupName="express")["events"]
        read = [json.loads(event["message"]) for event in found]
        return read if any(line["type"] == "ExecutionSucceeded" for line in read) else None

    read = wait_until(lines)
    assert read[0]["type"] == "ExecutionStarted"
    assert read[0]["details"]["input"] == '{"b":1}'
    assert {line["execution_arn"] for line in read} == {answer["executionArn"]}
