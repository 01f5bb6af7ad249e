"""Compiled definitions by revision: parsing one costs far more than a transition."""

from collections import OrderedDict

import msgspec

from forebay.languages.asl.machine import Machine
from forebay.services.stepfunctions.definition import compile_definition
from forebay.services.stepfunctions.execution import Execution
from forebay.services.stepfunctions.state_machine import REVISION, Revision, revision_key
from forebay.store.contract import Store

_KEPT_MAX = 256


class Compiled(msgspec.Struct, frozen=True):
    """A revision and its compiled definition."""

    revision: Revision
    machine: Machine


class Machines:
    """Finds the compiled definition that an execution runs."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: OrderedDict[str, Compiled] = OrderedDict()

    def forget(self) -> None:
        """Forget all revisions: the store was wiped."""
        self._kept.clear()

    async def find(self, execution: Execution) -> Compiled:
        """Return what an execution runs; of a map run's child, the part that it runs."""
        compiled = await self.find_revision(revision_key(execution.machine, execution.revision_id))
        if execution.processor is None:
            return compiled
        return msgspec.structs.replace(compiled, machine=compiled.machine.processor_of(execution.processor))

    async def find_revision(self, key: str) -> Compiled:
        """Return a revision, compiled."""
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
            return kept
        revision = await self._store.find(REVISION, key)
        assert revision is not None, "revisions outlive all that names them"
        kept = self._kept[key] = Compiled(revision, compile_definition(revision.definition))
        if len(self._kept) > _KEPT_MAX:
            self._kept.popitem(last=False)
        return kept
