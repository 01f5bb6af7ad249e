"""Everything that is kept. One contract, several engines with native SQL, and an in-memory oracle.

Reading order: `contract.py` (what a store promises), `commands.py` (the hot path's verbs), `records.py` (the control
plane's typed kinds), then the engines: `sqlite/`, `memory.py`. Services never see SQL.
"""
