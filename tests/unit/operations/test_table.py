"""The operation table: finds a function by its operation's name, and runs it in the form it was declared in."""

import asyncio

import pytest

from forebay.api import sqs as api
from forebay.core.errors import ServiceError
from forebay.operations.service import Parts, function_name, operation
from forebay.store.records import Kind
from tests.unit.operations.stage import CALLER, Stage, made_up

NOTE = Kind("test.note", str)


@operation
def create_queue(call, request):
    call.records.put(NOTE, request.queue_name, call.account)
    if request.queue_name == "bad":
        raise api.QueueNameExists("taken")
    return api.CreateQueueResult(queue_url=f"{call.region}/{request.queue_name}")


@operation(readonly=True)
def get_queue_url(call, request):
    assert call.reader.find(NOTE, request.queue_name) == call.account
    return api.GetQueueUrlResult(queue_url="found")


@operation
async def delete_queue(call, request):
    await call.transact(lambda inner: inner.records.delete(NOTE, request.queue_url))


@operation
async def list_queues(call, request):
    answer = await call.invoke("sqs", "GetQueueUrl", api.GetQueueUrlRequest(queue_name=request.queue_name_prefix))
    return api.ListQueuesResult(queue_urls=[answer.queue_url])


def purge_queue(_call, _request):
    raise AssertionError("not declared as an operation")


ALL = (create_queue, get_queue_url, delete_queue, list_queues, purge_queue)


def run(work):
    """Run a test's coroutine with a stage of one service."""

    async def main():
        await work(Stage(made_up(api.MODEL, *ALL)))

    asyncio.run(main())


def test_plain_operation_commits_when_it_returns():
    async def work(stage):
        answer = await stage.run("sqs", "CreateQueue", api.CreateQueueRequest(queue_name="q"))
        assert answer.queue_url == "eu-west-1/q"
        assert await stage.store.find(NOTE, "q") == "111122223333"

    run(work)


def test_plain_operation_is_rolled_back_by_an_error():
    async def work(stage):
        with pytest.raises(api.QueueNameExists):
            await stage.run("sqs", "CreateQueue", api.CreateQueueRequest(queue_name="bad"))
        assert await stage.store.find(NOTE, "bad") is None

    run(work)


def test_readonly_operation_reads_what_was_committed():
    async def work(stage):
        await stage.run("sqs", "CreateQueue", api.CreateQueueRequest(queue_name="q"))
        answer = await stage.run("sqs", "GetQueueUrl", api.GetQueueUrlRequest(queue_name="q"))
        assert answer.queue_url == "found"

    run(work)


def test_readonly_operation_cannot_write():
    @operation(readonly=True)
    def create_queue(call, request):
        call.records.put(NOTE, request.queue_name, "never")

    async def main():
        stage = Stage(made_up(api.MODEL, create_queue))
        with pytest.raises(AssertionError, match="inside a transaction"):
            await stage.run("sqs", "CreateQueue", api.CreateQueueRequest(queue_name="q"))
        assert await stage.store.find(NOTE, "q") is None

    asyncio.run(main())


def test_async_operation_commits_by_itself_and_may_answer_nothing():
    async def work(stage):
        await stage.run("sqs", "CreateQueue", api.CreateQueueRequest(queue_name="q"))
        assert await stage.run("sqs", "DeleteQueue", api.DeleteQueueRequest(queue_url="q")) is None
        assert await stage.store.find(NOTE, "q") is None

    run(work)


def test_operation_invokes_another_as_the_same_caller():
    async def work(stage):
        await stage.run("sqs", "CreateQueue", api.CreateQueueRequest(queue_name="q"))
        answer = await stage.run("sqs", "ListQueues", api.ListQueuesRequest(queue_name_prefix="q"))
        assert answer.queue_urls == ["found"]

    run(work)


def test_operation_without_function_is_named_as_not_implemented():
    async def work(stage):
        with pytest.raises(ServiceError) as failure:
            await stage.run("sqs", "PurgeQueue", api.PurgeQueueRequest(queue_url="q"))
        assert (failure.value.code, failure.value.status) == ("NotImplemented", 501)
        assert failure.value.message == "Operation PurgeQueue of sqs is not implemented by Forebay."

    run(work)


def test_service_that_is_not_there_is_named():
    async def work(stage):
        with pytest.raises(ServiceError) as failure:
            await stage.run("sns", "Publish", api.PurgeQueueRequest(queue_url="q"))
        assert (failure.value.code, failure.value.status) == ("NotImplemented", 501)
        assert failure.value.message == "Service sns is not part of Forebay."
        assert await stage.table.parts("sns") is None

    run(work)


def test_is_implemented_tells_declared_functions_only():
    service = made_up(api.MODEL, *ALL)
    table = Stage(service).table
    implemented = {name for name in api.MODEL.operations if table.is_implemented(service, name)}
    assert implemented == {"CreateQueue", "GetQueueUrl", "DeleteQueue", "ListQueues"}


def test_function_that_bears_no_operations_name_is_our_bug():
    @operation
    def create_topic(_call, _request):
        return None

    with pytest.raises(AssertionError, match="create_topic"):
        Stage(made_up(api.MODEL, create_topic)).table.is_implemented(made_up(api.MODEL, create_topic), "CreateQueue")


def test_service_is_loaded_once_by_many_at_a_time():
    async def main():
        entered = 0

        async def build(_platform):
            nonlocal entered
            entered += 1
            await asyncio.sleep(0)
            return Parts(shared=[b"shared"])

        stage = Stage(made_up(api.MODEL, *ALL, build=build))
        assert stage.table.loaded == ()
        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(stage.table.load("sqs"))
        assert (entered, stage.loads) == (1, ["sqs"])
        assert stage.table.shared("sqs", bytes) == b"shared"

    asyncio.run(main())


def test_failed_load_is_tried_again():
    async def main():
        outcomes = [RuntimeError("first"), Parts()]

        async def build(_platform):
            outcome = outcomes.pop(0)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        stage = Stage(made_up(api.MODEL, *ALL, build=build))
        with pytest.raises(RuntimeError):
            await stage.table.load("sqs")
        await stage.table.load("sqs")
        assert stage.loads == ["sqs"]

    asyncio.run(main())


def test_run_params_speaks_wire_names():
    async def work(stage):
        answer = await stage.table.run_params(CALLER, "sqs", "CreateQueue", {"QueueName": "q"})
        assert answer == {"QueueUrl": "eu-west-1/q"}
        assert await stage.table.run_params(CALLER, "sqs", "DeleteQueue", {"QueueUrl": "q"}) == {}

    run(work)


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"QueueName": 5}, "SerializationException"),
        ({}, "MissingRequiredParameterException"),
    ],
)
def test_run_params_that_do_not_fit_are_the_callers_error(params, code):
    async def work(stage):
        with pytest.raises(ServiceError) as failure:
            await stage.table.run_params(CALLER, "sqs", "CreateQueue", params)
        assert failure.value.status == 400
        assert failure.value.code == code

    run(work)


def test_run_params_of_an_unknown_operation_names_it():
    async def work(stage):
        with pytest.raises(ServiceError, match="sqs has no operation Nope"):
            await stage.table.run_params(CALLER, "sqs", "Nope", {})

    run(work)


@pytest.mark.parametrize(
    ("name", "snake"),
    [
        ("SendMessage", "send_message"),
        ("CreateSAMLProvider", "create_saml_provider"),
        ("ListObjectsV2", "list_objects_v2"),
        ("GetOpenIDConnectProvider", "get_open_id_connect_provider"),
    ],
)
def test_function_names_are_botocores(name, snake):
    assert function_name(name) == snake
