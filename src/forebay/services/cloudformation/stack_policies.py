"""Operations on stack policies, which are kept and returned; updates are not held to them."""

from msgspec.structs import replace

from forebay.api import cloudformation as api
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.cloudformation.documents import read_template_url
from forebay.services.cloudformation.lookup import load_live_stack
from forebay.services.cloudformation.stack import STACK, stack_key
from forebay.services.cloudformation.template.errors import invalid


@operation
async def set_stack_policy(call: Call, request: api.SetStackPolicyInput) -> None:
    """Keep a stack policy."""
    if request.stack_policy_url is not None:
        policy = await read_template_url(call, request.stack_policy_url)
    elif request.stack_policy_body is not None:
        policy = request.stack_policy_body
    else:
        raise invalid("Either StackPolicyBody or StackPolicyURL must be specified")

    def work(inner: Call) -> None:
        stack = load_live_stack(inner.reader, call.account, call.region, request.stack_name)
        inner.records.put(STACK, stack_key(stack), replace(stack, policy=policy))

    await call.transact(work)


@operation(readonly=True)
def get_stack_policy(call: Call, request: api.GetStackPolicyInput) -> api.GetStackPolicyOutput:
    """Return a stack's policy, if it has one."""
    stack = load_live_stack(call.reader, call.account, call.region, request.stack_name)
    return api.GetStackPolicyOutput(stack_policy_body=stack.policy)
