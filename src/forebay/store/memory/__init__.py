"""The oracle: the store's contract in plain Python, as simple as it can be. Tests compare engines with it.

State is a handful of dicts of frozen values (`state.py`). A transaction works on a copy of the dicts, which replaces
them when it succeeds: atomicity by construction, at the price of a copy. Nothing is ever removed by time alone.
Reading order: `engine.py`, then the kinds of data: `messages.py`, `streams.py`, `timers.py`.
"""

from forebay.store.memory.engine import MemoryStore

__all__ = ["MemoryStore"]
