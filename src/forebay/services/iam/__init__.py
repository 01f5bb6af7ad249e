"""IAM: roles, users, groups, policies, instance profiles and access keys, stored and returned; one set per account.

Reading order: `entity.py` (what roles, users and groups share: names, ids, tags, policies), `role.py`, `user.py`,
`group.py`, `policy.py`, `instance_profile.py` (the domain), `document.py` (what a policy document may say), then the
operations: `roles.py`, `role_policies.py`, `policies.py`, `policy_versions.py`, `instance_profiles.py`, `users.py`,
`user_policies.py`, `groups.py`, `group_policies.py`, `access_keys.py`, `accounts.py`. `limits.py` has AWS's quotas.

Policies are stored, not enforced: no call is allowed or denied because of one. Left out: identity providers, MFA,
certificates, login profiles, reports, policy simulation, service-linked roles, and the documents of AWS's managed
policies (they can be attached by ARN).
"""

from forebay.api import iam as api
from forebay.operations.service import Service
from forebay.services.iam import (
    access_keys,
    accounts,
    group_policies,
    groups,
    instance_profiles,
    policies,
    policy_versions,
    role_policies,
    roles,
    user_policies,
    users,
)

SERVICE = Service(
    name="iam",
    model=api.MODEL,
    operations=(
        roles,
        role_policies,
        policies,
        policy_versions,
        instance_profiles,
        users,
        user_policies,
        groups,
        group_policies,
        access_keys,
        accounts,
    ),
)
