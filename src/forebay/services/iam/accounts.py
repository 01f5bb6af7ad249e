"""Operations on the account itself: its alias and what is in it."""

import re

from forebay.api import iam as api
from forebay.core.shapes import Empty
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.iam import limits
from forebay.services.iam.entity import list_entities
from forebay.services.iam.group import GROUP
from forebay.services.iam.instance_profile import INSTANCE_PROFILE
from forebay.services.iam.policy import POLICY
from forebay.services.iam.role import ROLE
from forebay.services.iam.user import USER
from forebay.store.records import Kind

# Keyed by the alias, which no two accounts share; the value is the account.
ACCOUNT_ALIAS = Kind("iam.account_alias", str)

_ACCOUNT_ID = re.compile(r"[0-9]{12}")


@operation
def create_account_alias(call: Call, request: api.CreateAccountAliasRequest) -> None:
    """Give the account an alias, in place of the one it has."""
    alias = request.account_alias
    if _ACCOUNT_ID.fullmatch(alias):
        raise api.InvalidInputException(f"The account alias {alias} must not be a 12 digit number.")
    owner = call.records.find(ACCOUNT_ALIAS, alias)
    if owner is not None and owner != call.account:
        raise api.EntityAlreadyExistsException(f"The account alias {alias} already exists.")
    for old in _aliases(call):
        call.records.delete(ACCOUNT_ALIAS, old)
    call.records.put(ACCOUNT_ALIAS, alias, call.account)


@operation(readonly=True)
def list_account_aliases(call: Call, _request: api.ListAccountAliasesRequest) -> api.ListAccountAliasesResponse:
    """Return the account's alias, if it has one."""
    return api.ListAccountAliasesResponse(account_aliases=_aliases(call), is_truncated=False)


@operation
def delete_account_alias(call: Call, request: api.DeleteAccountAliasRequest) -> None:
    """Take the account's alias away."""
    alias = request.account_alias
    if call.records.find(ACCOUNT_ALIAS, alias) != call.account:
        raise api.NoSuchEntityException(f"The account alias {alias} cannot be found.")
    call.records.delete(ACCOUNT_ALIAS, alias)


@operation(readonly=True)
def get_account_summary(call: Call, _request: Empty) -> api.GetAccountSummaryResponse:
    """Return how much of what there is in the account, and the quotas."""
    policies = list_entities(call, POLICY)
    return api.GetAccountSummaryResponse(
        summary_map={
            "Roles": len(list_entities(call, ROLE)),
            "RolesQuota": limits.ROLES_MAX,
            "Users": len(list_entities(call, USER)),
            "UsersQuota": limits.USERS_MAX,
            "Groups": len(list_entities(call, GROUP)),
            "GroupsQuota": limits.GROUPS_MAX,
            "Policies": len(policies),
            "PoliciesQuota": limits.POLICIES_MAX,
            "PolicyVersionsInUse": sum(len(policy.versions) for policy in policies),
            "InstanceProfiles": len(list_entities(call, INSTANCE_PROFILE)),
            "InstanceProfilesQuota": limits.INSTANCE_PROFILES_MAX,
            "AccessKeysPerUserQuota": limits.ACCESS_KEYS_PER_USER_MAX,
            "GroupsPerUserQuota": limits.GROUPS_PER_USER_MAX,
            "VersionsPerPolicyQuota": limits.POLICY_VERSIONS_MAX,
            "AttachedPoliciesPerRoleQuota": limits.ATTACHED_POLICIES_MAX,
            "AttachedPoliciesPerUserQuota": limits.ATTACHED_POLICIES_MAX,
            "AttachedPoliciesPerGroupQuota": limits.ATTACHED_POLICIES_MAX,
            "PolicySizeQuota": limits.POLICY_CHARACTERS_MAX,
            "RolePolicySizeQuota": limits.ROLE_POLICIES_CHARACTERS_MAX,
            "UserPolicySizeQuota": limits.USER_POLICIES_CHARACTERS_MAX,
            "GroupPolicySizeQuota": limits.GROUP_POLICIES_CHARACTERS_MAX,
            "AssumeRolePolicySizeQuota": limits.TRUST_POLICY_CHARACTERS_MAX,
            "MFADevices": 0,
            "MFADevicesInUse": 0,
            "AccountMFAEnabled": 0,
            "AccountAccessKeysPresent": 0,
            "Providers": 0,
            "ServerCertificates": 0,
        }
    )


def _aliases(call: Call) -> list[str]:
    return [alias for alias, account in call.reader.list(ACCOUNT_ALIAS) if account == call.account]
