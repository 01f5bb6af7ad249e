"""Resource types: how each CloudFormation type is created, updated and deleted through the operation table.

Reading order: `contract.py` (what a type is), `schema.py` (AWS's published property trees in `schemas/`), `names.py`
(physical names), `calls.py` (the common steps), one module a service, `registry.py` (finds a type). A new service is
one module with `TYPES` and a line in the registry; its schemas are written by `tools/resource_schemas.py`.
"""
