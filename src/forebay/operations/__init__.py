"""How an operation is declared, found and run.

Reading order: `service.py` (`@operation`, `Service`), `call.py` (what an operation is given), `table.py` (the one
`OperationTable` behind every caller: the wire, the console, API Gateway, CloudFormation), `platform.py` (what a node
gives its services).
"""
