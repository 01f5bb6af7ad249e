"""The command line. `serve` and `up` build a node; all other commands talk HTTP to a running one.

Reading order: `main.py` (the table of commands), `serve.py`, `up.py`, `deploy.py`, then one file for each group. Every
command imports what it needs when it runs, so that `serve` starts fast.
"""
