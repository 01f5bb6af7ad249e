"""PartiQL as DynamoDB knows it: statements to the trees that expressions become, so that one evaluator runs both.

Reading order: `lexer`, `statement` (what a statement is), `literals` (values with parameters in them), `parser`.
Source: the developer guide, "PartiQL - a SQL-compatible query language for Amazon DynamoDB".
"""
