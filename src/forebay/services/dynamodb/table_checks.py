"""The rules of CreateTable's and UpdateTable's parameters, in DynamoDB's order and words."""

from collections.abc import Sequence
from typing import Any

from forebay.api import dynamodb as api
from forebay.languages.dynamodb.errors import invalid, invalid_parameter
from forebay.services.dynamodb import limits
from forebay.services.dynamodb.errors import not_implemented

KeySchema = Sequence[api.KeySchemaElement]

_UNITS_MAX = 1_000_000_000_000


def check_throughput(billing_mode: str | None, throughput: api.ProvisionedThroughput | None) -> None:
    """Check a table's throughput against its billing mode."""
    if billing_mode == "PAY_PER_REQUEST":
        if throughput is not None:
            raise invalid_parameter(
                "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST"
            )
    elif throughput is None:
        raise invalid_parameter(
            "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED"
        )
    else:
        check_units(throughput, "")


def check_units(throughput: api.ProvisionedThroughput, where: str) -> None:
    """Refuse units that are out of all bounds."""
    for name, value in (
        ("ReadCapacityUnits", throughput.read_capacity_units),
        ("WriteCapacityUnits", throughput.write_capacity_units),
    ):
        if value > _UNITS_MAX:
            raise invalid(f"Given value {value} for {name} is out of bounds{where}")


