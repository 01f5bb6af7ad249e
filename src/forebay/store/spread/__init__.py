"""Several PostgreSQL databases as one store: resources are spread over them by their id.

The first database, the home, holds what everything hangs on: records, timers, tables, most logs, blobs. The messages of
queues and the logs of CloudWatch Logs are spread. What touches one database only goes straight to that one's engine, so
they share the load; what touches several commits in all of them or in none.

Reading order: `placement.py` (what lies where), `members.py` (who belongs together), `engine.py` (the store as the loop
sees it), `transaction.py` (one transaction over several databases), `branches.py` (its parts, and how they commit).
docs/decisions/0016 says why it is made like this.
"""
