"""Handles claims on auto insurance."""


def handler(event, context):
    claim = event["detail"]
    print(f"auto claim {claim['id']}: an expert will look at the {claim['vehicle']}")
    return {"claim": claim["id"], "decision": "inspect"}