def read_schema(schema: KeySchema, *, is_compound_allowed: bool = False) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of a key's partition and sort attributes.

    Raises:
        ValidationException: the elements are not in order, are too many or name an attribute twice.
    """
    if schema[0].key_type != "HASH":
        raise invalid("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")
    partition = [element.attribute_name for element in schema if element.key_type == "HASH"]
    sort = [element.attribute_name for element in schema if element.key_type == "RANGE"]
    if not is_compound_allowed:
        _check_simple(schema)
    kinds = [element.key_type for element in schema]
    if kinds != sorted(kinds):
        raise invalid("Invalid KeySchema: HASH key elements must come before RANGE key elements")
    if len(partition) > limits.KEY_ATTRIBUTES_MAX or len(sort) > limits.KEY_ATTRIBUTES_MAX:
        raise invalid_parameter(
            f"Number of HASH or RANGE key elements in the KeySchema exceeds the limit of {limits.KEY_ATTRIBUTES_MAX}"
        )
    names = [*partition, *sort]
    if len(set(names)) < len(names):
        raise invalid("Both the Hash Key and the Range Key element in the KeySchema have the same name")
    return tuple(partition), tuple(sort)


def _check_simple(schema: KeySchema) -> None:
    if len(schema) > 2:
        shown = ", ".join(
            f"KeySchemaElement(attributeName={element.attribute_name}, keyType={element.key_type})"
            for element in schema
        )
        raise invalid(
            f"1 validation error detected: Value '[{shown}]' at 'keySchema' failed to satisfy constraint: "
            "Member must have length less than or equal to 2"
        )
    if len(schema) == 2 and schema[1].key_type != "RANGE":
        if schema[0].attribute_name == schema[1].attribute_name:
            raise invalid("Both the Hash Key and the Range Key element in the KeySchema have the same name")
        raise invalid("Invalid KeySchema: The second KeySchemaElement is not a RANGE key type")


def read_definitions(definitions: Sequence[api.AttributeDefinition]) -> dict[str, str]:
    """Return the types of key attributes, which are defined once each."""
    types: dict[str, str] = {}
    for definition in definitions:
        if definition.attribute_name in types:
            raise invalid_parameter(f"Cannot have two attributes with the same name: {definition.attribute_name}")
        types[definition.attribute_name] = definition.attribute_type
    return types


def check_defined(keys: Sequence[str], types: dict[str, str]) -> None:
    """Refuse an index key of attributes that are not defined."""
    if any(name not in types for name in keys):
        raise invalid_parameter(
            "Some index key attributes are not defined in AttributeDefinitions. "
            f"Keys: [{', '.join(keys)}], AttributeDefinitions: [{', '.join(types)}]"
        )


def check_used(types: dict[str, str], used: Sequence[str], *, has_indexes: bool) -> None:
    """Refuse definitions of attributes that no key has."""
    unused = [name for name in types if name not in used]
    if unused and not has_indexes:
        raise invalid_parameter(
            "Number of attributes in KeySchema does not exactly match number of attributes defined "
            "in AttributeDefinitions"
        )
    if unused:
        raise invalid_parameter(
            f"Some AttributeDefinitions are not used. AttributeDefinitions: [{', '.join(types)}], "
            f"keys used: [{', '.join(dict.fromkeys(used))}]"
        )


def check_projection(projection: api.Projection) -> None:
    """Refuse a projection whose type and attributes do not go together."""
    kind, attributes = projection.projection_type, projection.non_key_attributes
    if kind is None:
        raise invalid_parameter("Unknown ProjectionType: null")
    if kind == "INCLUDE":
        if not attributes:
            raise invalid_parameter("ProjectionType is INCLUDE, but NonKeyAttributes is not specified")
    elif attributes is not None:
        raise invalid_parameter(f"ProjectionType is {kind}, but NonKeyAttributes is specified")


def check_local_indexes(
    indexes: Sequence[api.LocalSecondaryIndex], partition: str, types: dict[str, str], *, has_sort: bool
) -> None:
    """Check local indexes against their table."""
    if not indexes:
        raise invalid_parameter("List of LocalSecondaryIndexes is empty")
    if not has_sort:
        raise invalid_parameter(
            "Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex"
        )
    if len(indexes) > limits.LOCAL_INDEXES_MAX:
        raise invalid_parameter("Number of LocalSecondaryIndexes exceeds per-table limit of 5")
    for index in indexes:
        check_defined([element.attribute_name for element in index.key_schema], types)
        own, sort = read_schema(index.key_schema)
        if not sort:
            raise invalid_parameter(f"Index KeySchema does not have a range key for index: {index.index_name}")
        if own != (partition,):
            raise invalid_parameter(
                "Index KeySchema does not have the same leading hash key as table KeySchema for index: "
                f"{index.index_name}. index hash key: {own[0]}, table hash key: {partition}"
            )
        check_projection(index.projection)


def check_global_indexes(
    indexes: Sequence[api.GlobalSecondaryIndex], billing_mode: str | None, types: dict[str, str]
) -> None:
    """Check global indexes against their table."""
    if not indexes:
        raise invalid_parameter("List of GlobalSecondaryIndexes is empty")
    if len(indexes) > limits.GLOBAL_INDEXES_MAX:
        raise invalid_parameter("GlobalSecondaryIndex count exceeds the per-table limit of 20")
    for index in indexes:
        check_global_index(index, billing_mode, types)


def check_global_index(
    index: api.GlobalSecondaryIndex | api.CreateGlobalSecondaryIndexAction,
    billing_mode: str | None,
    types: dict[str, str],
) -> None:
    """Check one global index."""
    check_defined([element.attribute_name for element in index.key_schema], types)
    read_schema(index.key_schema, is_compound_allowed=True)
    check_projection(index.projection)
    if billing_mode == "PAY_PER_REQUEST":
        if index.provisioned_throughput is not None:
            raise invalid_parameter(
                f"ProvisionedThroughput should not be specified for index: {index.index_name} "
                "when BillingMode is PAY_PER_REQUEST"
            )
    elif index.provisioned_throughput is None:
        raise invalid_parameter(f"ProvisionedThroughput is not specified for index: {index.index_name}")
    else:
        check_units(index.provisioned_throughput, f" for index {index.index_name}")


def check_index_names(names: Sequence[str]) -> None:
    """Refuse two indexes of one name."""
    for place, name in enumerate(names):
        if name in names[:place]:
            raise invalid_parameter(f"Duplicate index name: {name}")


def check_projected_count(projections: Sequence[api.Projection]) -> None:
    """Refuse more projected attributes than a table's indexes can have together."""
    count = sum(len(projection.non_key_attributes or ()) for projection in projections)
    if count > limits.NON_KEY_ATTRIBUTES_MAX:
        raise invalid_parameter("Number of NonKeyAttributes in all indexes exceeds the per-table limit of 100")


def check_stream(specification: api.StreamSpecification | None) -> None:
    """Refuse a stream setting whose parts do not go together."""
    if specification is None:
        return
    if specification.stream_enabled and specification.stream_view_type is None:
        raise invalid_parameter("StreamViewType is required when StreamEnabled is true")
    if not specification.stream_enabled and specification.stream_view_type is not None:
        raise invalid_parameter("StreamViewType should not be specified when StreamEnabled is false")


def check_supported(request: Any, members: dict[str, str]) -> None:
    """Refuse members of a request that name what this node does not have."""
    for field, name in members.items():
        if getattr(request, field) is not None:
            raise not_implemented(name)
