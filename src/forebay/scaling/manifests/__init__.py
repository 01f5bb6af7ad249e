"""The manifests that people give to a cluster, as frozen types; unknown fields are named, never dropped silently.

In reading order: `quantity` (numbers), `meta`, `pods`, `workloads` (Kubernetes), `hpa`, `keda`, `karpenter`,
`documents` (from YAML and dicts to the types), `problem` (what is wrong with them).
"""
