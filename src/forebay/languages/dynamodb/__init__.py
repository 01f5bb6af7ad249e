"""DynamoDB's languages: attribute values, expressions, the older parameters for the same, and PartiQL. All pure.

Reading order: `value`, `number` and `key` (what an attribute holds, and how keys order), `lexer`, `syntax` and `parser`
(text to tree), `scope`, `condition`, `update`, `projection` and `key_condition` (tree to function), `placeholders`,
`legacy` (older parameters to the same trees), `partiql`.
"""
