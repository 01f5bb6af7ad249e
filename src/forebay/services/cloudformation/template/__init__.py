"""The template language, without I/O: text to values, values to what they mean.

Reading order: `parsing.py` (YAML and JSON), `sections.py` (the typed template), `parameters.py`, `functions.py`
(intrinsic functions and conditions), `references.py` (who needs whom), `loops.py` (AWS::LanguageExtensions),
`inclusions.py` (AWS::Include), `dynamic_references.py` (`{{resolve:...}}`).
"""
