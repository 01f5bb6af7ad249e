"""Every engine is held to the contract by the same tests: each one that takes `store` runs once per engine."""

import asyncio
import inspect

import pytest

from forebay.store.memory import MemoryStore
from forebay.store.sqlite import open_sqlite


@pytest.fixture
def runner():
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(params=["sqlite", "memory"])
def store(request, runner, tmp_path):
    store = runner.run(open_sqlite(tmp_path / "data")) if request.param == "sqlite" else _memory(runner)
    yield store
    runner.run(store.close())


def _memory(runner):
    async def build():
        return MemoryStore()

    return runner.run(build())


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Run coroutine tests on the loop on which their store was opened."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    pyfuncitem.funcargs["runner"].run(pyfuncitem.obj(**arguments))
    return True
