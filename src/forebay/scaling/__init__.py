"""Autoscaling: pods and nodes by KEDA's, the HPA's and Karpenter's rules, here and on real clusters.

- `manifests`: what people give to a cluster, as frozen types
- `policies`: every decision, as pure functions with the time passed in
- `cluster`: the local cluster, which runs them on real time with pods as processes
- `simulation`, `lint`: what manifests will do, and what people get wrong in them
- `external_scaler`: counts of queues for KEDA, over gRPC
"""
