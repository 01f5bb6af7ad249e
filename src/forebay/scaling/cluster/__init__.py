"""The local cluster: Kubernetes' objects kept durably, its controllers as workers, and pods as processes.

Reading order: `kinds` (what can be kept), `schemas` (their fields), `objects` (the store of objects and its changes),
`changes` (patches), `ownership` (who set which field), `defaults`, `checks`; then the controllers, each a worker that
looks at the objects and makes them true: `deployments`, `replica_sets`, `jobs`, `keda`, `autoscaling`, `scheduling`,
`provisioning`, `garbage`; and `pods` with `processes`, which run what the pods say. The decisions themselves are the
pure policies in `forebay.scaling`; the API before all this is `forebay.services.kubernetes`.
"""
