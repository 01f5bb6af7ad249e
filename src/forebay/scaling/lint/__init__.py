"""`forebay scale lint`: the known mistakes with KEDA, the HPA and Karpenter, each with what to do instead.

`setting` (the manifests), `finding` (rules and what they say), `keda_rules`, `cluster_rules`, `check` (all of them).
"""
