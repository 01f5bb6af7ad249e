"""What KEDA asks over gRPC instead of polling SQS: exact counts, of one message group too, and a push when work comes.

Triggers `external` and `external-push` name a node's `external_scaler_port` as `scalerAddress`; their metadata is that
of KEDA's own `aws-sqs-queue` trigger, with `messageGroupId` beyond it. `external_scaler.proto` is KEDA's contract,
`gauge` what is needed of queues, `scaler` the answers, `server` the way in.
"""
