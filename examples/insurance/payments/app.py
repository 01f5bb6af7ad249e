"""Books payments. One that cannot be booked is reported, so that only it comes again, and in the end is set aside."""

import json


def handler(event, context):
    failed = []
    for record in event["Records"]:
        try:
            book(json.loads(record["body"]))
        except (ValueError, KeyError) as error:
            print(f"payment {record['messageId']} cannot be booked: {error!r}")
            failed.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failed}


def book(payment):
    amount = float(payment["amount"])
    if amount <= 0:
        raise ValueError(f"an amount of {amount}")
    print(f"payment of {amount:.2f} for claim {payment['claim']} booked")
