"""The decisions of KEDA, the HPA, replica sets, the scheduler and Karpenter, as pure functions.

Time is passed in, nothing is read or written: the local cluster, the simulation and `explain` call the same code.

- `sqs_metric`, `scaled_object`, `fallback`, `scaling_modifiers` (with `expression`), `scaled_job`: KEDA
- `keda_hpa`: the HPA that KEDA writes for a ScaledObject
- `hpa_replicas` (what metrics ask for), `hpa_history` and `hpa_shaping` (limits, windows), `hpa`: the HPA
- `victims`: which pods a replica set deletes; `disruption_budget`: what PodDisruptionBudgets allow
- `resources`, `requirements`, `demand`, `node`, `placement`, `preemption`: the scheduler
- `instance_types`, `nodepools`, `provisioning`, `batching`, `budgets`, `rehousing`, `disruption`: Karpenter
- `outcome`: conditions and events
"""
