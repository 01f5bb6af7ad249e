from tests.aws.dynamodb.conftest import at, create, refused
from tests.harness import wait_until

BOTH = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}


def stream_of(dynamodb, name):
    return dynamodb.describe_table(TableName=name)["Table"]["LatestStreamArn"]


def shards_of(streams, arn):
    return streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]


def read(streams, arn, shard, kind="TRIM_HORIZON", **position):
    iterator = streams.get_shard_iterator(StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType=kind, **position)[
        "ShardIterator"
    ]
    return streams.get_records(ShardIterator=iterator)


def test_records_say_what_has_changed(running, dynamodb):
    streams = running.client("dynamodbstreams")
    name = create(dynamodb, StreamSpecification=BOTH)
    dynamodb.put_item(TableName=name, Item={**at("a"), "v": {"N": "1"}})
    dynamodb.put_item(TableName=name, Item={**at("a"), "v": {"N": "1"}})
    dynamodb.update_item(
        TableName=name, Key=at("a"), UpdateExpression="SET v = :v", ExpressionAttributeValues={":v": {"N": "2"}}
    )
    dynamodb.delete_item(TableName=name, Key=at("a"))
    dynamodb.delete_item(TableName=name, Key=at("a"))
    arn = stream_of(dynamodb, name)
    (shard,) = shards_of(streams, arn)
    records = read(streams, arn, shard)["Records"]
    assert [record["eventName"] for record in records] == ["INSERT", "MODIFY", "REMOVE"]
    change = records[1]["dynamodb"]
    assert change["Keys"] == at("a")
    assert (change["OldImage"]["v"], change["NewImage"]["v"]) == ({"N": "1"}, {"N": "2"})
    assert change["SizeBytes"] == 7 + 2 * (7 + 3)
    numbers = [int(record["dynamodb"]["SequenceNumber"]) for record in records]
    assert numbers == sorted(numbers)
    assert len({record["eventID"] for record in records}) == 3


def test_iterators_of_every_type(running, dynamodb):
    streams = running.client("dynamodbstreams")
    running.clock.freeze(int(running.clock.now()) + 1.0)
    name = create(dynamodb, StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"})
    arn = stream_of(dynamodb, name)
    dynamodb.put_item(TableName=name, Item=at("a"))
    running.clock.advance(10)
    moment = running.clock.now()
    dynamodb.put_item(TableName=name, Item=at("b"))
    (shard,) = shards_of(streams, arn)
    first, second = read(streams, arn, shard)["Records"]
    assert "NewImage" not in first["dynamodb"]

    def keys(kind, **position):
        return [r["dynamodb"]["Keys"]["pk"]["S"] for r in read(streams, arn, shard, kind, **position)["Records"]]

    number = second["dynamodb"]["SequenceNumber"]
    assert keys("AT_SEQUENCE_NUMBER", SequenceNumber=number) == ["b"]
    assert keys("AFTER_SEQUENCE_NUMBER", SequenceNumber=first["dynamodb"]["SequenceNumber"]) == ["b"]
    assert keys("AFTER_SEQUENCE_NUMBER", SequenceNumber=number) == []
    assert keys("AT_TIMESTAMP", Timestamp=moment) == ["b"]
    assert keys("LATEST") == []
    latest = streams.get_shard_iterator(StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="LATEST")
    dynamodb.put_item(TableName=name, Item=at("c"))
    page = streams.get_records(ShardIterator=latest["ShardIterator"])
    assert [record["dynamodb"]["Keys"] for record in page["Records"]] == [at("c")]
    assert streams.get_records(ShardIterator=page["NextShardIterator"])["Records"] == []
    running.clock.advance(901)
    code, _ = refused(streams.get_records, ShardIterator=page["NextShardIterator"])
    assert code == "ExpiredIteratorException"
    running.clock.resume()


def test_shards_follow_each_other_and_end_after_a_day(running, dynamodb):
    streams = running.client("dynamodbstreams")
    running.clock.freeze()
    name = create(dynamodb, StreamSpecification=BOTH)
    arn = stream_of(dynamodb, name)
    dynamodb.put_item(TableName=name, Item=at("early"))
    running.clock.advance(4 * 3600 + 10)
    dynamodb.put_item(TableName=name, Item=at("late"))
    first, second = shards_of(streams, arn)
    assert second["ParentShardId"] == first["ShardId"]
    assert "EndingSequenceNumber" in first["SequenceNumberRange"]
    assert "EndingSequenceNumber" not in second["SequenceNumberRange"]
    closed = read(streams, arn, first)
    assert [record["dynamodb"]["Keys"] for record in closed["Records"]] == [at("early")]
    assert "NextShardIterator" not in closed
    assert [record["dynamodb"]["Keys"] for record in read(streams, arn, second)["Records"]] == [at("late")]
    dynamodb.delete_table(TableName=name)
    assert streams.describe_stream(StreamArn=arn)["StreamDescription"]["StreamStatus"] == "DISABLED"
    running.clock.advance(86_401)
    code, _ = refused(streams.describe_stream, StreamArn=arn)
    assert code == "ResourceNotFoundException"
    running.clock.resume()


def test_expired_items_are_deleted_by_the_service(running, dynamodb):
    streams = running.client("dynamodbstreams")
    name = create(dynamodb, StreamSpecification=BOTH)
    now = int(running.clock.now())
    for pk, value in (("soon", {"N": str(now + 60)}), ("later", {"N": str(now + 9_000)}), ("never", {"S": "1"})):
        dynamodb.put_item(TableName=name, Item={**at(pk), "ttl": value})
    setting = {"Enabled": True, "AttributeName": "ttl"}
    dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=setting)
    described = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    assert described == {"TimeToLiveStatus": "ENABLED", "AttributeName": "ttl"}
    running.clock.advance(120)
    wait_until(lambda: dynamodb.scan(TableName=name)["Count"] == 2)
    arn = stream_of(dynamodb, name)
    record = read(streams, arn, shards_of(streams, arn)[0])["Records"][-1]
    assert record["eventName"] == "REMOVE"
    assert record["userIdentity"] == {"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"}
    assert record["dynamodb"]["Keys"] == at("soon")


def test_transaction_and_batch_leave_records_too(running, dynamodb):
    streams = running.client("dynamodbstreams")
    name = create(dynamodb, StreamSpecification=BOTH)
    puts = [{"Put": {"TableName": name, "Item": at("t", number)}} for number in range(3)]
    dynamodb.transact_write_items(TransactItems=puts)
    dynamodb.batch_write_item(RequestItems={name: [{"DeleteRequest": {"Key": at("t", 1)}}]})
    arn = stream_of(dynamodb, name)
    records = read(streams, arn, shards_of(streams, arn)[0])["Records"]
    assert [record["eventName"] for record in records] == ["INSERT", "INSERT", "INSERT", "REMOVE"]
