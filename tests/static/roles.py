"""The calls of the functions and definitions, held against the roles of the template.

`calls.json` lists what the functions call; `tests/tests/calls.rs` records it from their own clients and fails if the list
is not what they call today. What the state machines call follows from the definitions, and what rules and schedules call
from their targets. The roles are those that SAM's translator makes of the template. Moto's evaluator of policies, which
knows nothing of ours, says whether a statement allows a call. Then:

* each call is allowed by the role of its own function or state machine;
* each action of each statement is used by a call, or REASONS says why it is there;
* without any one of these actions, some call is refused.

What moto's evaluator does not do: of conditions it looks at StringEquals alone and takes every other operator, and a key
that a request does not have, for fulfilled; in its eyes a condition that does not hold denies what other statements allow,
so it is asked about one statement at a time. Which conditions a statement has is held by policy.py. Nor does it combine
boundaries and bucket policies.
"""

import copy
import functools
import json
import re
import sys

import policy
from moto.iam.access_control import IAMPolicy, PermissionResult
from policy import ACCOUNT, EVERYTHING, REGION, ROOT, STACK, listed

CALLS = ROOT / "tests/static/calls.json"
# The names that calls.json has for what the template makes or takes.
FURTHER, OTHER_ROLE = "landfall-further", f"arn:aws:iam::{ACCOUNT}:role/landfall-other"
PARAMETERS = {
    **EVERYTHING,
    "AllowedDestinations": f"s3://{FURTHER}/x/",
    "AllowedDestinationBuckets": FURTHER,
    "AllowedRoles": OTHER_ROLE,
}
BUCKETS = {"landfall-exports": "exportbucket", "landfall-ledger": "ledgerbucket"}
EXPORT_ROLE = f"arn:aws:iam::{ACCOUNT}:role/landfall-export"

# Why an action is granted that no recorded call uses: (role, Sid, action), each a pattern, and the reason.
REASONS = [
    (r".*", r"Log", r"logs:.*", "Lambda writes a function's log with the function's role"),
    (r".*StateMachineRole", r"DeliverLogs", r"logs:.*", "Step Functions delivers its log with the machine's role"),
    (r".*", r"Trace", r"xray:.*", "Lambda and Step Functions send traces with the role of what they run"),
    (r".*", r".*", r"kms:.*", "S3 asks KMS in the caller's name, where a bucket or an object has a key of its own"),
    (
        r"(VerifyOutput|SealReceipt|BatchPlan|BatchSummary)Role",
        r".*",
        r"s3:AbortMultipartUpload",
        "an upload in parts is given up where a part fails; policy.py: whoever_uploads_in_parts_may_give_up",
    ),
    (r"(SegmentSnapshotExport|EndpointExport|EndpointImport)Role", r".*", r".*", "the service makes these calls, not Landfall"),
]


def statements_of(stack):
    """{role: [statement]}, with those of its managed policies."""
    managed = {name: p["PolicyDocument"]["Statement"] for name, p in stack.of("AWS::IAM::ManagedPolicy").items()}
    found = {}
    for name, properties in stack.of("AWS::IAM::Role").items():
        documents = [inline["PolicyDocument"]["Statement"] for inline in properties.get("Policies", [])]
        documents += [managed[arn] for arn in properties.get("ManagedPolicyArns", []) if arn in managed]
        found[name] = [statement for document in documents for statement in document]
    return found


def recorded(stack):
    """[(role, action, resource, context)] of the functions."""
    for call in json.loads(CALLS.read_text()):
        function = call["function"]
        role = stack.role_of(stack.functions()[function]["Role"])
        resource = call["resource"]
        for name, made in BUCKETS.items():
            resource = re.sub(rf"^arn:aws:s3:::{name}\b", f"arn:aws:s3:::{made}", resource)
        if resource == EXPORT_ROLE:
            kind = next(kind for kind in policy.KINDS if function == kind.resource("StartFunction"))
            resource = stack.attribute(kind.role, "Arn")
        yield role, call["action"], resource, call.get("context", {})


