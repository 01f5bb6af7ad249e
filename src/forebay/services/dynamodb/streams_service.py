"""DynamoDB Streams: a service of its own to clients, of one house with the tables whose changes it tells."""

from forebay.api import dynamodbstreams as api
from forebay.operations.service import Service
from forebay.services.dynamodb import streams

SERVICE = Service(name="dynamodbstreams", model=api.MODEL, operations=[streams])
