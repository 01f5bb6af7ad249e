"""The same policies under a virtual clock against an arrival curve: depth, latency, pods, nodes, evictions, cost.

In reading order: `arrivals` (when messages come), `scenario` (manifests and what workers are like), `calendar` (virtual
time), `queue` and `fleet` (messages and who works on them), `workload` (KEDA, the HPA, the replica set), `machine` and
`machines` (scheduler and Karpenter), `run` (all of it together), `result`; then `facts`, `tables`, `page` (HTML) and
`plots` (PNG).
"""
