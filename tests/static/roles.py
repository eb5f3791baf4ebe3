"""Compares the calls of the functions and definitions with the roles of the template.

`calls.json` lists the calls of the functions. `tests/tests/calls.rs` records it from the functions' own clients, and
fails if the list is out of date. The calls of the state machines follow from the definitions, and those of rules and
schedules from their targets. The roles are those that SAM's translator makes from the template. Ministack's evaluator
of policies, which knows none of our code, says whether they allow a call. Then:

* each call is allowed by the role of its own function or state machine;
* each action of each statement is used by a call, or REASONS says why it is there;
* without any one of these actions, some call is refused.

It evaluates conditions with what calls.json says about a request: iam:PassedToService and events:source. Boundaries and
bucket policies are not combined with the roles here; access.py decides writes with both.
"""

import copy
import functools
import json
import re
import sys

from ministack.core import iam_evaluator as iam

import policy
from policy import ACCOUNT, EVERYTHING, REGION, ROOT, STACK, listed

FACTS = policy.Facts(policy.read())
KINDS = FACTS.kinds

CALLS = ROOT / "tests/static/calls.json"
# The names in calls.json for what the template makes or takes.
FURTHER, OTHER_ROLE = "landfall-further", f"arn:aws:iam::{ACCOUNT}:role/landfall-other"
PARAMETERS = {
    **EVERYTHING,
    "AllowedDestinations": f"s3://{FURTHER}/x/",
    "AllowedDestinationBuckets": FURTHER,
    "AllowedRoles": OTHER_ROLE,
    "AllowedDomains": "example-*",
    "AllowedDashboards": "sales-*",
}
BUCKETS = {"landfall-exports": "exportbucket", "landfall-ledger": "ledgerbucket"}
EXPORT_ROLE = f"arn:aws:iam::{ACCOUNT}:role/landfall-export"
# The role for sessions of registered users: as what is assumed, and, in place of a function, as the caller in such a
# session.
SESSION_ARN, SESSION_ROLE = f"arn:aws:iam::{ACCOUNT}:role/landfall-user-session", "DashboardSnapshotSessionRole"

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
    (
        r".*PollRole",
        r"ListLedger",
        r"s3:ListBucket",
        "an entry that somebody deleted is absent and not forbidden; policy.py: readers_may_list_so_that_an_absent_key_gives_404",
    ),
    ("|".join(kind.role for kind in KINDS if kind.role), r".*", r".*", "the service makes these calls, not Landfall"),
]


def recorded(stack):
    """[(role, action, resource, context)] of the functions."""
    for call in json.loads(CALLS.read_text()):
        function = call["function"]
        role = function if function == SESSION_ROLE else stack.role_of(stack.functions[function]["Role"])
        resource = call["resource"]
        if resource == SESSION_ARN:
            resource = stack.attribute(SESSION_ROLE, "Arn")
        for name, made in BUCKETS.items():
            resource = re.sub(rf"^arn:aws:s3:::{name}\b", f"arn:aws:s3:::{made}", resource)
        if resource == EXPORT_ROLE:
            kind = next(kind for kind in KINDS if function == kind.resource("StartFunction"))
            resource = stack.attribute(kind.role, "Arn")
        yield role, call["action"], resource, call.get("context", {})


def of_machines(facts, stack):
    """The calls of the state machines, as AWS documents them for the resources of their tasks and maps."""
    states = f"arn:aws:states:{REGION}:{ACCOUNT}"
    written = {call["resource"] for call in json.loads(CALLS.read_text()) if call["action"] == "s3:PutObject"}
    for properties in stack.machines.values():
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
                    yield role, "events:PutEvents", bus, {"events:source": [entry["Source"]]}
            elif integration == "states:startExecution.sync:2":
                # A rule tells it of the end, and if that event does not come, it asks itself.
                rule = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/StepFunctionsGetEventsForStepFunctionsExecutionRule"
                for action in ("PutTargets", "PutRule", "DescribeRule"):
                    yield role, f"events:{action}", rule, {}
                for kind in KINDS:
                    yield role, "states:StartExecution", f"{states}:stateMachine:{STACK}-{kind.name}", {}
                    for action in ("DescribeExecution", "StopExecution"):
                        yield role, f"states:{action}", f"{states}:execution:{STACK}-{kind.name}:x", {}
            else:
                raise ValueError(f"roles.py does not know what {integration} calls")
        for label in (state["Label"] for state in definition["States"].values() if state["Type"] == "Map"):
            is_batch = policy.path_of(properties) == policy.BATCH_DEFINITION
            lists = [key for key in written if ("batch-items/" if is_batch else "/manifest.json") in key]
            for key in lists:
                # The same function lists the slices of every kind, under the kind's prefix.
                key = re.sub(r"/verifications/[^/]*/", f"/verifications/{name.removeprefix(f'{STACK}-')}/", key)
                yield role, "s3:GetObject", key.replace("landfall-ledger", BUCKETS["landfall-ledger"]), {}
            yield role, "states:StartExecution", f"{states}:stateMachine:{name}", {}
            for execution in (f"{states}:execution:{name}:x", f"{states}:execution:{name}/{label}:x"):
                for action in ("DescribeExecution", "StopExecution"):
                    yield role, f"states:{action}", execution, {}
            yield role, "states:RedriveExecution", f"{states}:execution:{name}/{label}:x", {}


