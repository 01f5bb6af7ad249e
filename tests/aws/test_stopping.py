"""A node that stops while its services need each other for the last time."""

from forebay.api import sqs
from forebay.node import Node
from forebay.operations.service import Parts, Service
from tests.harness import RunningNode


def test_service_that_another_loads_as_it_closes_is_closed_too(node: RunningNode) -> None:
    closed: list[str] = []

    async def stop(running: Node) -> None:
        def taken(name: str, *loads: str) -> None:
            async def close() -> None:
                closed.append(name)
                for other in loads:
                    taken(other)

            service = Service(name=name, model=sqs.MODEL, operations=(), build=build)
            running.take_in(service, Parts(close=[close]))

        taken("first", "second")
        await running.close_parts()

    async def build(_platform: object) -> Parts:
        return Parts()

    node.run(stop)
    assert closed == ["first", "second"]
