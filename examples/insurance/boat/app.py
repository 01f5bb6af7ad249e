"""Handles claims on boat insurance."""


def handler(event, context):
    claim = event["detail"]
    print(f"boat claim {claim['id']}: the harbour of {claim['harbour']} has been asked for a report")
    return {"claim": claim["id"], "decision": "report"}
