"""Every engine is held to the contract by the same tests: each one that takes `store` runs once per engine."""

import asyncio
import inspect
import itertools

import pytest

from forebay.store.memory import MemoryStore
from forebay.store.sqlite import open_sqlite
from tests import postgres as server


@pytest.fixture
def runner():
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="session")
def postgres():
    """Run a PostgreSQL server for the session."""
    if server.binaries() is None:
        pytest.skip("no PostgreSQL server on this machine: apt-get install postgresql")
    one = server.PostgresServer(max_prepared_transactions="20")
    try:
        one.start()
        yield one
    finally:
        one.remove()


@pytest.fixture(scope="session")
def postgres_opener(postgres):
    """Return a function that opens a store in the schema of a name, and one that gives unused names."""
    from forebay.store.postgres import open_postgres

    numbers = itertools.count(1)
    return lambda name: open_postgres(postgres.url, schema=name), lambda: f"test{next(numbers)}"


@pytest.fixture(scope="session")
def spread_opener(postgres):
    """Return a function that opens a store over two databases, in their schemas of a name."""
    from forebay.store.postgres import open_postgres

    urls = [postgres.url, postgres.new_database("second")]
    return lambda name: open_postgres(urls, schema=name)


@pytest.fixture(params=["sqlite", "memory", "postgres", "spread"])
def store(request, runner, tmp_path):
    store = runner.run(_open(request, tmp_path))
    yield store
    runner.run(store.close())


async def _open(request, tmp_path):
    if request.param == "sqlite":
        return await open_sqlite(tmp_path / "data")
    if request.param == "postgres":
        opener, unused_name = request.getfixturevalue("postgres_opener")
        return await opener(unused_name())
    if request.param == "spread":
        _, unused_name = request.getfixturevalue("postgres_opener")
        return await request.getfixturevalue("spread_opener")(unused_name())
    return MemoryStore()


@pytest.fixture(params=["sqlite", "postgres"])
def reopener(request, tmp_path_factory):
    """Return a function that makes, for one history, a function that opens its store, and opens it again."""
    if request.param == "postgres":
        opener, unused_name = request.getfixturevalue("postgres_opener")

        def begin():
            name = unused_name()
            return lambda: opener(name)

        return begin

    def begin():
        folder = tmp_path_factory.mktemp("history")
        return lambda: open_sqlite(folder)

    return begin


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Run coroutine tests on the loop on which their store was opened."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    pyfuncitem.funcargs["runner"].run(pyfuncitem.obj(**arguments))
    return True