def of_machines(facts, stack):
    """The calls of the state machines, as AWS documents them for the resources of their tasks and maps."""
    states = f"arn:aws:states:{REGION}:{ACCOUNT}"
    written = {call["resource"] for call in json.loads(CALLS.read_text()) if call["action"] == "s3:PutObject"}
    for properties in stack.of("AWS::StepFunctions::StateMachine").values():
        definition = facts.parsed[policy.path_of(properties)]
        role, name = stack.role_of(properties["RoleArn"]), properties["StateMachineName"]
        given = properties["DefinitionSubstitutions"]
        for task in policy.tasks(definition).values():
            integration, parameters = task["Resource"].split(":::")[1], task["Parameters"]
            if integration == "lambda:invoke":
                yield role, "lambda:InvokeFunction", given[parameters["FunctionName"][2:-1]], {}
            elif integration == "events:putEvents":
                for entry in parameters["Entries"]:
                    bus = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{given[entry['EventBusName'][2:-1]]}"
                    yield role, "events:PutEvents", bus, {"events:source": entry["Source"]}
            elif integration == "states:startExecution.sync:2":
                # It is told the end by a rule, and looks itself where that does not come.
                rule = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/StepFunctionsGetEventsForStepFunctionsExecutionRule"
                for action in ("PutTargets", "PutRule", "DescribeRule"):
                    yield role, f"events:{action}", rule, {}
                for kind in policy.KINDS:
                    yield role, "states:StartExecution", f"{states}:stateMachine:{STACK}-{kind.name}", {}
                    for action in ("DescribeExecution", "StopExecution"):
                        yield role, f"states:{action}", f"{states}:execution:{STACK}-{kind.name}:x", {}
            else:
                raise ValueError(f"roles.py does not know what {integration} calls")
        for label in (state["Label"] for state in definition["States"].values() if state["Type"] == "Map"):
            is_batch = policy.path_of(properties) == policy.BATCH_DEFINITION
            lists = [key for key in written if ("batch-items/" if is_batch else "/manifest.json") in key]
            for key in lists:
                yield role, "s3:GetObject", key.replace("landfall-ledger", BUCKETS["landfall-ledger"]), {}
            yield role, "states:StartExecution", f"{states}:stateMachine:{name}", {}
            for execution in (f"{states}:execution:{name}:x", f"{states}:execution:{name}/{label}:x"):
                for action in ("DescribeExecution", "StopExecution"):
                    yield role, f"states:{action}", execution, {}
            yield role, "states:RedriveExecution", f"{states}:execution:{name}/{label}:x", {}


def of_triggers(stack):
    """What EventBridge and its scheduler call for rules and schedules."""
    for _, target in policy.targets(stack):
        role = stack.role_of(target["RoleArn"])
        yield role, "states:StartExecution", target["Arn"], {}
        yield role, "sqs:SendMessage", target["DeadLetterConfig"]["Arn"], {}


@functools.cache
def permits(statement, action, resource, context):
    """Whether moto's evaluator finds that a statement, as JSON, allows a call."""
    evaluator = IAMPolicy({"policy_document": json.dumps({"Version": "2012-10-17", "Statement": [json.loads(statement)]})})
    found = evaluator.is_action_permitted(action, resource, incoming_condition_values=dict(context))
    return found is PermissionResult.PERMITTED


def allows(statement, call):
    _, action, resource, context = call
    return permits(json.dumps(statement, sort_keys=True), action, resource, tuple(sorted(context.items())))


def refused(roles, calls):
    return [call for call in calls if not any(allows(statement, call) for statement in roles.get(call[0], []))]


def reason(role, statement, action):
    """The number of the entry of REASONS that speaks for an action."""
    for number, (of_role, sid, of_action, _) in enumerate(REASONS):
        patterns = ((of_role, role), (sid, statement.get("Sid", "")), (of_action, action))
        if all(re.fullmatch(pattern, text) for pattern, text in patterns):
            return number
    return None


def without(statement, action):
    left = [other for other in listed(statement["Action"]) if other != action]
    return {**statement, "Action": left}


def problems(roles, calls):
    for role, action, resource, context in refused(roles, calls):
        yield f"{role} may not do {action} on {resource} {context or ''}".rstrip()
    needed = set()
    for role, statements in sorted(roles.items()):
        own = [call for call in calls if call[0] == role]
        for number, statement in enumerate(statements):
            for action in listed(statement["Action"]):
                where = f"{role}, {statement.get('Sid')}: {action}"
                used = [call for call in own if call[1] == action and allows(statement, call)]
                spoken_for = reason(role, statement, action)
                if not used:
                    if spoken_for is None:
                        yield f"{where} is used by no call"
                    needed.add(spoken_for)
                    continue
                fewer = [*statements[:number], without(statement, action), *statements[number + 1 :]]
                if not refused({role: fewer}, used):
                    yield f"{where} is not missed when it is taken away: other statements allow the same"
    for number, entry in enumerate(REASONS):
        if number not in needed:
            yield f"the reason {entry[-1]!r} is needed by no action"


def main():
    text = (ROOT / "template.yaml").read_text()
    definitions = {path: (ROOT / path).read_text() for path in (policy.DEFINITION, policy.BATCH_DEFINITION)}
    facts = policy.Facts(policy.yaml_parse(text), definitions, text)
    stack = facts.stack(PARAMETERS)
    roles = statements_of(stack)
    calls = [*recorded(stack), *of_machines(facts, stack), *of_triggers(stack)]
    found = list(dict.fromkeys(problems(roles, calls)))

    # The check itself is shown to notice: each action that a call uses is taken away once.
    taken = 0
    for role, statements in roles.items():
        for number, statement in enumerate(statements):
            for action in listed(statement["Action"]):
                if reason(role, statement, action) is not None:
                    continue
                other = copy.deepcopy(roles)
                other[role][number] = without(statement, action)
                taken += 1
                if not any(f"{role} may not do {action} " in problem for problem in problems(other, calls)):
                    found.append(f"nothing notices that {role} lacks {action} of {statement.get('Sid')}")
    wider = copy.deepcopy(roles)
    wider["SealReceiptRole"][0]["Action"].append("s3:DeleteObject")
    if not any("s3:DeleteObject is used by no call" in problem for problem in problems(wider, calls)):
        found.append("nothing notices that SealReceiptRole may delete")

    for problem in found:
        print(f"FAILED {problem}")
    print(f"{len(calls)} calls of {len(roles)} roles; {taken} actions taken away one by one; {len(found)} problems")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
