"""AWS::S3::*: buckets and bucket policies, as far as Forebay's S3 goes."""

from typing import Any

from forebay.services.cloudformation.resources.calls import run_if_there
from forebay.services.cloudformation.resources.contract import Existing, Made, Properties, ResourceType, Site
from forebay.services.cloudformation.resources.names import NameRule
from forebay.services.cloudformation.resources.schema import json_text

# Accepted, because templates state them everywhere, and without effect: this S3 is for deployments and local files.
_WITHOUT_EFFECT = frozenset(
    {
        "AbacStatus",
        "AccelerateConfiguration",
        "AccessControl",
        "AnalyticsConfigurations",
        "BucketEncryption",
        "CorsConfiguration",
        "IntelligentTieringConfigurations",
        "InventoryConfigurations",
        "LifecycleConfiguration",
        "LoggingConfiguration",
        "MetricsConfigurations",
        "OwnershipControls",
        "PublicAccessBlockConfiguration",
    }
)
_UNSUPPORTED = frozenset(
    {
        "BucketNamePrefix",
        "BucketNamespace",
        "MetadataConfiguration",
        "MetadataTableConfiguration",
        "NotificationConfiguration",
        "ObjectLockConfiguration",
        "ObjectLockEnabled",
        "ReplicationConfiguration",
        "WebsiteConfiguration",
    }
)
# Configurations that the API takes as the template gives them, and what its operations call them.
_SETTINGS = {
    "OwnershipControls": "BucketOwnershipControls",
    "PublicAccessBlockConfiguration": "PublicAccessBlock",
}


async def _create_bucket(site: Site, properties: Properties) -> Made:
    name = properties.get("BucketName") or site.place.name
    params: dict[str, Any] = {"Bucket": name}
    if site.place.region != "us-east-1":
        params["CreateBucketConfiguration"] = {"LocationConstraint": site.place.region}
    await site.run("s3", "CreateBucket", params)
    await site.record(_made(site, name))
    await _configure(site, name, {}, properties)
    return _made(site, name)


def _made(site: Site, name: str) -> Made:
    return Made(
        name,
        {
            "Arn": f"arn:aws:s3:::{name}",
            "DomainName": f"{name}.s3.amazonaws.com",
            "DualStackDomainName": f"{name}.s3.dualstack.{site.place.region}.amazonaws.com",
            "RegionalDomainName": f"{name}.s3.{site.place.region}.amazonaws.com",
            "WebsiteURL": f"http://{name}.s3-website-{site.place.region}.amazonaws.com",
        },
    )


async def _configure(site: Site, name: str, old: Properties, new: Properties) -> None:
    def changed(member: str) -> bool:
        return old.get(member) != new.get(member)

    if changed("VersioningConfiguration"):
        configuration = new.get("VersioningConfiguration") or {"Status": "Suspended"}
        await site.run("s3", "PutBucketVersioning", {"Bucket": name, "VersioningConfiguration": configuration})
    if changed("Tags"):
        tags = new.get("Tags")
        await _put_or_delete(site, name, "BucketTagging", "Tagging", {"TagSet": tags} if tags else None)
    if changed("BucketEncryption"):
        rules = _encryption(new.get("BucketEncryption"))
        await _put_or_delete(site, name, "BucketEncryption", "ServerSideEncryptionConfiguration", rules)
    for member, noun in _SETTINGS.items():
        if changed(member):
            await _put_or_delete(site, name, noun, member, new.get(member))


async def _put_or_delete(site: Site, name: str, noun: str, member: str, value: object) -> None:
    """Set a configuration of a bucket by the operation named after it, or take it away."""
    if value is None:
        await run_if_there(site, "s3", f"Delete{noun}", {"Bucket": name})
    else:
        await site.run("s3", f"Put{noun}", {"Bucket": name, member: value})


def _encryption(configuration: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return a template's encryption in the API's shape."""
    if configuration is None:
        return None
    rules: list[dict[str, Any]] = []
    for rule in configuration.get("ServerSideEncryptionConfiguration") or ():
        entry = {"BucketKeyEnabled": rule.get("BucketKeyEnabled")}
        entry["ApplyServerSideEncryptionByDefault"] = rule.get("ServerSideEncryptionByDefault")
        rules.append({key: value for key, value in entry.items() if value is not None})
    return {"Rules": rules}


async def _update_bucket(site: Site, existing: Existing, properties: Properties) -> Made:
    await _configure(site, existing.physical_id, existing.properties, properties)
    return _made(site, existing.physical_id)


async def _delete_bucket(site: Site, existing: Existing) -> None:
    await run_if_there(site, "s3", "DeleteBucket", {"Bucket": existing.physical_id})


async def _put_policy(site: Site, properties: Properties) -> Made:
    params = {"Bucket": properties["Bucket"], "Policy": json_text(properties["PolicyDocument"])}
    await site.run("s3", "PutBucketPolicy", params)
    return Made(properties["Bucket"])


async def _update_policy(site: Site, _existing: Existing, properties: Properties) -> Made:
    return await _put_policy(site, properties)


async def _delete_policy(site: Site, existing: Existing) -> None:
    await run_if_there(site, "s3", "DeleteBucketPolicy", {"Bucket": existing.physical_id})


TYPES = (
    ResourceType(
        name="AWS::S3::Bucket",
        create=_create_bucket,
        update=_update_bucket,
        delete=_delete_bucket,
        naming=NameRule("BucketName", 63, lower=True),
        without_effect=_WITHOUT_EFFECT,
        unsupported=_UNSUPPORTED,
    ),
    ResourceType(name="AWS::S3::BucketPolicy", create=_put_policy, update=_update_policy, delete=_delete_policy),
)
