"""Asks an evaluator that we did not write what the roles and policies of template.yaml allow.

policy.py checks the words of the policies. This file checks their meaning, where words are easily confused: condition
operators with and without IfExists, keys with several values, NotResource, wildcards in paths. The evaluator is
ministack's (MIT), of which nothing else is used. Each case must give the expected answer, and each mutation at the end
must change the answer of some case.
"""

import json
import sys
from fnmatch import fnmatchcase

from ministack.core import iam_evaluator as iam
import policy
from policy import ACCOUNT, EVERYTHING, REGION, STACK

KINDS = policy.Facts(policy.read()).kinds

KEY = EVERYTHING["KmsKeyArn"]
MACHINE = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{STACK}-"
BUS = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{EVERYTHING['EventBusName']}"
ROLE = f"arn:aws:iam::{ACCOUNT}:role"
NOBODY = f"{ROLE}/somebody"


def decide(documents, action, resource, principal=NOBODY, **keys):
    """Whether documents that apply to one principal allow an action."""
    context = iam.EvalContext(
        principal_arn=principal,
        principal_type="AssumedRole",
        principal_account=ACCOUNT,
        action=action,
        resource_arn=resource,
        region=REGION,
        secure_transport=True,
        service_context={name.replace("__", ":").lower(): value for name, value in keys.items()},
    )
    return iam.evaluate(context, [iam.parse_policy_document(document) for document in documents]).decision == "Allow"


def of_role(stack, name):
    return [{"Statement": stack.grants()[name]}]


def trust(stack, name):
    return [stack.of("AWS::IAM::Role")[name]["AssumeRolePolicyDocument"]]