def of_triggers(stack):
    """The calls of EventBridge and its scheduler for rules and schedules."""
    for _, target in policy.targets(stack):
        role = stack.role_of(target["RoleArn"])
        action = "sns:Publish" if ":sns:" in target["Arn"] else "states:StartExecution"
        yield role, action, target["Arn"], {}
        yield role, "sqs:SendMessage", target["DeadLetterConfig"]["Arn"], {}


@functools.cache
def parsed(statement):
    return iam.parse_policy_document({"Version": "2012-10-17", "Statement": [json.loads(statement)]})


def allows(statements, call):
    """Whether the evaluator finds that the statements of one role allow a call."""
    role, action, resource, context = call
    context = iam.EvalContext(
        principal_arn=f"arn:aws:iam::{ACCOUNT}:role/{role}",
        principal_type="AssumedRole",
        principal_account=ACCOUNT,
        action=action,
        resource_arn=resource,
        region=REGION,
        secure_transport=True,
        service_context={name.lower(): value for name, value in context.items()},
    )
    return iam.evaluate(context, [parsed(json.dumps(statement)) for statement in statements]).decision == "Allow"


def refused(roles, calls):
    return [call for call in calls if not allows(roles.get(call[0], []), call)]


def reason(role, statement, action):
    """The number of the entry of REASONS that explains an action."""
    for number, (of_role, sid, of_action, _) in enumerate(REASONS):
        patterns = ((of_role, role), (sid, statement.get("Sid", "")), (of_action, action))
        if all(re.fullmatch(pattern, text) for pattern, text in patterns):
            return number
    return None


def without(statements, number, action):
    """The statements of a role without one action."""
    left = [other for other in listed(statements[number]["Action"]) if other != action]
    fewer = [{**statements[number], "Action": left}] if left else []
    return [*statements[:number], *fewer, *statements[number + 1 :]]


def problems(roles, calls):
    for role, action, resource, context in refused(roles, calls):
        yield f"{role} may not do {action} on {resource} {context or ''}".rstrip()
    needed = set()
    for role, statements in sorted(roles.items()):
        own = [call for call in calls if call[0] == role]
        for number, statement in enumerate(statements):
            # access.py tests what is denied.
            for action in listed(statement["Action"]) if statement["Effect"] == "Allow" else ():
                where = f"{role}, {statement.get('Sid')}: {action}"
                used = [call for call in own if call[1] == action and allows([statement], call)]
                spoken_for = reason(role, statement, action)
                if not used:
                    if spoken_for is None:
                        yield f"{where} is used by no call"
                    needed.add(spoken_for)
                    continue
                if not refused({role: without(statements, number, action)}, used):
                    yield f"{where} is not missed when it is taken away: other statements allow the same"
    for number, entry in enumerate(REASONS):
        if number not in needed:
            yield f"the reason {entry[-1]!r} is needed by no action"


def of_users(call):
    """Whether a call is made for a registered user, which needs an allowed user."""
    role, action, resource, _ = call
    return role == SESSION_ROLE or resource.endswith(f"/{SESSION_ROLE}") or action == "quicksight:GetIdentityContext"


def main():
    facts = FACTS
    stack = facts.stack(PARAMETERS)
    roles = stack.grants()
    calls = [*recorded(stack), *of_machines(facts, stack), *of_triggers(stack)]
    found = list(dict.fromkeys(problems(roles, calls)))

    # If only the kinds are deployed, calls that need more parameters are not made.
    plain = facts.stack({**{kind.parameter: "true" for kind in KINDS}, "ExportBatches": "true"})
    of_plain = [*recorded(plain), *of_machines(facts, plain), *of_triggers(plain)]
    of_plain = [call for call in of_plain if FURTHER not in call[2] and call[2] != OTHER_ROLE and not of_users(call)]
    for role, action, resource, _ in refused(plain.grants(), of_plain):
        found.append(f"without further parameters {role} may not do {action} on {resource}")

    # The check notices a missing action, a superfluous one, and a call that nobody may make.
    place = lambda role, sid: [statement["Sid"] for statement in roles[role]].index(sid)  # noqa: E731
    for role, sid in (("SealReceiptRole", "ListExports"), ("EndpointExportStartRole", "Start")):
        number = place(role, sid)
        action = listed(roles[role][number]["Action"])[0]
        fewer = {**roles, role: without(roles[role], number, action)}
        if not any(problem.startswith(f"{role} may not do {action} ") for problem in problems(fewer, calls)):
            found.append(f"nothing notices that {role} lacks {action}")
    wider = copy.deepcopy(roles)
    wider["SealReceiptRole"][place("SealReceiptRole", "CloseJob")]["Action"].append("s3:DeleteObject")
    if "SealReceiptRole, CloseJob: s3:DeleteObject is used by no call" not in problems(wider, calls):
        found.append("nothing notices that SealReceiptRole may delete")
    foreign = ("SealReceiptRole", "s3:PutObject", "arn:aws:s3:::exportbucket/x/data.csv", {})
    if not any("may not do s3:PutObject on" in problem for problem in problems(roles, [*calls, foreign])):
        found.append("nothing notices that SealReceiptRole writes data")

    actions = sum(len(listed(statement["Action"])) for statements in roles.values() for statement in statements)
    for problem in found:
        print(f"FAILED {problem}")
    print(f"{len(calls)} calls of {len(roles)} roles; {actions} actions; {len(found)} problems")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
