"""Settling a claimed timer together with what follows from it, only while the claim still holds."""

from collections.abc import Sequence
from typing import Any

from forebay.store.commands import Command, Settlement, SettleTimers
from forebay.store.contract import Store, Transaction


async def settle_if_held(
    store: Store, kind: str, settlements: Sequence[tuple[Settlement, Sequence[Command[Any]]]]
) -> None:
    """Settle timers, each with its commands, in one commit; what was claimed by another since is left to that one."""

    def work(transaction: Transaction) -> None:
        for settlement, commands in settlements:
            (is_held,) = transaction.apply(SettleTimers(kind, (settlement,)))
            if is_held:
                for command in commands:
                    transaction.apply(command)

    await store.transact(work)