def beside_everything(statements):
    """A policy of a resource, with a principal whose own policy allows everything."""
    everything = {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    return [everything, {"Statement": statements}]


def cases(stack):
    """(what, whether it should be allowed, whether it is)"""
    role = lambda name: of_role(stack, name)  # noqa: E731

    # Announcements: one entry, several, one with another source, one without a source.
    for machine in ("ExportBatch", *(kind.resource("") for kind in KINDS)):
        own = role(f"{machine}StateMachineRole")
        for sources, expected in (
            (["landfall"], True),
            (["landfall", "landfall"], True),
            (["landfall", "aws.other"], False),
            (["other"], False),
            (None, False),
        ):
            keys = {} if sources is None else {"events__source": sources}
            yield f"{machine} announces as {sources}", expected, decide(own, "events:PutEvents", BUS, **keys)
        yield f"{machine} on another bus", False, decide(own, "events:PutEvents", f"{BUS}2", events__source=["landfall"])

    # Who may assume the roles of the services, and to which services the roles may be passed.
    for kind in KINDS:
        if not kind.role:
            continue
        # AWS does not document what Customer Profiles tells IAM about the caller it acts for.
        is_documented = kind.name != "segment-snapshot"
        arn = {"aws__sourcearn": f"arn:aws:{kind.api}:{REGION}:{ACCOUNT}:{kind.things}/1"} if is_documented else {}
        assume = lambda **keys: decide(trust(stack, kind.role), "sts:AssumeRole", "", **{**arn, **keys})  # noqa: E731, B023
        yield f"{kind.role} for this account", True, assume(aws__sourceaccount=ACCOUNT)
        yield f"{kind.role} for another account", False, assume(aws__sourceaccount="999999999999")
        yield f"{kind.role} for an account that is not told", not is_documented, assume()
        for passed in (stack.attribute(kind.role, "Arn"), f"{ROLE}/two-2"):
            give = lambda **keys: decide(role(kind.resource("StartRole")), "iam:PassRole", passed, **keys)  # noqa: E731, B023
            yield f"{passed} is passed to its service", True, give(iam__passedtoservice=kind.service)
            yield f"{passed} is passed to EC2", False, give(iam__passedtoservice="ec2.amazonaws.com")
            yield f"{passed} is passed to nobody who is told", True, give()
        other = decide(role(kind.resource("StartRole")), "iam:PassRole", f"{ROLE}/three")
        yield f"{kind.name} passes another role", False, other

    # Customer Profiles writes in parts, reads back what it wrote, and grants access only to services.
    writer, run = role("SegmentSnapshotExportRole"), "arn:aws:s3:::exportbucket/segment-snapshot/run=20261101T050000Z-1/"
    for action, resource, expected in (
        ("s3:PutObject", f"{run}part-0.csv", True),
        ("s3:GetObject", f"{run}part-0.csv", True),
        ("s3:GetObject", "arn:aws:s3:::exportbucket/run=1-2/part-0.csv", True),
        ("s3:GetObject", "arn:aws:s3:::aaa/x/run=1/part-0.csv", True),
        ("s3:ListMultipartUploadParts", f"{run}part-0.csv", True),
        ("s3:ListBucketMultipartUploads", "arn:aws:s3:::exportbucket", True),
        ("s3:GetObject", "arn:aws:s3:::exportbucket/requests.json", False),
        ("s3:GetObject", "arn:aws:s3:::aaa/run=1/part-0.csv", False),
        ("s3:PutObject", f"{run}_receipt.json", False),
        ("s3:PutObject", "arn:aws:s3:::bbb/run=1/_latest.json", False),
        ("s3:DeleteObject", f"{run}part-0.csv", False),
        ("s3:PutObject", "arn:aws:s3:::ledgerbucket/jobs/segment-snapshot/1.json", False),
    ):
        yield f"the writer: {action} on {resource}", expected, decide(writer, action, resource)
    for key in (KEY, EVERYTHING["AllowedKmsKeys"]):
        yield f"a grant of {key} to a service", True, decide(
            writer, "kms:CreateGrant", key, kms__grantisforawsresource="true"
        )
        yield f"a grant of {key} to anybody", False, decide(
            writer, "kms:CreateGrant", key, kms__grantisforawsresource="false"
        )
        yield f"a grant of {key} that says nothing", False, decide(writer, "kms:CreateGrant", key)

    # What may be exported: names that match the patterns of a kind, and names that look similar.
    for kind in KINDS:
        stem = f"arn:aws:{kind.api}:{REGION}:{ACCOUNT}:{kind.things}/"
        patterns = EVERYTHING[kind.allowed].split(",") if kind.allowed else ["*"]
        taken = [pattern.replace("*", "a") for pattern in patterns]
        names = [name for one in taken for name in (one, f"{one}-2", f"x{one}", one.upper())]
        for suffix in ("Start", "Poll"):
            own = role(kind.resource(f"{suffix}Role"))
            (statement,) = [s for document in own for s in document["Statement"] if s["Sid"] == suffix]
            for action in policy.listed(statement["Action"]):
                for name in names:
                    expected = any(fnmatchcase(name, pattern) for pattern in patterns)
                    for beneath in ("", "/segment-definitions/buyers"):
                        yield f"{action} on {name}{beneath}", expected, decide(own, action, f"{stem}{name}{beneath}")
                elsewhere = stem.replace(REGION, "us-east-1")
                yield f"{action} in another region", False, decide(own, action, f"{elsewhere}{taken[0]}")

    # Only a kind's own functions and the seal may write its entries.
    for kind in KINDS:
        start = role(kind.resource("StartRole"))
        for other in KINDS:
            for folder in ("jobs", "history"):
                entry = f"arn:aws:s3:::ledgerbucket/{folder}/{other.name}/1.json"
                is_own = other.name == kind.name
                yield f"{kind.name} reads {entry}", is_own, decide(start, "s3:GetObject", entry)
                yield f"{kind.name} writes {entry}", is_own and folder == "jobs", decide(start, "s3:PutObject", entry)
        for folder, granted in (("jobs", True), ("history", True), ("receipts", True), ("reports", False)):
            entry = f"arn:aws:s3:::ledgerbucket/{folder}/{kind.name}/1.json"
            yield f"the seal writes {entry}", granted, decide(role("SealReceiptRole"), "s3:PutObject", entry)

    # The seal may write receipts, lists and pointers wherever events may name a destination, and nothing else.
    for place, is_allowed in (("exportbucket/", True), ("aaa/x/", True), ("bbb/", True), ("aaa/", False), ("ccc/", False)):
        for name, is_seal in (
            ("_latest.json", True),
            ("run=1/_receipt.json", True),
            ("d/run=1/_objects.jsonl", True),
            ("d/run=1/_manifest.json", True),
            ("run=1/part-0.csv", False),
            ("run=1/x_receipt.json", False),
        ):
            for action in ("s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"):
                granted = decide(role("SealReceiptRole"), action, f"arn:aws:s3:::{place}{name}")
                yield f"the seal: {action} on {place}{name}", is_allowed and is_seal, granted

    # The bucket itself: the seal of this stack, of an earlier stack, and everyone else.
    receipt = "arn:aws:s3:::exportbucket/run=1/_receipt.json"
    exports = beside_everything([*stack.bucket_statements("ExportBucket")])
    for principal, expected in (
        (stack.attribute("SealReceiptRole", "Arn"), True),
        (f"{ROLE}/landfall/earlier/seal/earlier-SealReceiptRole-1", True),
        (stack.attribute("VerifyOutputRole", "Arn"), False),
        (stack.attribute("SegmentSnapshotExportRole", "Arn"), False),
        (f"{ROLE}/landfall/earlier/other", False),
        (f"{ROLE}/other/landfall/earlier/seal/x", False),
        (f"arn:aws:iam::999999999999:role/landfall/{STACK}/seal/x", False),
    ):
        granted = decide(exports, "s3:PutObject", receipt, principal, **{"s3__if-none-match": "*"})
        yield f"{principal} writes a receipt", expected, granted
    again = decide(exports, "s3:PutObject", receipt, stack.attribute("SealReceiptRole", "Arn"))
    yield "a receipt is written over", False, again

    # The ledger: the functions of this stack, with a condition.
    entry, ledger = "arn:aws:s3:::ledgerbucket/jobs/segment-snapshot/1.json", beside_everything(
        [*stack.bucket_statements("LedgerBucket")]
    )
    creates = {"s3__objectcreationoperation": "true"}
    for principal, keys, expected in (
        (stack.attribute("SealReceiptRole", "Arn"), {"s3__if-match": "1"}, True),
        *((stack.attribute(kind.resource("StartRole"), "Arn"), {"s3__if-none-match": "*"}, True) for kind in KINDS),
        (stack.attribute("SealReceiptRole", "Arn"), {}, False),
        (f"{ROLE}/landfall/earlier/seal/x", {"s3__if-match": "1"}, False),
        *((stack.attribute(kind.resource("StateMachineRole"), "Arn"), {"s3__if-match": "1"}, False) for kind in KINDS),
    ):
        granted = decide(ledger, "s3:PutObject", entry, principal, **creates, **keys)
        yield f"{principal} writes {entry} with {keys}", expected, granted
    deleted = decide(ledger, "s3:DeleteObject", entry, stack.attribute("SealReceiptRole", "Arn"))
    yield f"{entry} is deleted", False, deleted

    # The bus: who asks for jobs, and who announces them.
    statements = [p["Statement"] for p in stack.of("AWS::Events::EventBusPolicy").values()]
    bus = beside_everything(statements)
    own = stack.attribute("SegmentSnapshotStateMachineRole", "Arn")
    for principal, sources, expected in (
        (own, ["landfall"], True),
        (f"{ROLE}/asker", ["shop"], True),
        (f"{ROLE}/team/night", ["shop", "shop"], True),
        (f"{ROLE}/asker", ["shop", "landfall"], False),
        (f"{ROLE}/other", ["shop"], False),
        (stack.attribute("SegmentSnapshotStartRole", "Arn"), ["landfall"], False),
    ):
        granted = decide(bus, "events:PutEvents", BUS, principal, events__source=sources)
        yield f"{principal} puts events of {sources}", expected, granted

    # The key: the functions use it through S3, a machine and its trigger through its own machine.
    s3, states = f"s3.{REGION}.amazonaws.com", "kms__encryptioncontext__aws__states__statemachinearn"
    starts = [kind.resource("StartRole") for kind in KINDS]
    for name in (*starts, "SealReceiptRole", "VerifyOutputRole", "BatchSummaryRole"):
        yield f"{name} decrypts through S3", True, decide(role(name), "kms:Decrypt", KEY, kms__viaservice=s3)
        yield f"{name} decrypts by itself", False, decide(role(name), "kms:Decrypt", KEY)
    for kind in KINDS:
        for name in (kind.resource("StateMachineRole"), kind.resource("TriggerRole")):
            for other in KINDS:
                granted = decide(role(name), "kms:GenerateDataKey", KEY, **{states: f"{MACHINE}{other.name}"})
                yield f"{name} encrypts executions of {other.name}", other.name == kind.name, granted
        reading = decide(role("ExportBatchStateMachineRole"), "kms:Decrypt", KEY, **{states: f"{MACHINE}{kind.name}"})
        yield f"a batch reads the executions of {kind.name} that it waits for", True, reading


SINGLE = {"StringEquals": {"events:source": "landfall"}}
ACCOUNT_IS_TOLD = {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
MUTATIONS = [
    ("MachinePolicy/statements/Announce/Condition", SINGLE),
    ("MachinePolicy/statements/Announce/Condition/Null", None),
    ("SegmentSnapshotExportRole/AssumeRolePolicyDocument/Statement/0/Condition", ACCOUNT_IS_TOLD),
    ("SegmentSnapshotExportRole/AssumeRolePolicyDocument/Statement/0/Condition", {}),
    ("EndpointExportStartPolicy/statements/PassRole/Condition", {"StringEquals": {"iam:PassedToService": "pinpoint.amazonaws.com"}}),
    ("SegmentSnapshotStartPolicy/statements/PassAllowedRoles/Condition", {}),
    ("SegmentSnapshotExportRole/statements/GrantStackKey/Condition", {}),
    ("SegmentSnapshotExportRole/statements/ReadBack", None),
    ("WriterPolicy/statements/NoReceipts", None),
    ("SegmentSnapshotDenyPolicy/Roles/1", None),
    ("DashboardSnapshotDenyPolicy/statements/NoOtherDashboard/NotResource", ["arn:*:quicksight:*:*:dashboard/sales"]),
    ("EndpointImportStartRole/statements/ClaimJob/Resource", {"Fn::Sub": "${LedgerBucket.Arn}/jobs/*"}),
    ("SealReceiptRole/statements/NothingButSeals", None),
    ("SealReceiptRole/statements/NothingButSeals/NotResource/0", None),
    ("SealReceiptRole/statements/SealExports/Resource", {"Fn::Sub": "${ExportBucket.Arn}/*"}),
    ("ExportBucketPolicy/statements/OnlySealWritesReceipts/Condition", {"ArnNotEquals": {"aws:PrincipalArn": "x"}}),
    ("AnnouncersPolicy/Statement/Condition/ForAnyValue:StringEquals", {"events:source": "other"}),
    ("SendersPolicy/Statement/Effect", "Allow"),
    ("LedgerPolicy/statements/UseStackKey/Condition", {}),
    ("SegmentSnapshotTriggerRole/statements/EncryptInput", None),
]


def main():
    facts = policy.Facts(policy.read())

    def decided(raw):
        return list(cases(policy.Stack(facts.template, raw, EVERYTHING)))

    def wrong(decisions):
        return [f"{what}: {'allowed' if is_ else 'refused'}" for what, wanted, is_ in decisions if is_ != wanted]

    decisions = decided(facts.raw)
    failures = wrong(decisions)
    passed = len(decisions) - len(failures)
    for path, value in MUTATIONS:
        if wrong(decided(policy.mutated(facts.raw, path, value))):
            passed += 1
        else:
            failures.append(f"did not notice {path} = {json.dumps(value)}")
    for failure in failures:
        print(f"FAILED {failure}")
    print(f"{passed} passed, {len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
