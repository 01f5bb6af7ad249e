"""From a qualifier to a version: by number, by alias (two versions by weight), or the latest."""

from forebay.core.ids import Ids
from forebay.operations.call import Call
from forebay.services.lambda_.address import FunctionAddress, load_number
from forebay.services.lambda_.alias import ALIAS, Alias, alias_key
from forebay.services.lambda_.function import FUNCTION, VERSION, Function, Version, version_key
from forebay.store.contract import Store


def load_version(call: Call, address: FunctionAddress, function: Function) -> Version:
    """Return the version that an address means inside a transaction or view; for an alias, its main one.

    Raises:
        ResourceNotFoundException: there is none.
    """
    alias = None
    if not address.is_latest:
        alias = call.reader.find(ALIAS, alias_key(address.key, address.qualifier or ""))
    if alias is None:
        return load_number(call, address, function)
    version = call.reader.find(VERSION, version_key(address.key, alias.version))
    if version is not None:
        return version
    return function.latest


async def find_version(store: Store, address: FunctionAddress, ids: Ids) -> tuple[Function, Version] | None:
    """Return what serves one invocation, from the cache; an alias with weights draws its version."""
    function = await store.find(FUNCTION, address.key)
    if function is None or address.is_latest:
        return None if function is None else (function, function.latest)
    qualifier = address.qualifier or ""
    if not qualifier.isdecimal():
        alias: Alias | None = await store.find(ALIAS, alias_key(address.key, qualifier))
        if alias is None:
            return None
        qualifier = alias.pick(ids.uniform(0.0, 1.0)) if alias.weights else alias.version
        if not qualifier.isdecimal():
            return function, function.latest
    version = await store.find(VERSION, version_key(address.key, qualifier))
    return None if version is None else (function, version)
