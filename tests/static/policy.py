"""What must hold of template.yaml and the state machine beyond their being valid.

The template is transformed as SAM does it and its functions (Ref, Sub, If, …) are resolved with no parameter given, with
all of them, and with each choice of kinds. Each check is then shown to notice what it is there for: the mutations at the
end break the template or the definition, one way each, and the check that they name has to object. A check without a
mutation is an error.
"""

import copy
import fnmatch
import json
import logging
import os
import re
import sys
from itertools import product
from pathlib import Path
from typing import NamedTuple

# The transform asks for a region, and nothing here may depend on the machine's own settings.
os.environ.update(AWS_DEFAULT_REGION="eu-central-1", AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull)

import tomlkit  # noqa: E402
from samcli.yamlhelper import yaml_parse  # noqa: E402
from samtranslator.translator.transform import transform  # noqa: E402

logging.disable(logging.WARNING)  # the transform warns of metrics that it did not send

ROOT = Path(__file__).resolve().parents[2]
DEFINITION = "statemachine/export-job.asl.json"
BATCH_DEFINITION = "statemachine/export-batch.asl.json"
ACCOUNT, REGION, STACK = "111122223333", "eu-central-1", "landfall"
PSEUDO = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Region": REGION,
    "AWS::StackName": STACK,
    "AWS::Partition": "aws",
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::NoValue": None,
}
# Actions for which AWS knows no resource, so that "*" is all that can be written.
WITHOUT_RESOURCE = {
    "xray:PutTraceSegments",
    "xray:PutTelemetryRecords",
    "xray:GetSamplingRules",
    "xray:GetSamplingTargets",
    "logs:CreateLogDelivery",
    "logs:GetLogDelivery",
    "logs:UpdateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:DescribeResourcePolicies",
    "logs:DescribeLogGroups",
}
EVERYTHING = {
    "AllowedDomains": "shop,test-*",
    "AllowedDashboards": "sales,*-public",
    "CreateEventBus": "true",
    "EventBusName": "exports",
    "EventBusSenders": f"arn:aws:iam::{ACCOUNT}:role/asker,arn:aws:iam::{ACCOUNT}:role/team/*",
    "KmsKeyArn": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/own",
    "AllowedDestinations": "s3://aaa/x/,s3://bbb/",
    "AllowedDestinationBuckets": "aaa,bbb",
    "AllowedRoles": f"arn:aws:iam::{ACCOUNT}:role/one,arn:aws:iam::{ACCOUNT}:role/two-*",
    "AllowedKmsKeys": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/one",
    "ExportRetentionDays": "30",
    "VerifyConcurrency": "500",
    "BatchConcurrency": "200",
    "ReservedConcurrency": "7",
    "ExportBatches": "true",
    "Tracing": "true",
    "AlarmTopicArn": f"arn:aws:sns:{REGION}:{ACCOUNT}:alarms",
    "PermissionsBoundaryArn": f"arn:aws:iam::{ACCOUNT}:policy/boundary",
    "SegmentSnapshots": "true",
    "ScheduleExpression": "rate(1 day)",
    "ScheduleExpressionTimezone": "Europe/Berlin",
    "DomainName": "shop",
    "SegmentDefinitionName": "buyers",
    "SegmentSnapshotRoleArn": f"arn:aws:iam::{ACCOUNT}:role/nightly",
    "SegmentSnapshotOptions": '{"Name": "nightly"}',
    "DashboardSnapshots": "true",
    "DashboardSnapshotScheduleExpression": "rate(1 day)",
    "DashboardSnapshotRequest": '{"DashboardId": "sales"}',
    "PinpointKinds": "true",
    "EndpointExportScheduleExpression": "rate(1 day)",
    "EndpointExportRequest": '{"ApplicationId": "app", "ExportJobRequest": {}}',
    "EndpointImportScheduleExpression": "rate(1 day)",
    "EndpointImportRequest": '{"ApplicationId": "app", "ImportJobRequest": {"Format": "CSV"}}',
    "QuickSightRoleArn": f"arn:aws:iam::{ACCOUNT}:role/service-role/quick",
}


# What events may name, and the stack's own.
KEYS = {*EVERYTHING["AllowedKmsKeys"].split(","), EVERYTHING["KmsKeyArn"]}


class Kind(NamedTuple):
    """What a kind of job has to have, and no more."""

    name: str
    parameter: str  # deploys it when "true"
    crate: str  # that makes its calls
    api: str  # before the colon of its actions
    resources: str  # what its actions are allowed on
    start: set  # actions of its start function
    poll: set  # actions of its poll function
    request: dict  # of its schedule, if everything is given
    role: str | None = None  # that it passes to the service
    other_role: str | None = None  # the parameter that names one for its schedule instead
    in_parts: bool = False  # whether the role has all that a writer of large objects may ask for
    service: str | None = None  # that assumes the role
    passed_to: object = None  # by what names IAM may be told the service, if by others than that
    writes: bool = True  # whether it needs a destination
    reads: bool = False  # whether its start function reads a source
    trust: dict = {}  # what the role's trust asks of the service
    per_day: bool = False  # whether the service has a quota of start calls a day
    names: str | None = None  # the parameter that says what may be exported

    def resource(self, suffix):
        return "".join(map(str.title, self.name.split("-"))) + suffix


# What a service is not documented to send is refused if it is another's, and not missed.
IF_SENT = {"StringEqualsIfExists": {"aws:SourceAccount": ACCOUNT}}
PINPOINT = f"arn:aws:mobiletargeting:{REGION}:{ACCOUNT}:apps/*"
PINPOINT_TRUST = {"StringEquals": {"aws:SourceAccount": ACCOUNT}, "ArnLike": {"aws:SourceArn": PINPOINT}}
# The service authorization reference has the first, the developer guide's trust policies the second.
PINPOINT_NAMES = ["mobiletargeting.amazonaws.com", "pinpoint.amazonaws.com"]
KINDS = [
    Kind(
        name="segment-snapshot",
        parameter="SegmentSnapshots",
        crate="customer-profiles",
        api="profile",
        resources=f"arn:aws:profile:{REGION}:{ACCOUNT}:domains/*",
        start={"CreateSegmentSnapshot"},
        poll={"GetSegmentSnapshot"},
        request={
            "DomainName": "shop",
            "SegmentDefinitionName": "buyers",
            "DataFormat": "CSV",
            "RoleArn": EVERYTHING["SegmentSnapshotRoleArn"],
            "Landfall": {"Name": "nightly"},
        },
        role="SegmentSnapshotExportRole",
        other_role="SegmentSnapshotRoleArn",
        service="profile.amazonaws.com",
        trust=IF_SENT,
        in_parts=True,
        names="AllowedDomains",
        per_day=True,
    ),
    Kind(
        name="dashboard-snapshot",
        parameter="DashboardSnapshots",
        crate="quicksight",
        api="quicksight",
        resources=f"arn:aws:quicksight:{REGION}:{ACCOUNT}:dashboard/*",
        start={"StartDashboardSnapshotJob", "DescribeDashboardSnapshotJob"},
        poll={"DescribeDashboardSnapshotJob", "DescribeDashboardSnapshotJobResult"},
        request={"DashboardId": "sales"},
        names="AllowedDashboards",
    ),
    Kind(
        name="endpoint-export",
        parameter="PinpointKinds",
        crate="pinpoint",
        api="mobiletargeting",
        resources=PINPOINT,
        start={"CreateExportJob", "GetExportJob", "GetExportJobs", "GetSegmentExportJobs"},
        poll={"GetExportJob", "GetExportJobs", "GetSegmentExportJobs"},
        request={"ApplicationId": "app", "ExportJobRequest": {}},
        role="EndpointExportRole",
        service="pinpoint.amazonaws.com",
        passed_to=PINPOINT_NAMES,
        trust=PINPOINT_TRUST,
    ),
    Kind(
        name="endpoint-import",
        parameter="PinpointKinds",
        crate="pinpoint",
        api="mobiletargeting",
        resources=PINPOINT,
        start={"CreateImportJob", "GetImportJob", "GetImportJobs", "GetSegmentImportJobs"},
        poll={"GetImportJob", "GetImportJobs", "GetSegmentImportJobs"},
        request={"ApplicationId": "app", "ImportJobRequest": {"Format": "CSV"}},
        role="EndpointImportRole",
        service="pinpoint.amazonaws.com",
        passed_to=PINPOINT_NAMES,
        writes=False,
        reads=True,
        trust=PINPOINT_TRUST,
    ),
]


class NoPolicies:
    """Stands in for the list of AWS's managed policies, which the transform wants and we do not use."""

    def load(self):
        return {}


def in_package(path):
    return {"Bucket": "package", "Key": path}


def transformed(source, parameters=None):
    sam = copy.deepcopy(source)
    for resource in sam["Resources"].values():
        # Packaging puts S3 URIs in place of these paths.
        for name, packaged in (("CodeUri", "s3://package/{}".format), ("DefinitionS3Location", in_package)):
            path = resource.get("Properties", {}).get(name)
            if isinstance(path, str):
                resource["Properties"][name] = packaged(path)
    return transform(sam, parameters or {}, NoPolicies())


class Stack:
    """The template, transformed and resolved with some parameters."""

    def __init__(self, source, raw, parameters, no_members=("",)):
        self.source, self.raw, self.no_members = source, raw, list(no_members)
        self.parameters = {
            name: parameters.get(name, parameter.get("Default")) for name, parameter in source["Parameters"].items()
        }
        made = {name: resource for name, resource in raw["Resources"].items() if self.is_made(resource)}
        self.made, self.dangling = set(made), set()
        self.resources = {
            name: {**resource, "Properties": self.resolve(resource.get("Properties", {}))}
            for name, resource in made.items()
        }
        outputs = source.get("Outputs", {})
        self.outputs = {name: self.resolve(output["Value"]) for name, output in outputs.items() if self.is_made(output)}

    def is_made(self, part):
        return "Condition" not in part or self.condition(part["Condition"])

    def refused(self):
        """The rules of the template that these parameters break."""
        return {
            name
            for name, rule in self.source.get("Rules", {}).items()
            if self.resolve(rule.get("RuleCondition", True))
            and not all(self.resolve(assertion["Assert"]) for assertion in rule["Assertions"])
        }

    def condition(self, name):
        return self.resolve(self.source["Conditions"][name])

    def ref(self, name):
        if name in PSEUDO:
            return PSEUDO[name]
        if name in self.parameters:
            value = self.parameters[name]
            is_list = self.source["Parameters"][name]["Type"] == "CommaDelimitedList"
            if is_list:
                return value.split(",") if value else self.no_members
            return value
        resource = self.raw["Resources"][name]  # KeyError: the template refers to nothing
        self.dangling |= {name} - self.made
        kind = resource["Type"]
        if kind == "AWS::StepFunctions::StateMachine":
            return self.attribute(name, "Arn")
        if kind == "AWS::S3::Bucket":
            return name.lower()
        if kind == "AWS::Logs::LogGroup":
            return self.resolve(resource["Properties"]["LogGroupName"])
        if kind == "AWS::Lambda::Version":
            return self.attribute(resource["Properties"]["FunctionName"]["Ref"], "Arn") + ":1"
        if kind == "AWS::Events::EventBus":
            return self.resolve(resource["Properties"]["Name"])
        if kind == "AWS::Events::Rule" and (bus := self.resolve(resource["Properties"]["EventBusName"])) != "default":
            return f"{bus}|{name}"
        return name

    def attribute(self, name, attribute):
        self.dangling |= {name} - self.made
        kind = self.raw["Resources"][name]["Type"]
        if attribute != "Arn":
            return f"{name}.{attribute}"
        if kind == "AWS::S3::Bucket":
            return f"arn:aws:s3:::{name.lower()}"
        if kind == "AWS::IAM::Role":
            path = self.resolve(self.raw["Resources"][name]["Properties"].get("Path", "/"))
            return f"arn:aws:iam::{ACCOUNT}:role{path}{name}"
        if kind == "AWS::StepFunctions::StateMachine":
            machine = self.resolve(self.raw["Resources"][name]["Properties"]["StateMachineName"])
            return f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{machine}"
        if kind == "AWS::Events::EventBus":
            return f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{self.ref(name)}"
        return f"arn:aws:{kind.split('::')[1].lower()}:{REGION}:{ACCOUNT}:{name}"

    def resolve(self, node):
        """The value of a node of the template; None stands for AWS::NoValue and leaves its member out."""
        if isinstance(node, list):
            return [value for value in map(self.resolve, node) if value is not None]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            (function, argument), *_ = node.items()
            if function == "Ref":
                return self.ref(argument)
            if function == "Condition" and isinstance(argument, str):
                return self.condition(argument)
            if function == "Fn::GetAtt":
                return self.attribute(*argument)
            if function == "Fn::If":
                name, yes, no = argument
                return self.resolve(yes if self.condition(name) else no)
            if function == "Fn::Sub":
                text, extra = (argument, {}) if isinstance(argument, str) else argument
                return re.sub(r"\$\{([^!}]+)\}", lambda match: str(self.variable(match[1], extra)), text)
            if function == "Fn::Join":
                separator, values = argument
                return separator.join(self.resolve(values))
            if function == "Fn::Split":
                separator, text = argument
                return self.resolve(text).split(separator)
            if function == "Fn::Select":
                index, values = argument
                return self.resolve(values)[int(index)]
            if function == "Fn::Equals":
                left, right = self.resolve(argument)
                return str(left) == str(right)
            if function == "Fn::Not":
                return not self.resolve(argument[0])
            if function == "Fn::And":
                return all(self.resolve(argument))
            if function == "Fn::Or":
                return any(self.resolve(argument))
            if function == "Fn::Contains":
                members, value = self.resolve(argument)
                return value in members
            if function == "Fn::EachMemberEquals":
                members, value = self.resolve(argument)
                return all(member == value for member in members)
            if function.startswith("Fn::"):
                raise ValueError(f"policy.py does not know {function}")
        members = {name: self.resolve(value) for name, value in node.items()}
        return {name: value for name, value in members.items() if value is not None}

    def variable(self, name, extra):
        if name in extra:
            return self.resolve(extra[name])
        return self.attribute(*name.split(".")) if "." in name else self.ref(name)

    def of(self, *kinds):
        return {name: r["Properties"] for name, r in self.resources.items() if r["Type"] in kinds}

    def statements(self, effect="Allow"):
        """Every Allow (or Deny) of a role or a managed policy, as (role or policy, statement)."""
        for name, properties in self.of("AWS::IAM::Role", "AWS::IAM::ManagedPolicy").items():
            documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
            documents += [properties["PolicyDocument"]] if "PolicyDocument" in properties else []
            for document in documents:
                for statement in document["Statement"]:
                    if statement["Effect"] == effect:
                        # A bucket is in one partition only: any is ours.
                        where = "Resource" if "Resource" in statement else "NotResource"
                        resources = [arn.replace("arn:*:s3:::", "arn:aws:s3:::") for arn in listed(statement[where])]
                        yield name, {**statement, where: resources}

    def allowed(self, action):
        """The resources for which each role may do something: {role: {resource}}."""
        found = {}
        for name, statement in self.statements():
            if action in listed(statement["Action"]):
                found.setdefault(name, set()).update(listed(statement["Resource"]))
        return found

    def functions(self):
        return self.of("AWS::Lambda::Function")

    def role_of(self, arn):
        return next((name for name in self.of("AWS::IAM::Role") if self.attribute(name, "Arn") == arn), None)

    def function_roles(self):
        return {self.role_of(properties["Role"]) for properties in self.functions().values()}

    def bucket_statements(self, bucket):
        for properties in self.of("AWS::S3::BucketPolicy").values():
            if properties["Bucket"] == self.ref(bucket):
                yield from properties["PolicyDocument"]["Statement"]


class Facts:
    """All that the checks look at."""

    def __init__(self, template, definitions, text):
        self.template, self.definitions, self.text = template, definitions, text
        self.raw = transformed(template)
        self.plain = self.stack({})
        self.full = self.stack(EVERYTHING)
        self.stacks = (self.plain, self.full)
        self.parsed = {path: json.loads(definition) for path, definition in definitions.items()}
        # That of the kinds, and that of batches of them.
        self.machine, self.batch = self.parsed[DEFINITION], self.parsed[BATCH_DEFINITION]

    def stack(self, parameters, no_members=("",)):
        return Stack(self.template, self.raw, parameters, no_members)


def path_of(properties):
    """The path of the definition that a state machine is made of."""
    return properties["DefinitionS3Location"]["Key"]


def tasks(definition):
    """The tasks of a definition itself, and those of its maps."""
    return own_tasks(definition) | {name: task for _, inner in map_tasks(definition) for name, task in inner.items()}


def own_tasks(definition):
    return {name: state for name, state in definition["States"].items() if state["Type"] == "Task"}


def map_tasks(definition):
    """(map, its tasks) of each map."""
    for name, state in definition["States"].items():
        if state["Type"] == "Map":
            inner = state["ItemProcessor"]["States"]
            yield name, {name: task for name, task in inner.items() if task["Type"] == "Task"}


def listed(value):
    return value if isinstance(value, list) else [value]


CHECKS = {}


def check(function):
    """A check yields one line for each thing that is wrong."""
    CHECKS[function.__name__] = function
    return function


# --- Who may do what ------------------------------------------------------------------------------------------------


@check
def each_function_has_a_role_of_its_own(facts):
    roles = [properties["Role"] for properties in facts.full.functions().values()]
    for name, properties in facts.full.functions().items():
        if roles.count(properties["Role"]) != 1:
            yield f"{name} shares its role"
        role = facts.full.role_of(properties["Role"])
        trust = facts.full.of("AWS::IAM::Role")[role]["AssumeRolePolicyDocument"]["Statement"]
        if [statement["Principal"] for statement in trust] != [{"Service": "lambda.amazonaws.com"}]:
            yield f"{role} is not trusted to Lambda alone"


@check
def roles_that_services_assume_name_the_account(facts):
    for name, properties in facts.full.of("AWS::IAM::Role").items():
        for statement in properties["AssumeRolePolicyDocument"]["Statement"]:
            services = listed(statement["Principal"].get("Service", "nobody"))
            condition = statement.get("Condition", {})
            condition = {**condition.get("StringEqualsIfExists", {}), **condition.get("StringEquals", {})}
            condition = condition.get("aws:SourceAccount")
            if services != ["lambda.amazonaws.com"] and condition != ACCOUNT:
                yield f"{name} may be assumed by {services} on behalf of any account"


@check
def no_grant_is_wider_than_it_has_to_be(facts):
    for stack in facts.stacks:
        for name, statement in stack.statements():
            for action in listed(statement["Action"]):
                if "*" in action:
                    yield f"{name} allows {action}"
            for resource in listed(statement["Resource"]):
                if not resource or (resource == "*" and not set(listed(statement["Action"])) <= WITHOUT_RESOURCE):
                    yield f"{name} allows {statement['Action']} on {resource!r}"
        for name, properties in stack.of("AWS::IAM::Role").items():
            for policy in properties.get("ManagedPolicyArns", []):
                if policy != "TracingPolicy":
                    yield f"{name} has the managed policy {policy}"


@check
def nothing_is_of_one_partition_alone(facts):
    """A task of another partition than its execution's ends that without a catch, and so without a seal."""
    written = {"template.yaml": json.dumps(facts.template), **facts.definitions}
    for path, text in written.items():
        if "arn:aws:" in text:
            yield f"{path} has an ARN of the partition aws: write ${{AWS::Partition}}, or ${{Partition}} in a definition"
    for name, statement in facts.full.statements():
        services = listed(statement.get("Condition", {}).get("StringLike", {}).get("kms:ViaService", []))
        if any(not service.endswith(PSEUDO["AWS::URLSuffix"]) for service in services):
            yield f"{name} names {services}, which no partition has"
    if "s3.*.amazonaws.com" in written["template.yaml"]:
        yield "template.yaml has a service's name of the partition aws: write ${AWS::URLSuffix}"


@check
def roles_are_passed_to_their_service_only(facts):
    expected = {}
    for kind in KINDS:
        if kind.role:
            own = facts.full.attribute(kind.role, "Arn")
            roles = {own, *others_of(kind), *EVERYTHING["AllowedRoles"].split(",")}
            expected[kind.resource("StartRole")] = roles, kind.passed_to or kind.service
            trust = facts.full.of("AWS::IAM::Role")[kind.role]["AssumeRolePolicyDocument"]["Statement"]
            if [(s["Principal"], s.get("Condition")) for s in trust] != [({"Service": kind.service}, kind.trust)]:
                yield f"{kind.role} is not trusted to {kind.service} alone, under {kind.trust}"
    passed = facts.full.allowed("iam:PassRole")
    for name in {*passed, *expected}:
        roles, service = expected.get(name, (set(), None))
        if passed.get(name, set()) != roles:
            yield f"{name} may pass {sorted(passed.get(name, ()))}, not {sorted(roles)}"
        for role, statement in facts.full.statements():
            if role == name and "iam:PassRole" in listed(statement["Action"]):
                if statement.get("Condition") != {"StringEqualsIfExists": {"iam:PassedToService": service}}:
                    yield f"{name} may pass a role to others than {service}"


def others_of(kind):
    """The role that the kind's schedule names instead of the stack's own, if everything is given."""
    return [EVERYTHING[kind.other_role]] if kind.other_role else []


@check
def functions_call_their_own_api_alone(facts):
    expected = {}
    for kind in KINDS:
        for suffix, actions in (("StartRole", kind.start), ("PollRole", kind.poll)):
            for action in actions:
                expected[kind.resource(suffix), f"{kind.api}:{action}"] = {kind.resources}
    granted = {}
    apis = {kind.api for kind in KINDS}
    for role, statement in facts.full.statements():
        for action in listed(statement["Action"]):
            if action.split(":")[0] in apis:
                granted.setdefault((role, action), set()).update(listed(statement["Resource"]))
    for role, action in {*expected, *granted}:
        have, want = granted.get((role, action)), expected.get((role, action))
        if have != want:
            yield f"{role} may do {action} on {have}, not {want}"


@check
def grants_are_what_the_code_calls(facts):
    for crate in {kind.crate for kind in KINDS}:
        source = "".join(path.read_text() for path in sorted(ROOT.glob(f"functions/{crate}/src/**/*.rs")))
        calls = {name.replace("_", "") for name in re.findall(r"\bclient\s*\.\s*([a-z]+_[a-z_]+)\(\)", source)}
        apis = {kind.api for kind in KINDS if kind.crate == crate}
        granted = {
            action.split(":")[1].lower()
            for _, statement in facts.full.statements()
            for action in listed(statement["Action"])
            if action.split(":")[0] in apis
        }
        if calls != granted:
            yield f"functions/{crate} calls {sorted(calls)}, its roles allow {sorted(granted)}"


# What stands beside the data and is trusted: the receipt, its list of objects, the pointer to the newest receipt.
OF_SEAL = ("_receipt.json", "_objects.jsonl", "_latest.json")


@check
def only_seal_writes_receipts(facts):
    stack = facts.full
    writers = stack.allowed("s3:PutObject")
    exports = {role: {r for r in resources if ":::ledgerbucket" not in r} for role, resources in writers.items()}
    for role in stack.function_roles() - {"SealReceiptRole"}:
        if exports.get(role):
            yield f"{role} may write {sorted(exports[role])}"
    places = {f"arn:aws:s3:::{folder}*" for folder in ("exportbucket/", "aaa/x/", "bbb/")}
    # What stands there already is compared with what was to be written.
    for action in ("s3:PutObject", "s3:GetObject"):
        granted = {r for r in stack.allowed(action).get("SealReceiptRole", set()) if ":::ledgerbucket" not in r}
        if granted != places:
            yield f"SealReceiptRole may do {action} on {sorted(granted)}, not {sorted(places)}"
    names = {f"arn:aws:s3:::*/{file}" for file in OF_SEAL}
    for each in facts.stacks:
        touches = {"s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"}
        if not any(
            role == "SealReceiptRole"
            and touches <= set(listed(statement["Action"]))
            and set(statement.get("NotResource", [])) == {"arn:aws:s3:::ledgerbucket/*", *names}
            and "Condition" not in statement
            for role, statement in each.statements("Deny")
        ):
            yield f"SealReceiptRole may touch more than the ledger and {sorted(names)}"
    ledger = {
        role: {r.split("/", 1)[1] for r in resources if ":::ledgerbucket" in r} for role, resources in writers.items()
    }
    for role, allowed in {
        "VerifyOutputRole": {"reports/*", "verifications/*"},
        "SealReceiptRole": {"jobs/*", "receipts/*", "slots/*", "history/*"},
        "BatchPlanRole": {"batches/*", "batch-items/*"},
        "BatchSummaryRole": {"batches/*", "batch-items/*"},
        # Its own kind's line and count alone.
        **{
            kind.resource("StartRole"): {f"jobs/{kind.name}/*", f"slots/{kind.name}.json"}
            | ({f"starts/{kind.name}/*"} if kind.per_day else set())
            for kind in KINDS
        },
    }.items():
        if ledger.pop(role, None) != allowed:
            yield f"{role} may not write just {sorted(allowed)} in the ledger"
    for role, keys in ledger.items():
        if keys:
            yield f"{role} may write {keys} in the ledger"
    # The roles that services assume write data; the export bucket's policy does not hold in other buckets.
    places = [f"arn:aws:s3:::*/{file}" for file in OF_SEAL]
    refusal = {"Effect": "Deny", "Action": "s3:PutObject", "Resource": places}
    for stack in facts.stacks:
        refused = {
            role
            for role, statement in stack.statements("Deny")
            if {name: value for name, value in statement.items() if name != "Sid"} == refusal
        }
        for role in sorted(set(stack.allowed("s3:PutObject")) - stack.function_roles() - refused):
            yield f"{role} may write receipts beside its data"


@check
def histories_are_kept_by_seal_and_recalled_by_starts(facts):
    history = "arn:aws:s3:::ledgerbucket/history/"
    recall = {kind.resource("StartRole"): {f"{history}{kind.name}/*"} for kind in KINDS}
    keep = {"SealReceiptRole": {f"{history}*"}}
    for action, wanted in (("s3:GetObject", {**keep, **recall}), ("s3:PutObject", keep)):
        granted = {}
        for role, resources in facts.full.allowed(action).items():
            if of_history := {resource for resource in resources if resource.startswith(history)}:
                granted[role] = of_history
        if granted != wanted:
            yield f"{action} on histories is allowed as {granted}, not {wanted}"


@check
def verify_reads_what_events_may_name(facts):
    for stack, folders, buckets in (
        (facts.plain, {"exportbucket/"}, {"exportbucket"}),
        (facts.full, {"exportbucket/", "aaa/x/", "bbb/"}, {"exportbucket", "aaa", "bbb"}),
    ):
        read = {r for r in stack.allowed("s3:GetObject").get("VerifyOutputRole", set()) if ":::ledgerbucket" not in r}
        if read != {f"arn:aws:s3:::{folder}*" for folder in folders}:
            yield f"VerifyOutputRole may read {sorted(read)}"
        listable = stack.allowed("s3:ListBucket").get("VerifyOutputRole", set()) - {"arn:aws:s3:::ledgerbucket"}
        if listable != {f"arn:aws:s3:::{bucket}" for bucket in buckets}:
            yield f"VerifyOutputRole may list {sorted(listable)}"
        actions = {
            action
            for role, statement in stack.statements()
            for action in listed(statement["Action"])
            if role == "VerifyOutputRole" and action.startswith("s3:")
        }
        if actions != {"s3:GetObject", "s3:ListBucket", "s3:PutObject", "s3:AbortMultipartUpload"}:
            yield f"VerifyOutputRole may do {sorted(actions)}; its code names no version"
        work = {r for r in stack.allowed("s3:GetObject").get("VerifyOutputRole", set()) if ":::ledgerbucket" in r}
        if work != {f"arn:aws:s3:::ledgerbucket/{folder}/*" for folder in ("reports", "verifications")}:
            yield f"VerifyOutputRole may read {sorted(work)} in the ledger"
    keys = facts.full.allowed("kms:Decrypt").get("VerifyOutputRole")
    if keys != KEYS or "VerifyOutputRole" in facts.plain.allowed("kms:Decrypt"):
        yield f"VerifyOutputRole may decrypt with {keys}"


@check
def whoever_uploads_in_parts_may_give_up(facts):
    """Every object that is written in parts: an upload that is given up would else lie there, and cost, for days."""
    source = (ROOT / "shared/src/store/s3.rs").read_text()
    if "create_multipart_upload()" not in source or "abort_multipart_upload()" not in source:
        yield "shared/src/store/s3.rs uploads nothing in parts, or gives up none"
    ledger = {f"arn:aws:s3:::ledgerbucket/{folder}/*" for folder in ("reports", "verifications")}
    lists = {f"arn:aws:s3:::{folder}*" for folder in ("exportbucket/", "aaa/x/", "bbb/")}
    services = {kind.role for kind in KINDS if kind.role and kind.writes}
    batches = {f"arn:aws:s3:::ledgerbucket/{folder}/*" for folder in ("batches", "batch-items")}
    granted = facts.full.allowed("s3:AbortMultipartUpload")
    writers = {
        "VerifyOutputRole": ledger,
        "SealReceiptRole": lists,
        "BatchPlanRole": batches,
        "BatchSummaryRole": batches,
    }
    for role, resources in granted.items():
        if role not in services and resources != writers.get(role):
            yield f"{role} may give up uploads of {sorted(resources)}"
    for role in set(writers) - set(granted):
        yield f"{role} may not give up an upload"


@check
def services_and_starts_reach_what_events_may_name(facts):
    """A role that a service assumes writes exports or reads sources; a start function reads sources at most."""
    folders, buckets = ("exportbucket/", "aaa/x/", "bbb/"), ("exportbucket", "aaa", "bbb")
    objects, places = {f"arn:aws:s3:::{f}*" for f in folders}, {f"arn:aws:s3:::{b}" for b in buckets}
    keys = KEYS
    ledger = {"kms:Decrypt": {EVERYTHING["KmsKeyArn"]}, "kms:GenerateDataKey": {EVERYTHING["KmsKeyArn"]}}
    look = {"s3:ListBucket": places, "s3:GetBucketLocation": places}
    # What it wrote lies beneath run=…/ of the folder that an event names.
    in_parts = {
        "s3:ListMultipartUploadParts": objects,
        "s3:ListBucketMultipartUploads": places,
        "s3:GetObject": {f"arn:aws:s3:::{f}*run=*/*" for f in folders},
        "kms:DescribeKey": keys,
        "kms:CreateGrant": keys,
    }
    expected = {}
    for kind in KINDS:
        if kind.role and kind.writes:
            write = {"s3:PutObject": objects, "s3:AbortMultipartUpload": objects}
            expected[kind.role] = {**write, **look, "kms:GenerateDataKey": keys, "kms:Decrypt": keys}
            expected[kind.role] |= in_parts if kind.in_parts else {}
        elif kind.role:
            expected[kind.role] = {"s3:GetObject": objects, **look, "kms:Decrypt": keys}
        read = {"s3:GetObject": objects, "s3:ListBucket": places, "kms:Decrypt": keys}
        expected[kind.resource("StartRole")] = {**ledger, **(read if kind.reads else {})}
    for role, wanted in expected.items():
        granted = {}
        for name, statement in facts.full.statements():
            for action in listed(statement["Action"]):
                outside = {r for r in listed(statement["Resource"]) if not r.startswith("arn:aws:s3:::ledgerbucket")}
                if name == role and action.split(":")[0] in ("s3", "kms") and outside:
                    granted.setdefault(action, set()).update(outside)
        for action in sorted({*granted, *wanted}):
            have, want = sorted(granted.get(action, ())), sorted(wanted.get(action, ()))
            if have != want:
                yield f"{role} may do {action} on {have}, not {want}"
    for role, statement in facts.full.statements():
        if "kms:CreateGrant" in listed(statement["Action"]):
            if statement["Action"] != "kms:CreateGrant" or statement.get("Condition") != OF_SERVICES:
                yield f"{role} may give grants to others than AWS's services"


OF_SERVICES = {"Bool": {"kms:GrantIsForAWSResource": "true"}}


@check
def batches_reach_what_events_may_name(facts):
    """A list of requests is read where an event may name data; what became of them is read in the ledger alone."""
    ledger = {f"arn:aws:s3:::ledgerbucket/{folder}/*" for folder in ("batches", "batch-items")}
    for stack, folders in ((facts.plain, ["exportbucket/"]), (facts.full, ["exportbucket/", "aaa/x/", "bbb/"])):
        read = stack.allowed("s3:GetObject")
        for role, wanted in (
            ("BatchPlanRole", ledger | {f"arn:aws:s3:::{folder}*" for folder in folders}),
            ("BatchSummaryRole", ledger | {"arn:aws:s3:::ledgerbucket/jobs/*"}),
        ):
            if read.get(role) != wanted:
                yield f"{role} may read {sorted(read.get(role, ()))}, not {sorted(wanted)}"
        keys = KEYS if stack is facts.full else None
        if stack.allowed("kms:Decrypt").get("BatchPlanRole") != keys:
            yield "BatchPlanRole may not decrypt just what events may name"


@check
def batches_start_the_kinds_that_are_deployed(facts):
    """The plan is told of the same machines that the batch's own machine may start, stop and hear of."""
    states = f"arn:aws:states:{REGION}:{ACCOUNT}"
    parameters = sorted({kind.parameter for kind in KINDS})
    for choice in product(("true", "false"), repeat=len(parameters)):
        chosen = dict(zip(parameters, choice))
        stack = facts.stack(chosen)
        kinds = {kind.name: f"{STACK}-{kind.name}" for kind in KINDS if chosen[kind.parameter] == "true"}
        named = {machine["StateMachineName"] for machine in machines(stack).values()}
        if not set(kinds.values()) <= named:
            yield f"with {chosen} the machines have other names: {sorted(named)}"
        told = stack.functions()["BatchPlanFunction"]["Environment"]["Variables"]["LANDFALL_MACHINES"].split()
        if sorted(told) != sorted(f"{kind}={states}:stateMachine:{name}" for kind, name in kinds.items()):
            yield f"with {chosen} the plan knows {told}"
        own = f"{STACK}-export-batch"
        wanted = {f"{states}:stateMachine:{name}" for name in (own, *kinds.values())}
        granted = stack.allowed("states:StartExecution").get("ExportBatchStateMachineRole")
        if granted != wanted:
            yield f"with {chosen} batches may start {sorted(granted or ())}"
    heard = {f"arn:aws:events:{REGION}:{ACCOUNT}:rule/StepFunctionsGetEventsForStepFunctionsExecutionRule"}
    for action in ("events:PutTargets", "events:PutRule", "events:DescribeRule"):
        if facts.full.allowed(action) != {"ExportBatchStateMachineRole": heard}:
            yield f"{action} is allowed to {facts.full.allowed(action)}"
    run = facts.batch["States"]["Requests"]["ItemProcessor"]["States"]["Run"]
    if run.get("TimeoutSeconds", 0) <= facts.machine["TimeoutSeconds"]:
        yield "a request of a batch ends before the execution that it waits for"


@check
def batches_are_deployed_unless_they_are_not_wanted(facts):
    without = facts.stack({**EVERYTHING, "ExportBatches": "false"})
    of_batches = {name for name in facts.template["Resources"] if name.startswith(("Batch", "ExportBatch"))}
    if len(of_batches) < 12 or of_batches - facts.plain.made or of_batches & without.made:
        yield f"batches are {sorted(of_batches & without.made)} without, {sorted(of_batches & facts.plain.made)} with"
    for name in sorted(without.dangling):
        yield f"something refers to {name}, which is not made without batches"
    if "ExportBatchStateMachineArn" in without.outputs or "ExportBatchStateMachineArn" not in facts.plain.outputs:
        yield "the machine of batches is shown without them, or not with them"


@check
def an_absent_key_answers_404(facts):
    """Whoever reads objects may list their bucket: S3 answers 403 for an absent key otherwise.

    Not so for the machines: a list of batches that cannot be read is the same error to them, whatever the reason.
    """
    for stack in facts.stacks:
        listable = stack.allowed("s3:ListBucket")
        of_machines = {stack.role_of(machine["RoleArn"]) for machine in machines(stack).values()}
        for role, resources in stack.allowed("s3:GetObject").items():
            if role in of_machines:
                continue
            for bucket in {resource.split("/")[0] for resource in resources} - listable.get(role, set()):
                yield f"{role} reads {bucket} without s3:ListBucket"


@check
def tracing_has_what_step_functions_asks_for(facts):
    wanted = {
        "xray:PutTraceSegments",
        "xray:PutTelemetryRecords",
        "xray:GetSamplingRules",
        "xray:GetSamplingTargets",
    }
    granted = {a for name, s in facts.full.statements() if name == "TracingPolicy" for a in listed(s["Action"])}
    if granted != wanted:
        yield f"TracingPolicy allows {sorted(granted)}, not {sorted(wanted)}"
    traced = facts.full.function_roles() | {facts.full.role_of(m["RoleArn"]) for m in machines(facts.full).values()}
    for role in sorted(traced):
        if facts.full.of("AWS::IAM::Role")[role].get("ManagedPolicyArns") != ["TracingPolicy"]:
            yield f"{role} may not trace"


@check
def every_role_takes_the_boundary(facts):
    for name, properties in facts.full.of("AWS::IAM::Role").items():
        if properties.get("PermissionsBoundary") != EVERYTHING["PermissionsBoundaryArn"]:
            yield f"{name} ignores PermissionsBoundaryArn"
    for name, properties in facts.plain.of("AWS::IAM::Role").items():
        if "PermissionsBoundary" in properties:
            yield f"{name} has a boundary that nobody asked for"


# --- Functions ------------------------------------------------------------------------------------------------------


@check
def functions_are_the_built_binaries(facts):
    for name, resource in facts.template["Resources"].items():
        if resource["Type"] != "AWS::Serverless::Function":
            continue
        binary = kebab(name.removesuffix("Function"))
        if resource["Properties"]["CodeUri"] != f"target/lambda/{binary}/":
            yield f"{name} is not made of target/lambda/{binary}/"
        if resource.get("Metadata", {}).get("SkipBuild") is not True:
            yield f"{name} would be built by `sam build`, which cannot"
        sources = [*ROOT.glob(f"functions/*/src/bin/{binary}.rs"), *ROOT.glob(f"functions/*/src/bin/{binary}/main.rs")]
        if len(sources) != 1:
            yield f"{name}: no binary {binary} in functions/"
    for name, properties in facts.full.functions().items():
        if (properties["Runtime"], properties["Handler"]) != ("provided.al2023", "bootstrap"):
            yield f"{name} does not run {properties['Handler']} on provided.al2023"


@check
def functions_log_to_groups_of_their_own(facts):
    groups = {facts.full.ref(name): properties for name, properties in facts.full.of("AWS::Logs::LogGroup").items()}
    for group, properties in groups.items():
        if not properties.get("RetentionInDays"):
            yield f"{group} is kept for ever"
    used = [properties["LoggingConfig"].get("LogGroup") for properties in facts.full.functions().values()]
    for name, properties in facts.full.functions().items():
        group = properties["LoggingConfig"].get("LogGroup")
        if group not in groups or used.count(group) != 1 or properties["LoggingConfig"]["LogFormat"] != "JSON":
            yield f"{name} has no log group of its own, in JSON"
            continue
        own = {
            facts.full.attribute(n, "Arn")
            for n in facts.full.of("AWS::Logs::LogGroup")
            if facts.full.ref(n) == group
        }
        role = facts.full.role_of(properties["Role"])
        if facts.full.allowed("logs:PutLogEvents").get(role) != own:
            yield f"{role} may not write {group} alone"


@check
def functions_get_the_variables_that_the_code_reads(facts):
    config = (ROOT / "shared/src/config.rs").read_text()
    read = set(re.findall(r'"(LANDFALL_[A-Z_]+)"', config.split("#[cfg(test)]")[0]))
    if not read:
        yield "shared/src/config.rs reads no variable; has the reading of the environment moved?"
    # What an event may name is decided where it is read; the other steps get the job.
    of_roles = {"LANDFALL_ALLOWED_ROLES", "LANDFALL_DEFAULT_ROLE_ARN"}
    of_output = {"LANDFALL_DEFAULT_DESTINATION"}
    of_plan = {"LANDFALL_MACHINES", "LANDFALL_BATCH_CONCURRENCY"}
    own = {"BatchPlanFunction": of_plan} | {
        kind.resource("StartFunction"): {"LANDFALL_MAX_RUNNING"}
        | (of_roles if kind.role else set())
        | (of_output if kind.writes else set())
        | ({"LANDFALL_MAX_STARTS_PER_DAY"} if kind.per_day else set())
        | ({f"LANDFALL_{snake(kind.names)}"} if kind.names else set())
        for kind in KINDS
    }
    for name, properties in facts.full.functions().items():
        variables = {key for key in properties["Environment"]["Variables"] if key.startswith("LANDFALL_")}
        needed = read - set().union(*own.values()) | own.get(name, set())
        if variables != needed:
            yield f"{name} lacks {sorted(needed - variables)} and has no use for {sorted(variables - needed)}"


@check
def functions_get_lists_that_they_can_read(facts):
    every_kind = {kind.parameter: "true" for kind in KINDS}
    all_keys = f"{EVERYTHING['KmsKeyArn']} {EVERYTHING['AllowedKmsKeys']}"
    everything = {"AllowedDomains": "*", "AllowedDashboards": "*"}
    some = {name: " ".join(EVERYTHING[name].split(",")) for name in everything}
    for stack, destinations, roles, keys, names in (
        (facts.stack(every_kind), [], [], "", everything),
        (facts.full, ["s3://aaa/x/", "s3://bbb/"], EVERYTHING["AllowedRoles"].split(","), all_keys, some),
    ):
        for kind in KINDS:
            variables = stack.functions()[kind.resource("StartFunction")]["Environment"]["Variables"]
            expected = {
                "LANDFALL_ALLOWED_DESTINATIONS": " ".join(["s3://exportbucket/", *destinations]),
                "LANDFALL_ALLOWED_KEYS": keys,
                **({f"LANDFALL_{snake(kind.names)}": names[kind.names]} if kind.names else {}),
                "LANDFALL_EXPECTED_BUCKET_OWNER": ACCOUNT,
            }
            if kind.role:
                own = stack.attribute(kind.role, "Arn")
                others = others_of(kind) if stack is facts.full else []
                expected["LANDFALL_ALLOWED_ROLES"] = " ".join([own, *others, *roles])
                expected["LANDFALL_DEFAULT_ROLE_ARN"] = own
            if kind.writes:
                expected["LANDFALL_DEFAULT_DESTINATION"] = f"s3://exportbucket/{kind.name}/"
            for name, value in expected.items():
                if variables.get(name) != value:
                    yield f"{kind.name}: {name} is {variables.get(name)!r}, not {value!r}"


@check
def parameters_agree_with_the_code(facts):
    """A value that the template takes and the code refuses would break every function at its first start."""
    config = (ROOT / "shared/src/config.rs").read_text()
    limits = (ROOT / "shared/src/limits.rs").read_text()
    bounds = {name: int(value.replace("_", "")) for name, value in re.findall(r"(MAX_\w+): u64 = ([0-9_]+);", limits)}
    number = lambda text: eval(  # noqa: E731
        text, {"__builtins__": {}}, {"MAX_DEADLINE_SECONDS": most_deadline, **bounds}
    )
    constant = re.search(r"MAX_DEADLINE_SECONDS: u64 = ([0-9* ]+);", limits)
    calls = re.findall(
        r'(?:seconds|number)\(\s*"(LANDFALL_\w+)",(?:\s*"[^"]*",)?\s*([^,]+),\s*([^,]+),\s*([^,)]+?),?\s*\)', config
    )
    if not constant or len(calls) != 8:
        yield "shared/src/config.rs no longer says the ranges of its seconds as this check reads them"
        return
    most_deadline = eval(constant[1], {"__builtins__": {}})
    of_all = facts.template["Globals"]["Function"]["Environment"]["Variables"]
    of_plan = facts.template["Resources"]["BatchPlanFunction"]["Properties"]["Environment"]["Variables"]
    resources = facts.template["Resources"]
    of_kinds = [resources[kind.resource("StartFunction")]["Properties"]["Environment"]["Variables"] for kind in KINDS]
    for variable, default, least, most in calls:
        names = [variables[variable]["Ref"] for variables in [of_all, of_plan, *of_kinds] if variable in variables]
        if not names:
            yield f"no parameter sets {variable}"
        for name in names:
            parameter = facts.template["Parameters"][name]
            # What differs by kind has no default of its own.
            if variable in {**of_all, **of_plan} and int(parameter["Default"]) != number(default):
                yield f"{name} is {parameter['Default']} by default, in the code {default}"
            if parameter["MinValue"] < number(least) or parameter["MaxValue"] > number(most):
                yield f"{name} may be {parameter['MinValue']} to {parameter['MaxValue']}, in the code {least} to {most}"
    if any(name != f"{kind.resource('')}MaxRunning" for kind, variables in zip(KINDS, of_kinds)
           for name in [variables["LANDFALL_MAX_RUNNING"]["Ref"]]):
        yield "a kind takes its limit from the parameter of another"
    parameters = facts.template["Parameters"]
    destination = re.compile(parameters["AllowedDestinations"]["AllowedPattern"])
    for text in ("", "s3://aaa/", "s3://a.a/x/", "s3://aaa/.x/x..y/"):
        if not destination.fullmatch(text):
            yield f"AllowedDestinations refuses {text!r}"
    for text in ("s3://aaa", "s3://a..a/", "s3://aaa/../", "s3://aaa/x/./y/", "s3://aaa//", "s3://aaa/*/", "s3://Aaa/"):
        if destination.fullmatch(text):
            yield f"AllowedDestinations takes {text!r}"
    if parameters["PollMinSeconds"]["MaxValue"] > parameters["PollMaxSeconds"]["MinValue"]:
        yield "PollMinSeconds can be larger than PollMaxSeconds"


# Of a function, what every version of it shares.
OF_ALL_VERSIONS = {"Code", "Tags", "ReservedConcurrentExecutions"}


@check
def what_changes_a_function_publishes_a_version(facts):
    """And nothing else does: Lambda publishes no second version of what did not change, and the update would fail.

    SAM names a version by the function's code and properties as they stand in the template. The values of parameters are
    part of that in Code alone, which is why the template names them there.
    """
    for name, resource in facts.raw["Resources"].items():
        if resource["Type"] == "AWS::Lambda::Version" and resource.get("DeletionPolicy") != "Retain":
            yield f"{name} goes with an update, although executions may name it"
    marked = transformed(facts.template, {name: f"<{name}>" for name in facts.template["Parameters"]})
    before, after = versions(facts.raw), versions(marked)
    for name, resource in facts.template["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function" and name not in after:
            yield f"{name} has no versions"
    for base in ({kind.parameter: "true" for kind in KINDS}, EVERYTHING):
        functions = facts.stack(base).functions()
        changed = {name: set() for name in functions}
        for parameter in facts.template["Parameters"]:
            other = facts.stack({**base, parameter: another(facts, parameter, base)}).functions()
            for name in set(functions) & set(other):
                if without(functions[name], OF_ALL_VERSIONS) != without(other[name], OF_ALL_VERSIONS):
                    changed[name].add(parameter)
        for name, parameters in changed.items():
            named = set(re.findall(r"<(\w+)>", json.dumps(marked["Resources"][name]["Properties"]["Code"])))
            if parameters - named:
                yield f"{name} depends on {sorted(parameters - named)}, which its SourceKMSKeyArn does not name"
            # A parameter may tell in one of the two only.
            if base is EVERYTHING and named - parameters:
                yield f"{name} does not depend on {sorted(named - parameters)}, which its SourceKMSKeyArn names"
            if named and before.get(name) == after.get(name):
                yield f"{name} has the same version with other parameters"
            if "SourceKMSKeyArn" in functions[name]["Code"]:
                yield f"{name} gets {functions[name]['Code']['SourceKMSKeyArn']!r} for a key"
    taller = copy.deepcopy(facts.template)
    for resource in taller["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["Timeout"] = 899
    for name, version in versions(transformed(taller)).items():
        if before.get(name) == version:
            yield f"{name} has the same version with another time-out"


def versions(raw):
    """The logical name of the version that SAM makes of each function."""
    made = {name: resource for name, resource in raw["Resources"].items() if resource["Type"] == "AWS::Lambda::Version"}
    return {resource["Properties"]["FunctionName"]["Ref"]: name for name, resource in made.items()}


def without(properties, names):
    return {name: value for name, value in properties.items() if name not in names}


def another(facts, name, base):
    """Another value of a parameter than the one it has."""
    parameter = facts.template["Parameters"][name]
    value = str(base.get(name, parameter["Default"]))
    for candidate in [*map(str, parameter.get("AllowedValues", [])), EVERYTHING.get(name, ""), str(parameter["Default"])]:
        if candidate != value:
            return candidate
    return str(int(value) + 1) if value.isdigit() else f"{value}x"


@check
def parameters_are_documented(facts):
    table = (ROOT / "docs/operations.md").read_text().partition("## Parameters of the stack\n")[2].partition("\n## ")[0]
    documented = dict(re.findall(r"^\| `(\w+)` \| (?:`([^`]*)`)? ?\|", table, re.MULTILINE))
    given = {name: str(parameter["Default"]) for name, parameter in facts.template["Parameters"].items()}
    for name in {*documented, *given}:
        if documented.get(name) != given.get(name):
            yield f"{name} is {given.get(name)!r} by default, in docs/operations.md {documented.get(name)!r}"


@check
def a_name_is_all_that_a_first_deployment_needs(facts):
    """Every parameter has a default, which the template itself takes, and a place and a label in the console."""
    interface = facts.template["Metadata"]["AWS::CloudFormation::Interface"]
    shown = [name for group in interface["ParameterGroups"] for name in group["Parameters"]]
    for name in sorted(set(shown) - set(facts.template["Parameters"])):
        yield f"a group has {name}, which is no parameter"
    for name, parameter in facts.template["Parameters"].items():
        if "Default" not in parameter:
            yield f"{name} has no default"
            continue
        default = str(parameter["Default"])
        if not re.fullmatch(parameter.get("AllowedPattern", "[\\s\\S]*"), default):
            yield f"{name} does not take its own default"
        if default not in map(str, parameter.get("AllowedValues", [default])):
            yield f"{name} does not take its own default"
        if parameter["Type"] == "Number" and not (
            parameter.get("MinValue", 0) <= int(default) <= parameter.get("MaxValue", int(default))
        ):
            yield f"{name} does not take its own default"
        if shown.count(name) != 1:
            yield f"{name} is in {shown.count(name)} groups of parameters"
        # The pages call a parameter by its name, which the console shows only as part of a label.
        if not interface["ParameterLabels"].get(name, {}).get("default", "").endswith(f" ({name})"):
            yield f"{name} has no label that ends in its name"
    if set(interface["ParameterLabels"]) - set(facts.template["Parameters"]):
        yield "a label is of no parameter"


@check
def nobodys_answers_are_tracked(facts):
    """`sam deploy --guided` writes what it was told into samconfig.toml."""
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    if "/samconfig.toml" not in ignored or not (ROOT / "samconfig.example.toml").is_file():
        yield "samconfig.toml is not ignored, or has no example to copy"
    example = tomlkit.parse((ROOT / "samconfig.example.toml").read_text())["default"]["deploy"]["parameters"]
    if "parameter_overrides" in example or example.get("capabilities") != "CAPABILITY_IAM" or not example.get("resolve_s3"):
        yield "samconfig.example.toml does not deploy with the template's defaults"
    # Without a name of its own, a role or a policy needs no other capability.
    for name, properties in facts.full.of("AWS::IAM::Role", "AWS::IAM::ManagedPolicy").items():
        if {"RoleName", "ManagedPolicyName"} & set(properties):
            yield f"{name} has a name, which needs CAPABILITY_NAMED_IAM"


@check
def the_local_world_has_the_functions_of_the_template(facts):
    text = (ROOT / "local/src/deploy.rs").read_text()
    table = re.search(r"const SIZES: .*?\];", text, re.DOTALL)
    local = {name: (int(s), int(mb)) for name, s, mb in re.findall(r'\("([a-z-]*)", (\d+), (\d+)\)', table[0] if table else "")}
    usual = facts.template["Globals"]["Function"]
    deployed = {"": (usual["Timeout"], usual["MemorySize"])}
    for properties in facts.full.functions().values():
        size = properties["Timeout"], properties["MemorySize"]
        if size != deployed[""]:
            deployed[properties["LoggingConfig"]["LogGroup"].removeprefix(f"/aws/lambda/{STACK}-")] = size
    if local != deployed:
        yield f"local/src/deploy.rs has {local}, the template {deployed}"


# --- The state machine ----------------------------------------------------------------------------------------------


def machines(stack):
    return stack.of("AWS::StepFunctions::StateMachine")


@check
def substitutions_are_those_of_the_definition(facts):
    for name, properties in machines(facts.full).items():
        used = set(re.findall(r"\$\{(\w+)\}", facts.definitions.get(path_of(properties), "")))
        given = set(properties["DefinitionSubstitutions"])
        if given != used:
            yield f"{name} substitutes {sorted(given)}, the definition has {sorted(used)}"
        definition = BATCH_DEFINITION if name == "ExportBatchStateMachine" else DEFINITION
        if path_of(properties) != definition:
            yield f"{name} is not made of {definition}"


def invoked(facts, properties):
    """(state, its time-out, the function that it invokes) of each task that invokes one."""
    for state, task in tasks(facts.parsed[path_of(properties)]).items():
        variable = re.fullmatch(r"\$\{(\w+)\}", task["Parameters"].get("FunctionName", ""))
        if variable:
            arn = properties["DefinitionSubstitutions"].get(variable[1])
            versions = {facts.full.ref(name): v["FunctionName"] for name, v in facts.full.of("AWS::Lambda::Version").items()}
            yield state, task.get("TimeoutSeconds", 0), versions.get(arn)


@check
def tasks_outlast_their_functions(facts):
    """Else a task is tried again while its function still works."""
    for name, properties in machines(facts.full).items():
        for state, timeout, function in invoked(facts, properties):
            if function is None:
                yield f"{name}: the state {state} invokes no version of a function of the template"
            elif timeout <= facts.full.functions()[function]["Timeout"]:
                yield f"{name}: the state {state} ends after {timeout} s, before {function}"


# What ends a task at its time-out or the function's; every other error is an answer, which comes sooner.
ENDED = {"States.Timeout", "Sandbox.Timedout"}
ANSWERED_WITHIN = 60


def pauses(retrier):
    """The longest pause before each retry."""
    rate, most = retrier.get("BackoffRate", 2), retrier.get("MaxDelaySeconds", 31622400)
    return [min(retrier["IntervalSeconds"] * rate**n, most) for n in range(retrier["MaxAttempts"])]


def longest(task):
    """Seconds of a task that meets every error as often as it tries again."""
    seconds = task["TimeoutSeconds"]
    for retrier in task.get("Retry", []):
        each = task["TimeoutSeconds"] if ENDED & set(retrier["ErrorEquals"]) else ANSWERED_WITHIN
        seconds += sum(pause + each for pause in pauses(retrier))
    return seconds


def bounds_of_batches():
    """The numbers of shared/src/batches.rs."""
    source = (ROOT / "shared/src/batches.rs").read_text()
    found = re.findall(r"pub const (\w+): u\d+ = ([0-9_* <]+);", source)
    return {name: eval(value, {"__builtins__": {}}) for name, value in found}


@check
def machine_outlasts_the_longest_job(facts):
    """A machine's time-out is not caught: the job would end unsealed.

    The deadline counts from the first claim, so the line in Start counts towards it; what comes after it does not.
    """
    deadline = facts.template["Parameters"]["DeadlineSeconds"]["MaxValue"]
    bounds = bounds_of_batches()
    seconds = {name: longest(task) for name, task in own_tasks(facts.machine).items()}
    worst = max(deadline, seconds.pop("Start")) + sum(seconds.values())
    # Each round of batches ends in Verify. When their time is up, one is still at work.
    worst += bounds["MAX_SECONDS"] + (bounds["MAX_ROUNDS"] + bounds["MAX_REPEATS"]) * seconds["Verify"]
    worst += sum(longest(task) for _, inner in map_tasks(facts.machine) for task in inner.values())
    if worst >= facts.machine.get("TimeoutSeconds", 0):
        yield f"a job may take {worst:.0f} s, the machine ends after {facts.machine.get('TimeoutSeconds')} s"


@check
def machines_may_do_what_they_do(facts):
    for name, properties in machines(facts.full).items():
        role = facts.full.role_of(properties["RoleArn"])
        functions = {facts.full.attribute(function, "Arn") for _, _, function in invoked(facts, properties) if function}
        # Its versions; and by its name alone it is invoked by executions from before there were any.
        wanted = functions | {f"{arn}:*" for arn in functions}
        if facts.full.allowed("lambda:InvokeFunction").get(role) != wanted:
            yield f"{role} may not invoke just the functions of {name}"
        for policy_of, statement in facts.full.statements():
            if policy_of == role and "events:PutEvents" in listed(statement["Action"]):
                states = facts.parsed[path_of(properties)]["States"]
                entry = states["Announce"]["Parameters"]["Entries"][0]
                # A key of many values, one of each entry: without the second condition none at all would do.
                of_source = {"ForAllValues:StringEquals": {"events:source": entry["Source"]}}
                if statement.get("Condition") != {**of_source, "Null": {"events:source": "false"}}:
                    yield f"{role} may put events of other sources than {entry['Source']}"
        bus = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{EVERYTHING['EventBusName']}"
        if facts.full.allowed("events:PutEvents").get(role) != {bus}:
            yield f"{role} may not put events on the bus alone"


@check
def machines_may_run_their_maps(facts):
    """A Distributed Map starts executions of its own machine, follows, stops and redrives them, and reads their list.

    That is what AWS documents for it, the list bounded to what the function before it writes. Those of a batch start,
    follow and stop executions of the kinds' machines besides.
    """
    of_map = {"states:StartExecution", "states:DescribeExecution", "states:StopExecution", "states:RedriveExecution"}
    states = f"arn:aws:states:{REGION}:{ACCOUNT}"
    for name, resource in facts.full.of("AWS::StepFunctions::StateMachine").items():
        labels = [
            state["Label"]
            for state in facts.parsed[path_of(resource)]["States"].values()
            if state["Type"] == "Map" and state["ItemProcessor"]["ProcessorConfig"]["Mode"] == "DISTRIBUTED"
        ]
        for label in labels:
            if not re.fullmatch(r"[A-Za-z0-9]{1,40}", label):
                yield f"{label!r} is no label that stands in an ARN as it is"
        is_batch = path_of(resource) == BATCH_DEFINITION
        others = [f"{STACK}-{kind.name}" for kind in KINDS] if is_batch else []
        role, machine = facts.full.role_of(resource["RoleArn"]), resource["StateMachineName"]
        items = "batch-items" if is_batch else f"verifications/{machine.removeprefix(STACK)[1:]}"
        if name in references(facts.template["Resources"][role]):
            yield f"{role} refers to {name}, which refers to it"
        own, of_maps = f"{states}:execution:{machine}:*", [f"{states}:execution:{machine}/{label}:*" for label in labels]
        follow = {own, *of_maps, *(f"{states}:execution:{other}:*" for other in others)} if labels else None
        wanted = {
            "states:StartExecution": {f"{states}:stateMachine:{name}" for name in (machine, *others)} if labels else None,
            "states:DescribeExecution": follow,
            "states:StopExecution": follow,
            "states:RedriveExecution": set(of_maps) or None,
            "s3:GetObject": {f"arn:aws:s3:::ledgerbucket/{items}/*"} if labels else None,
        }
        for action, resources in wanted.items():
            if facts.full.allowed(action).get(role) != resources:
                yield f"{role} may do {action} on {facts.full.allowed(action).get(role)}, not {resources}"
    for role, statement in facts.full.statements():
        others = set(listed(statement["Action"])) & (of_map - {"states:StartExecution"})
        if others and not role.endswith("StateMachineRole"):
            yield f"{role} may do {sorted(others)}"


@check
def machines_log_without_data(facts):
    for name, properties in machines(facts.full).items():
        logging = properties.get("LoggingConfiguration", {})
        if logging.get("Level") not in ("ERROR", "ALL") or logging.get("IncludeExecutionData") is not False:
            yield f"{name} logs nothing, or the data of its executions"
        groups = [d["CloudWatchLogsLogGroup"]["LogGroupArn"] for d in logging.get("Destinations", [])]
        names = {facts.full.attribute(n, "Arn"): facts.full.ref(n) for n in facts.full.of("AWS::Logs::LogGroup")}
        if not groups or not all(names.get(arn, "").startswith("/aws/vendedlogs/states/") for arn in groups):
            yield f"{name} does not log beneath /aws/vendedlogs/states/"
        if (
            properties.get("StateMachineType") != "STANDARD"
            or properties["TracingConfiguration"]["Enabled"] is not True
        ):
            yield f"{name} is not a traced STANDARD machine"


def alarms(stack):
    return stack.of("AWS::CloudWatch::Alarm")


def watched(alarm, namespace, dimension):
    """The metrics of a namespace that an alarm adds up: {value of the dimension: {metric}}."""
    found = {}
    for metric in alarm.get("Metrics", []):
        stat = metric.get("MetricStat", {}).get("Metric", {})
        if stat.get("Namespace") == namespace and f"FILL({metric['Id']}, 0)" in alarm["Metrics"][0]["Expression"]:
            for pair in stat["Dimensions"]:
                if pair["Name"] == dimension:
                    found.setdefault(pair["Value"], set()).add(stat["MetricName"])
    return found


@check
def alarms_tell_somebody(facts):
    """And tell it once: none of them calls itself over."""
    for name, properties in alarms(facts.full).items():
        if properties.get("AlarmActions") != [EVERYTHING["AlarmTopicArn"]] or "OKActions" in properties:
            yield f"{name} tells nobody, or that it is over"
        section = re.search(r'See docs/operations.md, "(.*)"\.', properties["AlarmDescription"])
        if not section or f"# {section[1]}\n" not in (ROOT / "docs/operations.md").read_text():
            yield f"{name} leads to no section of docs/operations.md"


@check
def unsuccessful_executions_raise_an_alarm(facts):
    counted = {}
    for name, properties in alarms(facts.full).items():
        for machine, metrics in watched(properties, "AWS/States", "StateMachineArn").items():
            counted.setdefault(machine, set()).update(metrics)
            # What is filled with 0 looks like a period without failures until its counts are reported.
            if (properties["EvaluationPeriods"], properties.get("DatapointsToAlarm")) != (3, 1):
                yield f"{name} misses what is reported late"
    for name in machines(facts.full):
        missing = {"ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted"} - counted.get(
            facts.full.ref(name), set()
        )
        if missing:
            yield f"{name}: nothing watches {sorted(missing)}"


@check
def throttled_functions_raise_an_alarm(facts):
    """If it goes on: a call that is throttled is tried again, after half an hour at most."""
    counted = set()
    for name, properties in alarms(facts.full).items():
        functions = watched(properties, "AWS/Lambda", "FunctionName")
        if not functions:
            continue
        counted |= {function for function, metrics in functions.items() if metrics == {"Throttles"}}
        periods, least = properties["EvaluationPeriods"], properties.get("DatapointsToAlarm", 0)
        if periods * properties["Metrics"][1]["MetricStat"]["Period"] < 3600 or not 1 < least < periods:
            yield f"{name} rings for one burst, or forgets between two tries"
    for name in sorted({facts.full.ref(name) for name in facts.full.functions()} - counted):
        yield f"nothing watches whether {name} is throttled"


@check
def jobs_that_stand_in_line_for_long_raise_an_alarm(facts):
    """The start function logs which part of its time a job has waited: what the template counts is what it writes."""
    source = (ROOT / "shared/src/line.rs").read_text()
    for kind in KINDS:
        logs = facts.full.ref(kind.resource("StartLogs"))
        filters = [f for f in facts.full.of("AWS::Logs::MetricFilter").values() if f["LogGroupName"] == logs]
        if len(filters) != 1:
            yield f"nothing counts how long jobs of {kind.name} stand in line"
            continue
        (transformation,) = filters[0]["MetricTransformations"]
        member = re.fullmatch(r"\$\.fields\.(\w+)", transformation["MetricValue"])
        if not member or f"{member[1]} = " not in source or filters[0]["FilterPattern"] != f"{{ $.fields.{member[1]} >= 0 }}":
            yield f"{kind.name}: {transformation['MetricValue']} is not what shared/src/line.rs logs"
        metric = transformation["MetricNamespace"], transformation["MetricName"]
        rings = [a for a in alarms(facts.full).values() if (a.get("Namespace"), a.get("MetricName")) == metric]
        if [(a["Statistic"], a["Threshold"], a["ComparisonOperator"]) for a in rings] != [
            ("Maximum", 50, "GreaterThanOrEqualToThreshold")
        ]:
            yield f"{kind.name}: no alarm rings when the oldest job has used half of its time"
        # Between two looks at the line a job may pause as long as its state's retriers say.
        longest_pause = max(retrier.get("MaxDelaySeconds", 0) for retrier in facts.machine["States"]["Start"]["Retry"])
        if any(a["Period"] < 2 * longest_pause for a in rings):
            yield f"{kind.name}: the alarm of the line goes off and on between two looks of one job"
    names = [f["MetricTransformations"][0]["MetricName"] for f in facts.full.of("AWS::Logs::MetricFilter").values()]
    if len(set(names)) != len(names):
        yield f"two kinds share a metric: {names}"


@check
def functions_report_what_they_used(facts):
    """Lambda's REPORT lines come at the level INFO."""
    for name, properties in facts.full.functions().items():
        if properties["LoggingConfig"].get("SystemLogLevel") != "INFO":
            yield f"{name} does not report its time and memory"


@check
def announcements_name_their_execution_once(facts):
    """The integration with EventBridge adds execution and state machine to the resources of each entry."""
    for path, definition in facts.parsed.items():
        for state, task in tasks(definition).items():
            for entry in task["Parameters"].get("Entries", []):
                if any(name.startswith("Resources") for name in entry):
                    yield f"{path}: {state} names resources, beside those that Step Functions adds"


@check
def stalled_jobs_raise_an_alarm(facts):
    entry = facts.machine["States"]["Stalled"]["Parameters"]["Entries"][0]
    for bus in ("default", "shop"):
        stack = facts.stack({**EVERYTHING, "EventBusName": bus})
        pattern = stack.of("AWS::Events::Rule")["StalledJobRule"]
        told = {"account": [ACCOUNT], "source": [entry["Source"]], "detail-type": [entry["DetailType"]]}
        if pattern["EventPattern"] != told or pattern["EventBusName"] != bus:
            yield "StalledJobRule does not hear what the state Stalled announces"
        # So AWS/Events names the rules of the default bus, and those of any other.
        counted = {"RuleName": "StalledJobRule"} if bus == "default" else {"RuleName": "StalledJobRule", "EventBusName": bus}
        alarm = stack.of("AWS::CloudWatch::Alarm")["StalledJobAlarm"]
        seen = [
            metric["Id"]
            for metric in alarm["Metrics"][1:]
            if (stat := metric["MetricStat"])["Metric"]["MetricName"] == "MatchedEvents"
            and stat["Metric"]["Namespace"] == "AWS/Events"
            and stat["Stat"] == "Sum"
            and {d["Name"]: d["Value"] for d in stat["Metric"]["Dimensions"]} == counted
        ]
        if len(seen) != 1 or f"FILL({seen[0]}, 0)" not in alarm["Metrics"][0]["Expression"] or alarm["Threshold"] != 0:
            yield f"no alarm counts the stalled jobs of the bus {bus}"


@check
def polls_and_seals_can_be_kept_running(facts):
    reserved = {
        name: properties["ReservedConcurrentExecutions"]
        for name, properties in facts.full.functions().items()
        if "ReservedConcurrentExecutions" in properties
    }
    wanted = {kind.resource("PollFunction") for kind in KINDS} | {"SealReceiptFunction"}
    if reserved != dict.fromkeys(wanted, EVERYTHING["ReservedConcurrency"]):
        yield f"concurrency is reserved for {reserved}"
    # An account that has asked for nothing may have too little to reserve any.
    if any("ReservedConcurrentExecutions" in properties for properties in facts.plain.functions().values()):
        yield "concurrency is reserved although nobody asked for it"


# --- Triggers -------------------------------------------------------------------------------------------------------


def targets(stack):
    for name, properties in stack.of("AWS::Events::Rule").items():
        for target in properties.get("Targets", []):
            yield name, target
    for name, properties in stack.of("AWS::Scheduler::Schedule").items():
        yield name, properties["Target"]


@check
def triggers_are_delivered_or_kept(facts):
    queue = facts.full.attribute("DeadLetterQueue", "Arn")
    found = set()
    for name, target in targets(facts.full):
        found.add(target["Arn"])
        if target.get("DeadLetterConfig") != {"Arn": queue}:
            yield f"{name} drops what it cannot deliver"
        retry = target.get("RetryPolicy", {})
        if not (retry.get("MaximumRetryAttempts", 0) > 0 and retry.get("MaximumEventAgeInSeconds", 0) >= 3600):
            yield f"{name} leaves its retries to a default that is not documented"
        role = facts.full.role_of(target["RoleArn"])
        if facts.full.allowed("states:StartExecution").get(role) != {target["Arn"]}:
            yield f"{name}: {role} may not start just its own machine"
        if queue not in facts.full.allowed("sqs:SendMessage").get(role, set()):
            yield f"{name}: {role} may not write the dead-letter queue"
    for name in machines(facts.full):
        if facts.full.ref(name) not in found:
            yield f"nothing starts {name}"


@check
def dead_letters_are_kept_and_noticed(facts):
    queue = facts.full.of("AWS::SQS::Queue")["DeadLetterQueue"]
    sse = facts.plain.of("AWS::SQS::Queue")["DeadLetterQueue"].get("SqsManagedSseEnabled")
    if queue.get("MessageRetentionPeriod") != 1209600 or sse is not True:
        yield "the dead-letter queue is not encrypted, or keeps less than 14 days"
    (policy,) = facts.full.of("AWS::SQS::QueuePolicy").values()
    senders = [s for s in policy["PolicyDocument"]["Statement"] if s["Effect"] == "Allow"]
    if (
        not any(
            s["Principal"] == {"Service": "events.amazonaws.com"}
            and s["Condition"] == {"ArnLike": {"aws:SourceArn": f"arn:aws:events:{REGION}:{ACCOUNT}:rule/*"}}
            for s in senders
        )
        or len(senders) != 1
    ):
        yield "not just the account's rules may write the dead-letter queue"
    rings = [a for a in alarms(facts.full).values() if a.get("MetricName") == "ApproximateNumberOfMessagesVisible"]
    # SQS reports nothing of a queue that was not touched for six hours.
    if [(a["Threshold"], a["TreatMissingData"]) for a in rings] != [(0, "ignore")]:
        yield "nothing watches the dead-letter queue for as long as a message lies in it"


@check
def rules_hear_this_account_only(facts):
    for name, properties in facts.full.of("AWS::Events::Rule").items():
        pattern = properties["EventPattern"]
        if pattern.get("account") != [ACCOUNT] or not pattern.get("detail-type"):
            yield f"{name} hears other accounts, or every event"


@check
def schedules_imitate_an_event(facts):
    if facts.plain.of("AWS::Scheduler::Schedule"):
        yield "there is a schedule that nobody asked for"
    for name, properties in facts.full.of("AWS::Scheduler::Schedule").items():
        try:
            event = json.loads(properties["Target"]["Input"])
        except json.JSONDecodeError as error:
            yield f"{name}: Input is no JSON: {error}"
            continue
        rules = facts.full.of("AWS::Events::Rule").values()
        detail_types = {
            rule["EventPattern"]["detail-type"][0]
            for rule in rules
            if rule.get("Targets", [{}])[0].get("Arn") == properties["Target"]["Arn"]
        }
        expected = {
            "version": "0",
            "id": "<aws.scheduler.execution-id>",
            "source": "landfall.scheduler",
            "account": ACCOUNT,
            "time": "<aws.scheduler.scheduled-time>",
            "region": REGION,
            "resources": ["<aws.scheduler.schedule-arn>"],
        }
        for member, value in expected.items():
            if event.get(member) != value:
                yield f"{name}: {member} is {event.get(member)!r}, not {value!r}"
        if {event.get("detail-type")} != detail_types:
            yield f"{name}: detail-type is {event.get('detail-type')!r}, its machine's rule has {detail_types}"
    for kind in KINDS:
        schedule = facts.full.of("AWS::Scheduler::Schedule").get(kind.resource("Schedule"))
        if not schedule:
            yield f"{kind.name} has no schedule"
            continue
        if schedule["ScheduleExpressionTimezone"] != EVERYTHING["ScheduleExpressionTimezone"]:
            yield f"{kind.name} ignores the time zone"
        try:
            detail = json.loads(schedule["Target"]["Input"]).get("detail")
        except json.JSONDecodeError:
            continue
        if detail != kind.request:
            yield f"{kind.name} is scheduled with {detail}, not {kind.request}"
    without = facts.stack({**EVERYTHING, "SegmentSnapshotRoleArn": ""}).of("AWS::Scheduler::Schedule")
    if "RoleArn" in without.get("SegmentSnapshotSchedule", {}).get("Target", {}).get("Input", ""):
        yield "a schedule names a role that nobody gave"


# --- Buckets --------------------------------------------------------------------------------------------------------


@check
def buckets_are_closed_and_kept(facts):
    for name, resource in facts.full.resources.items():
        if resource["Type"] != "AWS::S3::Bucket":
            continue
        bucket = resource["Properties"]
        block = bucket.get("PublicAccessBlockConfiguration", {})
        if list(block.values()) != [True] * 4:
            yield f"{name} does not block public access"
        if bucket.get("VersioningConfiguration") != {"Status": "Enabled"}:
            yield f"{name} is not versioned"
        if not bucket.get("BucketEncryption"):
            yield f"{name} leaves its encryption to a default"
        if bucket.get("OwnershipControls") != {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}:
            yield f"{name} can hold objects of other accounts"
        for kept in (name, f"{name}Policy"):
            made = facts.full.resources[kept]
            policies = made.get("DeletionPolicy"), made.get("UpdateReplacePolicy")
            if policies != ("RetainExceptOnCreate", "Retain"):
                yield f"{kept} goes with the stack, or stays behind one that was never made"
        rules = bucket.get("LifecycleConfiguration", {}).get("Rules", [])
        for member in ("NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload"):
            if not any(member in rule for rule in rules):
                yield f"{name} has no {member}"
        arn = facts.full.attribute(name, "Arn")
        if not any(
            s["Effect"] == "Deny"
            and s["Action"] == "s3:*"
            and s["Principal"] == "*"
            and set(s["Resource"]) == {arn, f"{arn}/*"}
            and s["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
            for s in facts.full.bucket_statements(name)
        ):
            yield f"{name} can be reached without TLS"
    for stack, name, wanted in (
        (facts.plain, "ExportBucket", []),
        (facts.plain, "LedgerBucket", ["verifications/", "batch-items/", "starts/", "history/"]),
        (facts.full, "LedgerBucket", ["verifications/", "batch-items/", "starts/", "history/"]),
    ):
        rules = stack.of("AWS::S3::Bucket")[name]["LifecycleConfiguration"]["Rules"]
        expiring = [rule for rule in rules if "ExpirationInDays" in rule]
        if [rule.get("Prefix") for rule in expiring] != wanted:
            yield f"current versions of {name} expire that nobody asked to expire, or too few"
        for rule in expiring:
            machine = facts.batch if rule.get("Prefix") == "batch-items/" else facts.machine
            if rule["ExpirationInDays"] * 86400 <= machine["TimeoutSeconds"]:
                yield f"{rule.get('Prefix')} in {name} expires while the execution that it is of may run"
        if any(rule["ExpirationInDays"] * 86400 <= facts.machine["TimeoutSeconds"] for rule in expiring):
            yield f"the work of a verification in {name} expires while its execution may run"
        yearly = [rule for rule in expiring if rule.get("Prefix") == "history/"]
        if any(rule["ExpirationInDays"] <= 366 for rule in yearly):
            yield f"the history of a request that is made once a year expires in {name}"


@check
def buckets_refuse_what_would_forge_a_proof(facts):
    """S3 itself holds what the ledger and the receipts rest on, also against other principals of the account."""
    stack = facts.full
    denied = {
        (bucket, action, resource.split(":::", 1)[1], json.dumps(statement.get("Condition"), sort_keys=True))
        for bucket in ("ExportBucket", "LedgerBucket")
        for statement in stack.bucket_statements(bucket)
        if statement["Effect"] == "Deny" and statement["Principal"] == "*"
        for action in listed(statement["Action"])
        for resource in listed(statement["Resource"])
    }
    functions = f"arn:aws:iam::{ACCOUNT}:role/landfall/{STACK}/*"
    seals = f"arn:aws:iam::{ACCOUNT}:role/landfall/*/seal/*"
    by_seals = {"ArnNotLike": {"aws:PrincipalArn": seals}}
    for role in stack.of("AWS::IAM::Role"):
        if fnmatch.fnmatchcase(stack.attribute(role, "Arn"), seals) != (role == "SealReceiptRole"):
            yield f"{role}: the path of the seals is theirs alone"
    unconditional = {"Null": {"s3:if-match": "true", "s3:if-none-match": "true"}}
    # A part of an upload takes no condition; the completion does.
    creating = {**unconditional, "Bool": {"s3:ObjectCreationOperation": "true"}}
    overwriting = {"Null": {"s3:if-none-match": "true"}}
    for bucket, action, resource, condition in (
        ("ExportBucket", "s3:PutObject", "exportbucket/*/_receipt.json", by_seals),
        ("ExportBucket", "s3:PutObject", "exportbucket/*/_receipt.json", overwriting),
        ("LedgerBucket", "s3:PutObject", "ledgerbucket/*", {"ArnNotLike": {"aws:PrincipalArn": functions}}),
        *(
            ("ExportBucket", "s3:PutObject", f"exportbucket/{key}", by_seals)
            for key in ("*/_objects.jsonl", "*/_latest.json", "_latest.json")
        ),
        ("ExportBucket", "s3:PutObject", "exportbucket/*/_latest.json", unconditional),
        ("ExportBucket", "s3:PutObject", "exportbucket/_latest.json", unconditional),
        ("LedgerBucket", "s3:PutObject", "ledgerbucket/*", creating),
        ("LedgerBucket", "s3:PutObject", "ledgerbucket/receipts/*", overwriting),
        ("LedgerBucket", "s3:DeleteObject", "ledgerbucket/*", None),
        ("LedgerBucket", "s3:DeleteObjectVersion", "ledgerbucket/*", None),
    ):
        if (bucket, action, resource, json.dumps(condition, sort_keys=True)) not in denied:
            yield f"{bucket} does not deny {action} on {resource} under {condition}"
    prefix = functions.removesuffix("*")
    for role in stack.of("AWS::IAM::Role"):
        if stack.attribute(role, "Arn").startswith(prefix) != (role in stack.function_roles()):
            yield f"{role}: the path of the functions' roles is theirs alone"


@check
def buckets_let_in_quick_sight_alone(facts):
    """And only where its kind is deployed. Everyone else has a role, which says what it may do."""
    of_service = {"StringEquals": {"aws:SourceAccount": ACCOUNT}}
    of_role = {"StringEquals": {"aws:PrincipalAccount": ACCOUNT}}
    service, role = {"Service": "quicksight.amazonaws.com"}, {"AWS": EVERYTHING["QuickSightRoleArn"]}
    dashboards, its_role = {"DashboardSnapshots": "true"}, {"QuickSightRoleArn": EVERYTHING["QuickSightRoleArn"]}
    for parameters, principals in (
        ({}, []),
        (its_role, []),
        (dashboards, [(service, of_service)]),
        ({**dashboards, **its_role}, [(service, of_service), (role, of_role)]),
    ):
        stack = facts.stack(parameters)
        allowed = [
            (s["Principal"], set(listed(s["Action"])), s["Resource"], s.get("Condition"))
            for bucket in ("ExportBucket", "LedgerBucket")
            for s in stack.bucket_statements(bucket)
            if s["Effect"] == "Allow"
        ]
        expected = []
        for principal, condition in principals:
            write, look = {"s3:PutObject", "s3:PutObjectAcl"}, {"s3:GetBucketLocation"}
            expected += [
                (principal, write, "arn:aws:s3:::exportbucket/*", condition),
                (principal, look, "arn:aws:s3:::exportbucket", condition),
            ]
        if allowed != expected:
            yield f"with {parameters} the buckets let in {allowed}, not {expected}"


@check
def the_template_fits(facts):
    """CloudFormation's limits, which a template from S3 has, as `sam deploy` uploads it."""
    for what, number, most in (
        ("bytes", len(json.dumps(facts.raw)), 1_000_000),
        ("resources", len(facts.raw["Resources"]), 500),
        ("parameters", len(facts.template["Parameters"]), 200),
        ("outputs", len(facts.template["Outputs"]), 200),
    ):
        if number > most:
            yield f"the template has {number} {what}, CloudFormation takes {most}"
    for name, parameter in facts.template["Parameters"].items():
        if len(parameter.get("Description", "")) > 4000 or not parameter.get("Description"):
            yield f"{name} has no description, or one that is too long"


# --- What is one's own ----------------------------------------------------------------------------------------------

OF_OWN_BUS = {"EventBus", "AnnouncersPolicy", "SendersPolicy"}


@check
def what_may_be_exported_is_held_by_iam(facts):
    """The gate's patterns once more: an event that came past the gate would still be refused."""
    everything = facts.stack({**EVERYTHING, "AllowedDomains": "*", "AllowedDashboards": "*"})
    for kind in KINDS:
        if not kind.names:
            continue
        stem = kind.resources.replace(f":{REGION}:{ACCOUNT}:", ":*:*:").replace("arn:aws:", "arn:*:").removesuffix("*")
        wanted = {f"{stem}{name}{beneath}" for name in EVERYTHING[kind.names].split(",") for beneath in ("", "/*")}
        for suffix, actions in (("StartRole", kind.start), ("PollRole", kind.poll)):
            denied = [
                (set(listed(s["Action"])), set(s.get("NotResource", [])), s.get("Condition"))
                for role, s in facts.full.statements("Deny")
                if role == kind.resource(suffix)
            ]
            if denied != [({f"{kind.api}:{action}" for action in actions}, wanted, None)]:
                yield f"{kind.resource(suffix)} is denied {denied}, not all but {sorted(wanted)}"
        for role, statement in everything.statements("Deny"):
            if role in (kind.resource("StartRole"), kind.resource("PollRole")):
                yield f"{role} is denied {statement} where everything may be exported"
    parameters = facts.template["Parameters"]
    for name in ("AllowedDomains", "AllowedDashboards"):
        pattern = re.compile(parameters[name]["AllowedPattern"])
        for text in ("*", "shop", "a*b*", "*-x_1"):
            if not pattern.fullmatch(text):
                yield f"{name} refuses {text!r}"
        # What means more to IAM than to the gate: another segment of a path, one character, a variable.
        for text in ("", "a/b", "a?", "${aws:username}", "a b", "a,b", "ä"):
            if pattern.fullmatch(text):
                yield f"{name} takes {text!r}"


@check
def one_bus_carries_requests_and_announcements(facts):
    for stack, name in ((facts.plain, "default"), (facts.full, EVERYTHING["EventBusName"])):
        for rule, properties in stack.of("AWS::Events::Rule").items():
            if properties.get("EventBusName") != name:
                yield f"{rule} hears {properties.get('EventBusName')}, not {name}"
        for machine, properties in machines(stack).items():
            if properties["DefinitionSubstitutions"].get("EventBusName") != name:
                yield f"{machine} announces on another bus than {name}"
        if (stack is facts.full) != (OF_OWN_BUS <= stack.made) or (stack is facts.plain and OF_OWN_BUS & stack.made):
            yield f"of a bus there is {sorted(OF_OWN_BUS & stack.made)}"
    if facts.full.of("AWS::Events::EventBus").get("EventBus", {}).get("Name") != EVERYTHING["EventBusName"]:
        yield "the bus has another name"
    if references(facts.template["Resources"]["SegmentSnapshotRule"]).isdisjoint({"EventBus"}):
        yield "a rule may be made before its bus"
    own = f"arn:aws:iam::{ACCOUNT}:role/landfall-machines/{STACK}/*"
    for role in facts.full.of("AWS::IAM::Role"):
        is_machine = role in {facts.full.role_of(machine["RoleArn"]) for machine in machines(facts.full).values()}
        if fnmatch.fnmatchcase(facts.full.attribute(role, "Arn"), own) != is_machine:
            yield f"{role}: the path of the machines' roles is theirs alone"
    announce = {"ForAnyValue:StringEquals": {"events:source": "landfall"}, "ArnNotLike": {"aws:PrincipalArn": own}}
    senders = {"ArnNotLike": {"aws:PrincipalArn": [own, *EVERYTHING["EventBusSenders"].split(",")]}}
    bus = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{EVERYTHING['EventBusName']}"
    policies = facts.full.of("AWS::Events::EventBusPolicy")
    for name, condition in (("AnnouncersPolicy", announce), ("SendersPolicy", senders)):
        wanted = {"Effect": "Deny", "Principal": "*", "Action": "events:PutEvents", "Resource": bus, "Condition": condition}
        policy = policies.get(name, {})
        if policy.get("Statement") != wanted or policy.get("EventBusName") != EVERYTHING["EventBusName"]:
            yield f"{name} is {policy.get('Statement')}, not {wanted}"
    if len({policy.get("StatementId") for policy in policies.values()}) != len(policies):
        yield "two statements of the bus's policy have one id"
    open_to_all = facts.stack({**EVERYTHING, "EventBusSenders": ""})
    if OF_OWN_BUS & open_to_all.made != {"EventBus", "AnnouncersPolicy"}:
        yield "without senders everyone is refused, or may announce"


@check
def a_bucket_may_be_brought(facts):
    """It takes the place of the stack's own everywhere; its policy is not ours to write."""
    stack = facts.stack({**EVERYTHING, "ExportBucketName": "brought"})
    for name in sorted(stack.dangling):
        yield f"something refers to {name}, which is not made where a bucket is brought"
    if made := {"ExportBucket", "ExportBucketPolicy"} & stack.made:
        yield f"{sorted(made)} is made where a bucket is brought"
    for name, resource in stack.resources.items():
        own = json.dumps(facts.full.resources[name]["Properties"], sort_keys=True)
        if json.dumps(resource["Properties"], sort_keys=True) != own.replace("exportbucket", "brought"):
            yield f"{name} differs by more than the name of the bucket"
    if stack.outputs.get("ExportBucketName") != "brought" or facts.plain.outputs["ExportBucketName"] != "exportbucket":
        yield "the output names another bucket"


@check
def a_brought_bucket_is_documented_with_the_policy_of_our_own(facts):
    """What keeps receipts from being forged is copied by hand into the policy of a bucket that is brought."""
    page = (ROOT / "docs/operations.md").read_text()
    section = page.partition("### A bucket of your own\n")[2].partition("\n#")[0]
    lines = [line for line in section.splitlines() if line.startswith("    ")]
    text = "\n".join(lines).replace("BUCKET", "exportbucket").replace("ACCOUNT", ACCOUNT)
    documented = {statement["Sid"]: statement for statement in json.loads(f"[{text}]")}
    own = {s["Sid"]: s for s in facts.plain.bucket_statements("ExportBucket") if s["Sid"] != "OnlyTls"}
    for sid in sorted({*documented, *own}):
        if documented.get(sid) != own.get(sid):
            yield f"docs/operations.md has {documented.get(sid)}, the template {own.get(sid)}"


@check
def one_key_encrypts_what_is_kept(facts):
    key = EVERYTHING["KmsKeyArn"]
    for stack, wanted in ((facts.plain, None), (facts.full, key)):
        for name, bucket in stack.of("AWS::S3::Bucket").items():
            (rule,) = bucket.get("BucketEncryption", {}).get("ServerSideEncryptionConfiguration", [{}])
            by = rule.get("ServerSideEncryptionByDefault", {})
            algorithm = "aws:kms" if wanted else "AES256"
            if (by.get("SSEAlgorithm"), by.get("KMSMasterKeyID")) != (algorithm, wanted):
                yield f"{name} is encrypted with {by}"
            if wanted and rule.get("BucketKeyEnabled") is not True:
                yield f"{name} asks the key for each object"
        for name, machine in machines(stack).items():
            by = machine.get("EncryptionConfiguration", {})
            kind = "CUSTOMER_MANAGED_KMS_KEY" if wanted else "AWS_OWNED_KEY"
            if (by.get("Type"), by.get("KmsKeyId")) != (kind, wanted):
                yield f"{name} is encrypted with {by}"
        for name, group in stack.of("AWS::Logs::LogGroup").items():
            if group.get("KmsKeyId") != wanted:
                yield f"{name} is encrypted with {group.get('KmsKeyId')}"
        queue = stack.of("AWS::SQS::Queue")["DeadLetterQueue"]
        if (queue.get("KmsMasterKeyId"), queue["SqsManagedSseEnabled"]) != (wanted, not wanted):
            yield f"the dead-letter queue is encrypted with {queue.get('KmsMasterKeyId')}"
        granted = {}
        for role, statement in stack.statements():
            for action in listed(statement["Action"]):
                if key in statement["Resource"]:
                    condition = json.dumps(statement.get("Condition"), sort_keys=True)
                    granted.setdefault(role, set()).add((action, condition))
        expected = grants_on_the_key(facts) if wanted else {}
        for role in sorted({*granted, *expected}):
            have, want = granted.get(role, set()), expected.get(role, set())
            if have != want:
                yield f"{role} may do {sorted(have - want)} too much with the key, and lacks {sorted(want - have)}"


def grants_on_the_key(facts):
    """What each role may do with the stack's key, and under which condition: as little as its work needs."""

    def uses(actions, condition):
        return {(f"kms:{action}", json.dumps(condition, sort_keys=True)) for action in actions}

    def by(service):
        return {"StringLike": {"kms:ViaService": f"{service}.*.amazonaws.com"}}

    def of_machines(*names):
        arns = [f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{STACK}-{name}" for name in names]
        key = "kms:EncryptionContext:aws:states:stateMachineArn"
        return {"StringEquals": {key: arns if len(arns) > 1 else arns[0]}}

    both = ("Decrypt", "GenerateDataKey")
    of_logs = {"StringEquals": {"kms:EncryptionContext:SourceArn": f"arn:aws:logs:{REGION}:{ACCOUNT}:*"}}
    functions = ["VerifyOutputRole", "SealReceiptRole", "BatchPlanRole", "BatchSummaryRole"]
    functions += [kind.resource("StartRole") for kind in KINDS]
    expected = {role: uses(both, by("s3")) for role in functions}
    for kind in KINDS:
        if kind.role:
            actions = (*(both if kind.writes else ("Decrypt",)), *(("DescribeKey",) if kind.in_parts else ()))
            expected[kind.role] = uses(actions, None) | (uses(("CreateGrant",), OF_SERVICES) if kind.in_parts else set())
    batch = ("export-batch", "export-batch/Requests", *(kind.name for kind in KINDS))
    for kind, own in (("ExportBatch", batch), *((k.resource(""), (k.name, f"{k.name}/VerifyBatches")) for k in KINDS)):
        expected[f"{kind}StateMachineRole"] = (
            uses(both, of_machines(*own)) | uses(("GenerateDataKey",), of_logs) | uses(("Decrypt",), by("s3"))
        )
        expected[f"{kind}TriggerRole"] = uses(both, of_machines(own[0])) | uses(both, by("sqs"))
    return expected


# The most that the parameters promise to take: see AllowedDestinations, and AllowedDomains and AllowedDashboards.
FOLDERS_AT_MOST, PREFIX_AT_MOST = 20, 60
NAMES_AT_MOST, NAME_AT_MOST = 30, 64


@check
def policies_fit_what_the_parameters_take(facts):
    """IAM's quotas, which do not count white space, and Lambda's of an environment."""
    buckets = [f"{n:02}".ljust(63, "b") for n in range(FOLDERS_AT_MOST)]
    folders = {
        "AllowedDestinations": ",".join(f"s3://{bucket}/{'p' * (PREFIX_AT_MOST - 1)}/" for bucket in buckets),
        "AllowedDestinationBuckets": ",".join(buckets),
    }
    some = ",".join(f"{n:02}".ljust(NAME_AT_MOST, "n") for n in range(NAMES_AT_MOST))
    names = {"AllowedDomains": some, "AllowedDashboards": some}
    of_folders = f"{FOLDERS_AT_MOST} folders fit, also with buckets of 63 and prefixes of {PREFIX_AT_MOST} characters"
    of_names = f"{NAMES_AT_MOST} names of {NAME_AT_MOST} characters fit"
    promises = {"AllowedDestinations": of_folders, "AllowedDomains": of_names, "AllowedDashboards": of_names}
    for name, promise in promises.items():
        if promise not in facts.template["Parameters"][name]["Description"]:
            yield f"{name} does not promise that {promise}"
    for most in (folders, names):
        if any(len(value) > 4096 for value in most.values()):
            yield "CloudFormation takes no value of more than 4,096 bytes"
        yield from what_does_not_fit(facts.stack({**EVERYTHING, **most}))


def what_does_not_fit(stack):
    for name, properties in stack.of("AWS::IAM::Role").items():
        size = sum(len(compact(policy["PolicyDocument"])) for policy in properties.get("Policies", []))
        if size > 10_240:
            yield f"the policies of {name} have {size} characters, IAM takes 10,240"
    for name, properties in stack.of("AWS::S3::BucketPolicy").items():
        if len(compact(properties["PolicyDocument"])) > 20_480:
            yield f"{name} is larger than S3 takes"
    for name, properties in stack.functions().items():
        size = sum(len(key) + len(str(value)) for key, value in properties["Environment"]["Variables"].items())
        if size > 4096:
            yield f"the environment of {name} has {size} bytes, Lambda takes 4,096"


def compact(document):
    return json.dumps(document, separators=(",", ":"))


# --- Layout ---------------------------------------------------------------------------------------------------------


def snake(name):
    return kebab(name).replace("-", "_").upper()


def kebab(name):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()


@check
def each_kind_is_one_block(facts):
    """What is shared refers to no kind, and a kind to no other, so that a kind is added by copying one block."""
    names = list(facts.template["Resources"])
    known = {kind.name for kind in KINDS}
    kind_of, kind, blocks = {}, None, set()
    for line in facts.text.splitlines():
        start, end = re.match(r"  # === Kind: ([a-z-]+)", line), re.match(r"  # === End of kind: ([a-z-]+)", line)
        name = re.match(r"  (\w+):$", line)
        if start:
            if kind:
                yield f"the block of {kind} is not closed before {start[1]}"
            kind = start[1]
            blocks.add(kind)
        elif end:
            kind = None if end[1] == kind else f"unmatched {end[1]}"
        elif line.startswith("  # === Shared") and blocks:
            yield "something shared comes after a kind"
        elif name and name[1] in names:
            kind_of[name[1]] = kind
            if kind and not kebab(name[1]).startswith(f"{kind}-"):
                yield f"{name[1]} stands in the block of {kind}"
            if not kind and blocks:
                yield f"{name[1]} comes after the kinds and belongs to none"
    if blocks != known or kind or set(kind_of) != set(names):
        yield f"the blocks of the kinds are not marked: {sorted(blocks)}"
    for name, resource in facts.template["Resources"].items():
        for other in references(resource) & set(names):
            if kind_of.get(other) not in (None, kind_of.get(name)):
                yield f"{name} refers to {other} of {kind_of[other]}"


@check
def kinds_are_deployed_when_they_are_asked_for(facts):
    """And whatever is chosen, nothing refers to what is not made."""
    always = {name for name in facts.template["Resources"] if not kind_of_resource(name)}
    parameters = sorted({kind.parameter for kind in KINDS})
    for base, choice in product(({}, EVERYTHING), product(("true", "false"), repeat=len(parameters))):
        chosen = dict(zip(parameters, choice))
        stack = facts.stack({**base, **chosen})
        for name in sorted(stack.dangling):
            yield f"something refers to {name}, which {chosen} does not make"
        for kind in KINDS:
            own = {name for name in facts.template["Resources"] if kind_of_resource(name) == kind.name}
            made = own & stack.made
            wanted = own if chosen[kind.parameter] == "true" else set()
            if not base:
                wanted = wanted - {kind.resource("Schedule")}
            if made != wanted:
                yield f"{chosen} makes {sorted(made)} of {kind.name}, not {sorted(wanted)}"
            shown = {name for name in stack.outputs if kind_of_resource(name) == kind.name}
            if bool(shown) != bool(wanted):
                yield f"{chosen} shows {sorted(shown)} of {kind.name}"
        for name in sorted(always - stack.made - {"TracingPolicy", *OF_OWN_BUS}):
            yield f"{chosen} does not make {name}, which is shared"
    schedules = {kind.resource("Schedule") for kind in KINDS}
    for kind in KINDS:
        expression = kind.resource("ScheduleExpression")
        without = {**EVERYTHING, expression if expression in EVERYTHING else "ScheduleExpression": ""}
        made = set(facts.stack(without).of("AWS::Scheduler::Schedule"))
        if made != schedules - {kind.resource("Schedule")}:
            yield f"without the schedule of {kind.name} there are {sorted(made)}"
    defaults = {kind.name for kind in KINDS if kind.resource("StateMachine") in facts.plain.made}
    if defaults != {"segment-snapshot"}:
        yield f"without parameters {sorted(defaults)} are deployed"


def kind_of_resource(name):
    return next((kind.name for kind in KINDS if name.startswith(kind.resource(""))), None)


@check
def parameters_that_contradict_each_other_are_refused(facts):
    # AWS makes [""] of an empty list parameter; another engine makes [].
    for no_members in ([""], []):
        for parameters in ({}, EVERYTHING):
            if refused := facts.stack(parameters, no_members).refused():
                yield f"{sorted(refused)} refuse what is right, where an empty list is {no_members}"
        for parameters, rule in HALVES:
            if rule not in facts.stack(parameters, no_members).refused():
                yield f"{rule} takes {parameters}, where an empty list is {no_members}"


SEGMENT_SCHEDULE = {"ScheduleExpression": "rate(1 day)", "DomainName": "shop", "SegmentDefinitionName": "buyers"}
DASHBOARD_SCHEDULE = {name: EVERYTHING[name] for name in EVERYTHING if name.startswith("DashboardSnapshot")}
EXPORT_SCHEDULE = {name: EVERYTHING[name] for name in EVERYTHING if name.startswith("EndpointExport")}
IMPORT_SCHEDULE = {name: EVERYTHING[name] for name in EVERYTHING if name.startswith("EndpointImport")}
FOLDERS, FOLDER_BUCKETS = EVERYTHING["AllowedDestinations"], EVERYTHING["AllowedDestinationBuckets"]
OWN_BUS = {"CreateEventBus": "true", "EventBusName": "exports"}
HALVES = [
    ({"AllowedDestinations": FOLDERS}, "DestinationsAreWhole"),
    ({"AllowedDestinationBuckets": FOLDER_BUCKETS}, "DestinationsAreWhole"),
    *(
        ({"AllowedDestinations": folders, "AllowedDestinationBuckets": buckets}, "DestinationsAreWhole")
        for folders, buckets in (
            (f"{FOLDERS},", FOLDER_BUCKETS),
            (f",{FOLDERS}", FOLDER_BUCKETS),
            (FOLDERS, f"{FOLDER_BUCKETS},"),
            (f"{FOLDERS},", ""),
            ("", f"{FOLDER_BUCKETS},"),
        )
    ),
    ({"AllowedDomains": "shop,"}, "NamesAreWhole"),
    ({"AllowedDomains": ""}, "NamesAreWhole"),
    ({"AllowedDashboards": ",sales"}, "NamesAreWhole"),
    ({"AllowedDashboards": ""}, "NamesAreWhole"),
    ({"CreateEventBus": "true"}, "BusIsWhole"),
    ({"EventBusName": "exports", "EventBusSenders": EVERYTHING["EventBusSenders"]}, "BusIsWhole"),
    ({**OWN_BUS, "EventBusSenders": EVERYTHING["EventBusSenders"] + ","}, "BusIsWhole"),
    ({"AllowedRoles": EVERYTHING["AllowedRoles"] + ","}, "RolesAreWhole"),
    ({"AllowedKmsKeys": "," + EVERYTHING["AllowedKmsKeys"]}, "KmsKeysAreWhole"),
    ({**SEGMENT_SCHEDULE, "DomainName": ""}, "ScheduleIsWhole"),
    ({**SEGMENT_SCHEDULE, "SegmentDefinitionName": ""}, "ScheduleIsWhole"),
    ({**SEGMENT_SCHEDULE, "SegmentSnapshots": "false"}, "ScheduleIsWhole"),
    ({**DASHBOARD_SCHEDULE, "DashboardSnapshotRequest": ""}, "DashboardScheduleIsWhole"),
    ({**DASHBOARD_SCHEDULE, "DashboardSnapshots": "false"}, "DashboardScheduleIsWhole"),
    ({**EXPORT_SCHEDULE, "PinpointKinds": "false"}, "EndpointExportScheduleIsWhole"),
    ({**EXPORT_SCHEDULE, "PinpointKinds": "true", "EndpointExportRequest": ""}, "EndpointExportScheduleIsWhole"),
    ({**IMPORT_SCHEDULE, "PinpointKinds": "false"}, "EndpointImportScheduleIsWhole"),
    ({**IMPORT_SCHEDULE, "PinpointKinds": "true", "EndpointImportRequest": ""}, "EndpointImportScheduleIsWhole"),
]


def references(node):
    """The logical names that a part of the template refers to."""
    if isinstance(node, list):
        return set().union(*map(references, node))
    if not isinstance(node, dict):
        return set()
    found = set()
    for name, value in node.items():
        if name == "Ref":
            found.add(value.split(".")[0])
        elif name == "Fn::GetAtt":
            found.add((value if isinstance(value, list) else value.split("."))[0])
        elif name == "Fn::Sub":
            text = value if isinstance(value, str) else value[0]
            found |= {part.split(".")[0] for part in re.findall(r"\$\{([^!}]+)\}", text)}
            found |= references(value) if isinstance(value, list) else set()
        else:
            found |= references(value)
    return found


# --- Each check notices what it is there for ------------------------------------------------------------------------

MUTATIONS = []


def breaks(checked):
    """Registers a function that breaks the template (parsed) or the definition of the kinds (parsed)."""
    return breaks_of(checked, DEFINITION)


def breaks_of(checked, path):
    """Registers a function that breaks the template (parsed) or a definition (parsed)."""

    def register(function):
        MUTATIONS.append((checked.__name__, function, path))
        return function

    return register


def put(path, value):
    """Sets a property of a resource, or takes it away for None. Statements are found by their Sid, rules by their Id."""

    def mutate(template, machine):
        resource, *steps = path.split("/")
        node = template["Resources"][resource]
        node = node if steps[0] in ("Condition", "DeletionPolicy", "Metadata") else node["Properties"]
        for step in steps[:-1]:
            node = into(node, step)
        last = steps[-1]
        if isinstance(node, list):
            last = int(last) if last.isdigit() else next(n for n, item in enumerate(node) if is_called(item, last))
        if value is None:
            del node[last]
        else:
            node[last] = value

    mutate.__name__ = f"{path} = {value}"
    return mutate


def into(node, step):
    if step == "statements":
        policies = node.get("Policies")
        return (policies[0]["PolicyDocument"] if policies else node["PolicyDocument"])["Statement"]
    if isinstance(node, list):
        if step.isdigit():
            return node[int(step)]
        return unwrapped(next(item for item in node if is_called(item, step)))
    return node[step]


def is_called(item, name):
    return unwrapped(item).get("Sid", unwrapped(item).get("Id")) == name


def unwrapped(item):
    return item["Fn::If"][1] if "Fn::If" in item else item


MEMBERS = {
    each_function_has_a_role_of_its_own: (("SealReceiptFunction/Role", {"Fn::GetAtt": ["VerifyOutputRole", "Arn"]}),),
    nothing_is_of_one_partition_alone: (
        ("SealReceiptRole/statements/ReadReport/Resource", "arn:aws:s3:::aaa/*"),
        ("SealReceiptRole/statements/EncryptReceipt/Condition/StringLike/kms:ViaService", "s3.*.amazonaws.com"),
        ("SealReceiptRole/statements/EncryptReceipt/Condition/StringLike/kms:ViaService", "s3.*"),
    ),
    roles_that_services_assume_name_the_account: (
        ("SegmentSnapshotExportRole/AssumeRolePolicyDocument/Statement/0/Condition", None),
    ),
    no_grant_is_wider_than_it_has_to_be: (
        ("SealReceiptRole/statements/CloseJob/Action", "s3:*"),
        ("SealReceiptRole/statements/CloseJob/Resource", "*"),
        ("SegmentSnapshotStartRole/statements/PassAllowedRoles/Resource", "*"),
        ("SealReceiptRole/ManagedPolicyArns", ["arn:aws:iam::aws:policy/AdministratorAccess"]),
    ),
    roles_are_passed_to_their_service_only: (
        ("SegmentSnapshotStartRole/statements/PassExportRole/Condition", None),
        ("SegmentSnapshotStartRole/statements/PassAllowedRoles/Condition", None),
        ("SegmentSnapshotStartRole/statements/PassExportRole/Resource", ["arn:aws:iam::111122223333:role/*"]),
        ("SegmentSnapshotPollRole/statements/Poll/Action", "iam:PassRole"),
        ("SegmentSnapshotExportRole/AssumeRolePolicyDocument/Statement/0/Condition", {"Bool": {"x": "y"}}),
        (
            "SegmentSnapshotExportRole/AssumeRolePolicyDocument/Statement/0/Condition",
            {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}},
        ),
        (
            "SegmentSnapshotStartRole/statements/PassExportRole/Condition",
            {"StringEquals": {"iam:PassedToService": "profile.amazonaws.com"}},
        ),
        ("SegmentSnapshotStartRole/statements/PassExportRole/Resource/1", None),
        ("EndpointExportStartRole/statements/PassRole/Condition/StringEqualsIfExists/iam:PassedToService/0", None),
        ("SegmentSnapshotExportRole/AssumeRolePolicyDocument/Statement/0/Principal/Service", "s3.amazonaws.com"),
        ("EndpointExportRole/AssumeRolePolicyDocument/Statement/0/Condition/ArnLike", None),
        ("EndpointImportRole/AssumeRolePolicyDocument/Statement/0/Condition/StringEquals", {}),
        ("EndpointImportStartRole/statements/PassRole/Resource", {"Fn::GetAtt": ["EndpointExportRole", "Arn"]}),
    ),
    functions_call_their_own_api_alone: (
        ("SegmentSnapshotPollRole/statements/Poll/Action", "profile:CreateSegmentSnapshot"),
        ("SegmentSnapshotStartRole/statements/Start/Resource", {"Fn::Sub": "arn:aws:profile:*:*:*"}),
        ("SealReceiptRole/statements/ReadReport/Action", ["s3:GetObject", "profile:GetSegmentSnapshot"]),
        ("DashboardSnapshotPollRole/statements/Poll/Resource", {"Fn::Sub": "arn:aws:quicksight:*:*:dashboard/*"}),
    ),
    grants_are_what_the_code_calls: (
        ("SegmentSnapshotPollRole/statements/Poll/Action", "profile:GetSegmentDefinition"),
        ("DashboardSnapshotPollRole/statements/Poll/Action", "quicksight:DescribeDashboardSnapshotJob"),
    ),
    only_seal_writes_receipts: (
        ("SealReceiptRole/statements/NothingButSeals", None),
        ("SealReceiptRole/statements/NothingButSeals/NotResource/1", {"Fn::Sub": "${ExportBucket.Arn}/*"}),
        ("SealReceiptRole/statements/NothingButSeals/NotResource/2", None),
        ("SealReceiptRole/statements/NothingButSeals/Action/0", None),
        ("SealReceiptRole/statements/NothingButSeals/Condition", {"Bool": {"aws:SecureTransport": "true"}}),
        ("SealReceiptRole/statements/SealFurtherDestinations/Resource", ["arn:aws:s3:::aaa/*"]),
        ("SealReceiptRole/statements/SealExports/Action", ["s3:PutObject", "s3:AbortMultipartUpload"]),
        ("EndpointExportStartRole/statements/ClaimJob/Resource", {"Fn::Sub": "${LedgerBucket.Arn}/jobs/*"}),
        ("VerifyOutputRole/statements/ReadExports/Action", ["s3:GetObject", "s3:PutObject"]),
        ("SegmentSnapshotStartRole/statements/ClaimJob/Resource", {"Fn::Sub": "${LedgerBucket.Arn}/*"}),
        ("SegmentSnapshotExportRole/statements/NoReceipts", None),
        ("SegmentSnapshotExportRole/statements/NoReceipts/Action", "s3:DeleteObject"),
        ("EndpointExportRole/statements/NoReceipts", None),
        ("EndpointExportRole/statements/NoReceipts/Resource", {"Fn::Sub": "${ExportBucket.Arn}/*/_receipt.json"}),
        ("EndpointExportRole/statements/NoReceipts/Condition", {"Bool": {"aws:SecureTransport": "false"}}),
        ("EndpointExportRole/statements/NoReceipts/Resource/2", None),
        ("SegmentSnapshotExportRole/statements/NoReceipts/Resource/1", None),
        ("VerifyOutputRole/statements/KeepWork/Resource", {"Fn::Sub": "${LedgerBucket.Arn}/receipts/*"}),
        ("BatchPlanRole/statements/ReadRequests/Action", ["s3:GetObject", "s3:PutObject"]),
        ("BatchSummaryRole/statements/ReadJobs/Action", ["s3:GetObject", "s3:PutObject"]),
        ("SegmentSnapshotStartRole/statements/StandInLine/Resource", {"Fn::Sub": "${LedgerBucket.Arn}/slots/*"}),
        ("SegmentSnapshotStartRole/statements/CountStarts", None),
        ("EndpointImportStartRole/statements/StandInLine", None),
        ("SealReceiptRole/statements/GivePlaceBack", None),
    ),
    histories_are_kept_by_seal_and_recalled_by_starts: (
        ("SealReceiptRole/statements/KeepHistory/Action", "s3:PutObject"),
        ("EndpointImportStartRole/statements/RecallHistory", None),
        ("EndpointImportStartRole/statements/RecallHistory/Resource", {"Fn::Sub": "${LedgerBucket.Arn}/history/*"}),
        ("SegmentSnapshotStartRole/statements/RecallHistory/Action", ["s3:GetObject", "s3:PutObject"]),
    ),
    whoever_uploads_in_parts_may_give_up: (
        ("VerifyOutputRole/statements/WriteReport/Action", "s3:PutObject"),
        ("SealReceiptRole/statements/SealExports/Action", "s3:PutObject"),
        ("SealReceiptRole/statements/CloseJob/Action", ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"]),
        ("SegmentSnapshotPollRole/statements/Poll/Action", "s3:AbortMultipartUpload"),
        ("BatchPlanRole/statements/KeepBatch/Action", ["s3:GetObject", "s3:PutObject"]),
    ),
    machines_may_run_their_maps: (
        ("SegmentSnapshotStateMachineRole/statements/ReadBatches/Resource", {"Fn::Sub": "${LedgerBucket.Arn}/*"}),
        (
            "EndpointExportStateMachineRole/statements/ReadBatches/Resource",
            {"Fn::Sub": "${LedgerBucket.Arn}/verifications/*"},
        ),
        ("DashboardSnapshotStateMachineRole/statements/StartBatches/Resource", {"Ref": "DashboardSnapshotStateMachine"}),
        ("EndpointExportStateMachineRole/statements/FollowBatches/Action", "states:DescribeExecution"),
        ("EndpointExportStateMachineRole/statements/FollowBatches/Resource/1", None),
        ("EndpointImportStateMachineRole/statements/RedriveBatches", None),
        ("EndpointImportStateMachine/StateMachineName", "other"),
        ("ExportBatchStateMachineRole/statements/ReadItems/Resource", {"Fn::Sub": "${LedgerBucket.Arn}/batches/*"}),
        ("ExportBatchStateMachineRole/statements/FollowRequests/Resource/3", None),
        ("ExportBatchStateMachineRole/statements/RedriveRequests", None),
        ("SegmentSnapshotTriggerRole/statements/GiveUp/Action", "states:StopExecution"),
    ),
    verify_reads_what_events_may_name: (
        ("VerifyOutputRole/statements/ReadFurtherDestinations/Resource", ["arn:aws:s3:::aaa/*"]),
        ("VerifyOutputRole/statements/ListExports/Action", "s3:GetBucketLocation"),
        ("VerifyOutputRole/statements/DecryptExports/Action", "kms:DescribeKey"),
        ("VerifyOutputRole/statements/ReadExports/Action", ["s3:GetObject", "s3:GetObjectVersion"]),
        ("VerifyOutputRole/statements/KeepWork/Action", ["s3:PutObject", "s3:AbortMultipartUpload"]),
        ("VerifyOutputRole/statements/ReadFurtherDestinations/Action", ["s3:GetObject", "s3:GetObjectVersion"]),
    ),
    services_and_starts_reach_what_events_may_name: (
        ("EndpointExportRole/statements/Write/Action", ["s3:PutObject", "s3:AbortMultipartUpload", "s3:GetObject"]),
        ("SegmentSnapshotExportRole/statements/Write/Action", "s3:PutObject"),
        ("SegmentSnapshotExportRole/statements/Write/Action", ["s3:PutObject", "s3:AbortMultipartUpload"]),
        ("SegmentSnapshotExportRole/statements/Look/Action/2", None),
        ("SegmentSnapshotExportRole/statements/ReadBack", None),
        ("SegmentSnapshotExportRole/statements/ReadBack/Resource", {"Fn::Sub": "${ExportBucket.Arn}/*"}),
        ("SegmentSnapshotExportRole/statements/ReadBackInFurtherDestinations/Resource", ["arn:aws:s3:::aaa/*"]),
        ("SegmentSnapshotExportRole/statements/Encrypt/Action/2", None),
        ("SegmentSnapshotExportRole/statements/GrantKey/Action", "kms:DescribeKey"),
        ("SegmentSnapshotExportRole/statements/GrantKey/Condition", None),
        ("EndpointImportRole/statements/Read/Resource", ["arn:aws:s3:::aaa/*"]),
        ("EndpointImportRole/statements/Decrypt/Action", ["kms:Decrypt", "kms:GenerateDataKey"]),
        ("EndpointImportStartRole/statements/ReadFurtherSources/Action", "s3:GetObjectVersion"),
        ("EndpointImportStartRole/statements/ListSource/Resource", {"Fn::GetAtt": ["LedgerBucket", "Arn"]}),
        ("EndpointExportStartRole/statements/ClaimJob/Resource", {"Fn::Sub": "${ExportBucket.Arn}/*"}),
    ),
    batches_reach_what_events_may_name: (
        ("BatchPlanRole/statements/ReadFurtherRequests/Resource", ["arn:aws:s3:::aaa/*"]),
        ("BatchPlanRole/statements/DecryptRequests/Action", "kms:DescribeKey"),
        ("BatchSummaryRole/statements/ReadJobs/Resource", {"Fn::Sub": "${LedgerBucket.Arn}/*"}),
        ("BatchSummaryRole/statements/KeepBatch/Action", ["s3:PutObject", "s3:AbortMultipartUpload"]),
    ),
    batches_start_the_kinds_that_are_deployed: (
        ("ExportBatchStateMachineRole/statements/StartRequests/Resource/2", None),
        ("ExportBatchStateMachineRole/statements/HearOfRequests/Action", "events:PutRule"),
        ("ExportBatchStateMachineRole/statements/HearOfRequests/Resource", {"Fn::Sub": "arn:aws:events:::rule/*"}),
        ("BatchPlanFunction/Environment/Variables/LANDFALL_MACHINES/Fn::Join/1/0", None),
        ("DashboardSnapshotStateMachine/StateMachineName", "other"),
        ("SegmentSnapshotTriggerRole/statements/StartExecution/Action", "events:PutRule"),
    ),
    batches_are_deployed_unless_they_are_not_wanted: (
        ("ExportBatchRule/Condition", None),
        ("BatchSummaryLogs/Condition", "HasSegmentSnapshots"),
        ("SealReceiptFunction/Role", {"Fn::GetAtt": ["BatchPlanRole", "Arn"]}),
    ),
    an_absent_key_answers_404: (
        ("BatchPlanRole/statements/ListExports/Action", "s3:GetBucketLocation"),
        ("BatchSummaryRole/statements/ListLedger/Action", "s3:GetBucketLocation"),
        ("EndpointImportStartRole/statements/ListFurtherSources/Action", "s3:GetBucketLocation"),
        ("SegmentSnapshotStartRole/statements/ListLedger/Action", "s3:GetBucketLocation"),
        ("SealReceiptRole/statements/ListExports/Action", "s3:GetBucketLocation"),
        ("SealReceiptRole/statements/ListFurtherBuckets/Action", "s3:GetBucketLocation"),
        ("VerifyOutputRole/statements/ListLedger/Action", "s3:GetBucketLocation"),
    ),
    tracing_has_what_step_functions_asks_for: (
        ("TracingPolicy/statements/Trace/Action", ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]),
        ("SegmentSnapshotStateMachineRole/ManagedPolicyArns", None),
    ),
    every_role_takes_the_boundary: (("SegmentSnapshotTriggerRole/PermissionsBoundary", None),),
    functions_are_the_built_binaries: (
        ("VerifyOutputFunction/CodeUri", "target/lambda/seal-receipt/"),
        ("VerifyOutputFunction/Metadata/SkipBuild", False),
    ),
    functions_log_to_groups_of_their_own: (
        ("SealReceiptFunction/LoggingConfig/LogGroup", {"Ref": "VerifyOutputLogs"}),
        ("SealReceiptLogs/RetentionInDays", None),
        ("SealReceiptRole/statements/Log/Resource", {"Fn::GetAtt": ["VerifyOutputLogs", "Arn"]}),
    ),
    functions_get_the_variables_that_the_code_reads: (
        ("SegmentSnapshotStartFunction/Environment/Variables/LANDFALL_DEFAULT_ROLE_ARN", None),
        ("SegmentSnapshotStartFunction/Environment/Variables/LANDFALL_LEGDER", "x"),
        ("EndpointExportStartFunction/Environment/Variables/LANDFALL_MAX_RUNNING", None),
        ("EndpointExportStartFunction/Environment/Variables/LANDFALL_MAX_STARTS_PER_DAY", "1"),
        ("DashboardSnapshotStartFunction/Environment/Variables/LANDFALL_ALLOWED_ROLES", "x"),
        ("EndpointImportStartFunction/Environment/Variables/LANDFALL_DEFAULT_DESTINATION", "x"),
        ("SealReceiptFunction/Environment", {"Variables": {"LANDFALL_DEFAULT_ROLE_ARN": "x"}}),
        ("BatchSummaryFunction/Environment", {"Variables": {"LANDFALL_MACHINES": "x"}}),
    ),
    functions_get_lists_that_they_can_read: (
        ("SegmentSnapshotStartFunction/Environment/Variables/LANDFALL_ALLOWED_ROLES", {"Ref": "AllowedDestinations"}),
        ("SegmentSnapshotStartFunction/Environment/Variables/LANDFALL_ALLOWED_ROLES/Fn::Join/1/1", None),
    ),
    the_local_world_has_the_functions_of_the_template: (
        ("SealReceiptFunction/Timeout", 60),
        ("SegmentSnapshotPollFunction/MemorySize", 512),
    ),
    what_changes_a_function_publishes_a_version: (
        ("VerifyOutputFunction/AutoPublishAliasAllProperties", None),
        ("SealReceiptFunction/VersionDeletionPolicy", "Delete"),
        ("SegmentSnapshotStartFunction/SourceKMSKeyArn", None),
        ("BatchPlanFunction/SourceKMSKeyArn/Fn::If/1/Fn::Join/1/1", None),
        ("DashboardSnapshotPollFunction/SourceKMSKeyArn", {"Fn::If": ["Never", {"Ref": "ExportRetentionDays"}, "x"]}),
        ("EndpointImportStartFunction/Environment/Variables/LANDFALL_NEW", {"Ref": "ScheduleExpressionTimezone"}),
        ("SealReceiptFunction/SourceKMSKeyArn", {"Fn::If": ["IsTraced", "x", {"Ref": "AWS::NoValue"}]}),
    ),
    nobodys_answers_are_tracked: (("SealReceiptRole/RoleName", "seal"),),
    substitutions_are_those_of_the_definition: (
        ("SegmentSnapshotStateMachine/DefinitionSubstitutions/Kind", None),
        ("SegmentSnapshotStateMachine/DefinitionS3Location", BATCH_DEFINITION),
        ("ExportBatchStateMachine/DefinitionSubstitutions/EventBusName", None),
    ),
    tasks_outlast_their_functions: (
        (
            "SegmentSnapshotStateMachine/DefinitionSubstitutions/PollFunctionArn",
            {"Fn::GetAtt": ["SegmentSnapshotPollFunction", "Arn"]},
        ),
        ("EndpointImportStartFunction/Timeout", 960),
        ("SealReceiptFunction/Timeout", 961),
        ("BatchSummaryFunction/Timeout", 960),
    ),
    machines_may_do_what_they_do: (
        ("DashboardSnapshotStateMachineRole/statements/Invoke/Resource/1", None),
        ("EndpointImportStateMachineRole/statements/Invoke/Resource/0", None),
        ("SegmentSnapshotStateMachineRole/statements/Invoke/Resource", {"Fn::GetAtt": ["SealReceiptFunction", "Arn"]}),
        ("SegmentSnapshotStateMachineRole/statements/Announce/Condition", None),
        ("ExportBatchStateMachineRole/statements/Announce/Condition/Null", None),
        (
            "DashboardSnapshotStateMachineRole/statements/Announce/Condition",
            {"StringEquals": {"events:source": "landfall"}},
        ),
    ),
    machines_log_without_data: (
        ("SegmentSnapshotStateMachine/LoggingConfiguration/IncludeExecutionData", True),
        ("SegmentSnapshotStateMachineLogs/LogGroupName", "/landfall/states"),
    ),
    alarms_tell_somebody: (
        ("DeadLetterAlarm/AlarmActions", None),
        ("DeadLetterAlarm/OKActions", {"Fn::If": ["HasAlarmTopic", [{"Ref": "AlarmTopicArn"}], {"Ref": "AWS::NoValue"}]}),
        ("EndpointExportLineAlarm/AlarmActions", None),
        ("OutputThrottleAlarm/AlarmDescription", 'See docs/operations.md, "What is not there".'),
    ),
    unsuccessful_executions_raise_an_alarm: (
        ("SegmentSnapshotAlarm/Metrics/2/MetricStat/Metric/MetricName", "ExecutionsStarted"),
        ("ExportBatchAlarm/DatapointsToAlarm", None),
        ("EndpointImportAlarm/Metrics/0/Expression", "FILL(failed, 0) + FILL(timedout, 0)"),
    ),
    throttled_functions_raise_an_alarm: (
        ("SegmentSnapshotThrottleAlarm/Metrics/0/Expression", "FILL(start, 0)"),
        ("OutputThrottleAlarm/Metrics/2/MetricStat/Metric/MetricName", "Errors"),
        ("DashboardSnapshotThrottleAlarm/DatapointsToAlarm", 1),
        ("EndpointExportThrottleAlarm/EvaluationPeriods", 3),
        (
            "ExportBatchThrottleAlarm/Metrics/1/MetricStat/Metric/Dimensions",
            [{"Name": "FunctionName", "Value": {"Ref": "SealReceiptFunction"}}],
        ),
    ),
    jobs_that_stand_in_line_for_long_raise_an_alarm: (
        ("SegmentSnapshotLineMetric/FilterPattern", "{ $.waited_percent >= 0 }"),
        ("DashboardSnapshotLineMetric/MetricTransformations/0/MetricValue", "$.fields.waited_seconds"),
        ("EndpointImportLineMetric/LogGroupName", {"Ref": "EndpointImportPollLogs"}),
        ("EndpointExportLineAlarm/MetricName", {"Fn::Sub": "${AWS::StackName}-endpoint-import-waited-percent"}),
        ("EndpointExportLineAlarm/Statistic", "Average"),
        ("SegmentSnapshotLineAlarm/Period", 300),
    ),
    functions_report_what_they_used: (("VerifyOutputFunction/LoggingConfig/SystemLogLevel", "WARN"),),
    stalled_jobs_raise_an_alarm: (
        ("StalledJobRule/EventPattern/detail-type", ["Export Job Failed"]),
        ("StalledJobRule/EventBusName", "default"),
        ("StalledJobAlarm/Metrics/0/Expression", "FILL(ondefault, 0)"),
        ("StalledJobAlarm/Metrics/1/MetricStat/Metric/Dimensions/0/Value", "StalledJobAlarm"),
        ("StalledJobAlarm/Metrics/2/MetricStat/Metric/Dimensions/1/Value", {"Ref": "StalledJobRule"}),
        ("StalledJobAlarm/Threshold", 5),
    ),
    polls_and_seals_can_be_kept_running: (
        ("EndpointExportPollFunction/ReservedConcurrentExecutions", None),
        ("VerifyOutputFunction/ReservedConcurrentExecutions", {"Ref": "ReservedConcurrency"}),
        ("SealReceiptFunction/ReservedConcurrentExecutions", {"Ref": "ReservedConcurrency"}),
    ),
    triggers_are_delivered_or_kept: (
        ("SegmentSnapshotRule/Targets/0/DeadLetterConfig", None),
        ("SegmentSnapshotRule/Targets/0/RetryPolicy", None),
        ("SegmentSnapshotSchedule/Target/DeadLetterConfig", None),
        ("SegmentSnapshotSchedule/Target/RetryPolicy", None),
        ("SegmentSnapshotTriggerRole/statements/GiveUp/Action", "sqs:GetQueueUrl"),
    ),
    dead_letters_are_kept_and_noticed: (
        ("DeadLetterQueue/SqsManagedSseEnabled", False),
        ("DeadLetterQueuePolicy/statements/RulesOfThisAccount/Condition", {}),
        ("DeadLetterAlarm/Threshold", 10),
        ("DeadLetterAlarm/TreatMissingData", "notBreaching"),
    ),
    rules_hear_this_account_only: (("SegmentSnapshotRule/EventPattern/account", None),),
    schedules_imitate_an_event: (
        ("SegmentSnapshotSchedule/Condition", None),
        ("SegmentSnapshotSchedule/Target/Input", {"Fn::Sub": '{"id":${DomainName}}'}),
        ("SegmentSnapshotSchedule/Target/Input", "{}"),
        ("SegmentSnapshotSchedule/Target/Input/Fn::Sub/1/Role", ""),
        ("SegmentSnapshotSchedule/Target/Input/Fn::Sub/1/Role", '"RoleArn":"",'),
        ("DashboardSnapshotSchedule/Target/Input", {"Fn::Sub": '{"detail":${DashboardSnapshotRequest}}'}),
        ("DashboardSnapshotSchedule/Target/Input", {"Ref": "DashboardSnapshotRequest"}),
        ("SegmentSnapshotRule/EventPattern/detail-type", ["Other Requested"]),
    ),
    buckets_are_closed_and_kept: (
        ("ExportBucket/PublicAccessBlockConfiguration/BlockPublicPolicy", False),
        ("LedgerBucket/VersioningConfiguration", None),
        ("LedgerBucket/BucketEncryption", None),
        ("LedgerBucket/OwnershipControls", None),
        ("LedgerBucket/LifecycleConfiguration/Rules/old-versions/AbortIncompleteMultipartUpload", None),
        ("LedgerBucket/LifecycleConfiguration/Rules/old-versions/ExpirationInDays", 9),
        ("LedgerBucket/LifecycleConfiguration/Rules/verifications/Prefix", "jobs/"),
        ("LedgerBucket/LifecycleConfiguration/Rules/verifications/ExpirationInDays", 7),
        ("LedgerBucket/LifecycleConfiguration/Rules/verifications", None),
        ("LedgerBucket/LifecycleConfiguration/Rules/batch-items/ExpirationInDays", 90),
        ("LedgerBucket/LifecycleConfiguration/Rules/batch-items/Prefix", "batches/"),
        ("LedgerBucket/LifecycleConfiguration/Rules/history/ExpirationInDays", 365),
        ("LedgerBucket/DeletionPolicy", "Delete"),
        ("LedgerBucketPolicy/DeletionPolicy", None),
        ("ExportBucketPolicy/statements/OnlyTls/Effect", "Allow"),
    ),
    buckets_refuse_what_would_forge_a_proof: (
        ("ExportBucketPolicy/statements/OnlySealWritesReceipts/Resource", "x:::x"),
        ("LedgerBucketPolicy/statements/OnlyConditionalWrites/Condition", {"Null": {"s3:if-match": "true"}}),
        ("LedgerBucketPolicy/statements/OnlyConditionalWrites/Condition/Bool", None),
        ("ExportBucketPolicy/statements/LatestMovesKnowingly", None),
        ("ExportBucketPolicy/statements/OnlySealWritesReceipts/Resource/1", None),
        ("ExportBucketPolicy/statements/OnlySealWritesReceipts/Resource/3", None),
        (
            "ExportBucketPolicy/statements/OnlySealWritesReceipts/Condition",
            {"ArnNotEquals": {"aws:PrincipalArn": {"Fn::GetAtt": ["SealReceiptRole", "Arn"]}}},
        ),
        ("SealReceiptRole/Path", {"Fn::Sub": "/landfall/${AWS::StackName}/"}),
        ("VerifyOutputRole/Path", {"Fn::Sub": "/landfall/${AWS::StackName}/seal/"}),
        ("LedgerBucketPolicy/statements/NothingIsDeleted/Action", "s3:DeleteObject"),
        ("SegmentSnapshotPollRole/Path", "/"),
        ("SegmentSnapshotExportRole/Path", {"Fn::Sub": "/landfall/${AWS::StackName}/"}),
    ),
    buckets_let_in_quick_sight_alone: (
        ("ExportBucketPolicy/statements/QuickSightWrites/Condition", None),
        ("ExportBucketPolicy/statements/QuickSightWrites/Action", "s3:*"),
        ("ExportBucketPolicy/statements/QuickSightLooks/Principal", "*"),
        ("ExportBucketPolicy/statements/QuickSightRoleWrites/Condition", None),
        ("ExportBucketPolicy/statements/QuickSightRoleLooks/Resource", {"Fn::GetAtt": ["LedgerBucket", "Arn"]}),
        ("ExportBucketPolicy/PolicyDocument/Statement/4/Fn::If/0", "IsTraced"),
        ("ExportBucketPolicy/PolicyDocument/Statement/6/Fn::If/0", "HasDashboardSnapshots"),
        ("LedgerBucketPolicy/statements/OnlyTls/Effect", "Allow"),
    ),
    kinds_are_deployed_when_they_are_asked_for: (
        ("DashboardSnapshotRule/Condition", "HasSegmentSnapshots"),
        ("EndpointExportAlarm/Condition", None),
        ("EndpointImportRole/Condition", None),
        ("EndpointImportSchedule/Condition", "HasEndpointExportSchedule"),
        ("DashboardSnapshotSchedule/Condition", "HasDashboardSnapshots"),
        ("SegmentSnapshotPollRole/Condition", None),
        ("SegmentSnapshotAlarm/Condition", "IsTraced"),
        ("SegmentSnapshotSchedule/Condition", "HasSegmentSnapshots"),
        ("LedgerBucketPolicy/Condition", "HasSegmentSnapshots"),
        ("SealReceiptRole/ManagedPolicyArns", [{"Ref": "TracingPolicy"}, {"Ref": "SegmentSnapshotPollRole"}]),
    ),
    what_may_be_exported_is_held_by_iam: (
        ("SegmentSnapshotStartRole/statements/NoOtherDomain", None),
        ("SegmentSnapshotPollRole/statements/NoOtherDomain/Effect", "Allow"),
        ("DashboardSnapshotStartRole/statements/NoOtherDashboard/Action/0", None),
        ("DashboardSnapshotPollRole/statements/NoOtherDashboard/NotResource", ["arn:*:quicksight:*:*:dashboard/sales"]),
        ("DashboardSnapshotPollRole/statements/NoOtherDashboard/Condition", {"Bool": {"aws:SecureTransport": "true"}}),
    ),
    one_bus_carries_requests_and_announcements: (
        ("SegmentSnapshotRule/EventBusName", {"Ref": "EventBusName"}),
        ("ExportBatchRule/EventBusName", None),
        ("EventBus/Condition", "HasSenders"),
        ("EventBus/Name", "other"),
        ("AnnouncersPolicy/Statement/Effect", "Allow"),
        ("AnnouncersPolicy/Statement/Condition/ForAnyValue:StringEquals", None),
        ("AnnouncersPolicy/Condition", "HasSenders"),
        ("SendersPolicy/Condition", "MakesEventBus"),
        ("SendersPolicy/StatementId", "OnlyMachinesAnnounce"),
        ("SendersPolicy/Statement/Condition/ArnNotLike/aws:PrincipalArn", {"Ref": "EventBusSenders"}),
        ("EndpointImportStateMachineRole/Path", None),
        ("EndpointImportTriggerRole/Path", {"Fn::Sub": "/landfall-machines/${AWS::StackName}/"}),
        ("DashboardSnapshotStateMachine/DefinitionSubstitutions/EventBusName", "default"),
    ),
    a_bucket_may_be_brought: (
        ("ExportBucket/Condition", None),
        ("ExportBucketPolicy/Condition", None),
        ("VerifyOutputRole/statements/ReadExports/Resource", {"Fn::Sub": "${ExportBucket.Arn}/*"}),
        ("EndpointExportStartFunction/Environment/Variables/LANDFALL_DEFAULT_DESTINATION", {"Fn::Sub": "s3://${ExportBucket}/"}),
        ("BatchPlanRole/statements/ListExports/Resource", {"Fn::Sub": "arn:${AWS::Partition}:s3:::exportbucket"}),
    ),
    a_brought_bucket_is_documented_with_the_policy_of_our_own: (
        ("ExportBucketPolicy/statements/LatestMovesKnowingly", None),
        ("ExportBucketPolicy/statements/OnlySealWritesReceipts/Resource/3", None),
        ("ExportBucketPolicy/statements/ReceiptsAreWrittenOnce/Sid", "Other"),
    ),
    one_key_encrypts_what_is_kept: (
        ("ExportBucket/BucketEncryption/ServerSideEncryptionConfiguration/0/Fn::If/1/BucketKeyEnabled", False),
        (
            "LedgerBucket/BucketEncryption/ServerSideEncryptionConfiguration/0",
            {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}},
        ),
        ("ExportBatchStateMachine/EncryptionConfiguration", None),
        ("SegmentSnapshotStateMachine/EncryptionConfiguration", {"Type": "AWS_OWNED_KEY"}),
        ("SealReceiptLogs/KmsKeyId", None),
        ("EndpointExportStateMachineLogs/KmsKeyId", None),
        ("DeadLetterQueue/KmsMasterKeyId", None),
        ("SegmentSnapshotStartRole/statements/UseStackKey", None),
        ("VerifyOutputRole/statements/UseStackKey/Condition", None),
        ("BatchSummaryRole/statements/UseStackKey/Action", "kms:*"),
        ("SegmentSnapshotExportRole/statements/GrantStackKey/Condition", {}),
        ("EndpointImportRole/statements/UseStackKey/Action", ["kms:Decrypt", "kms:GenerateDataKey"]),
        ("ExportBatchStateMachineRole/statements/EncryptExecutions/Condition", None),
        ("DashboardSnapshotStateMachineRole/statements/EncryptLogs", None),
        ("DashboardSnapshotStateMachineRole/statements/DecryptItems", None),
        ("EndpointImportTriggerRole/statements/EncryptInput/Condition", None),
        ("EndpointImportTriggerRole/statements/EncryptDeadLetters", None),
    ),
    each_kind_is_one_block: (("SealReceiptFunction/Role", {"Fn::GetAtt": ["SegmentSnapshotPollRole", "Arn"]}),),
}
for checked, members in MEMBERS.items():
    for path, value in members:
        breaks(checked)(put(path, value))


@breaks(parameters_agree_with_the_code)
def a_destination_of_dots(template, machine):
    template["Parameters"]["AllowedDestinations"]["AllowedPattern"] = "^(s3://[a-z.-]+/([a-z.]+/)*)?$"


@breaks(parameters_are_documented)
def another_word_for_a_default(template, machine):
    template["Parameters"]["SettleSeconds"]["Default"] = 6


@breaks(parameters_are_documented)
def a_parameter_that_no_page_names(template, machine):
    template["Parameters"]["Color"] = {"Type": "String", "Default": "blue", "Description": "A color."}


@breaks(nothing_is_of_one_partition_alone)
def a_task_of_one_partition(template, machine):
    machine["States"]["Start"]["Resource"] = "arn:aws:states:::lambda:invoke"


@breaks(parameters_agree_with_the_code)
def poll_ranges_overlap(template, machine):
    template["Parameters"]["PollMinSeconds"]["MaxValue"] = 61


@breaks(parameters_agree_with_the_code)
def a_deadline_that_the_code_refuses(template, machine):
    template["Parameters"]["DeadlineSeconds"]["MaxValue"] = 86401


@breaks(parameters_agree_with_the_code)
def another_default(template, machine):
    template["Parameters"]["SettleSeconds"]["Default"] = 6


@breaks(parameters_agree_with_the_code)
def more_places_than_the_code_takes(template, machine):
    template["Parameters"]["DashboardSnapshotMaxRunning"]["MaxValue"] = 501


@breaks(parameters_agree_with_the_code)
def the_line_of_another_kind(template, machine):
    variables = template["Resources"]["EndpointImportStartFunction"]["Properties"]["Environment"]["Variables"]
    variables["LANDFALL_MAX_RUNNING"] = {"Ref": "EndpointExportMaxRunning"}


@breaks(functions_get_the_variables_that_the_code_reads)
def no_ledger(template, machine):
    del template["Globals"]["Function"]["Environment"]["Variables"]["LANDFALL_LEDGER_BUCKET"]


@breaks(what_changes_a_function_publishes_a_version)
def no_versions(template, machine):
    del template["Globals"]["Function"]["AutoPublishAlias"]
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::StepFunctions::StateMachine":
            resource["Properties"]["DefinitionSubstitutions"] = {}


@breaks(what_changes_a_function_publishes_a_version)
def a_setting_that_no_version_tells(template, machine):
    template["Globals"]["Function"]["SourceKMSKeyArn"]["Fn::If"][1]["Fn::Join"][1].remove({"Ref": "SettleSeconds"})


@breaks(functions_are_the_built_binaries)
def another_runtime(template, machine):
    template["Globals"]["Function"]["Runtime"] = "provided.al2"


@breaks(substitutions_are_those_of_the_definition)
def another_variable(template, machine):
    machine["Comment"] = "${Other}"


@breaks(tasks_outlast_their_functions)
def a_short_task(template, machine):
    machine["States"]["Verify"]["TimeoutSeconds"] = 900


@breaks(tasks_outlast_their_functions)
def a_short_batch(template, machine):
    machine["States"]["VerifyBatches"]["ItemProcessor"]["States"]["Batch"]["TimeoutSeconds"] = 900


@breaks_of(machines_may_run_their_maps, BATCH_DEFINITION)
def another_label_of_requests(template, machine):
    machine["States"]["Requests"]["Label"] = "Jobs"


@breaks_of(batches_start_the_kinds_that_are_deployed, BATCH_DEFINITION)
def a_request_that_is_cut_short(template, machine):
    machine["States"]["Requests"]["ItemProcessor"]["States"]["Run"]["TimeoutSeconds"] = 820800


@breaks_of(buckets_are_closed_and_kept, BATCH_DEFINITION)
def a_batch_that_outlives_its_items(template, machine):
    machine["TimeoutSeconds"] = 8640000


@breaks_of(batches_are_deployed_unless_they_are_not_wanted, BATCH_DEFINITION)
def no_batches_by_default(template, machine):
    template["Parameters"]["ExportBatches"]["Default"] = "false"


@breaks(announcements_name_their_execution_once)
def an_execution_named_twice(template, machine):
    machine["States"]["Announce"]["Parameters"]["Entries"][0]["Resources.$"] = "$.announcement.resources"


@breaks_of(machines_may_do_what_they_do, BATCH_DEFINITION)
def another_source(template, machine):
    machine["States"]["Announce"]["Parameters"]["Entries"][0]["Source"] = "other"


@breaks(parameters_agree_with_the_code)
def more_jobs_than_a_map_runs(template, machine):
    template["Parameters"]["BatchConcurrency"]["MaxValue"] = 10001


@breaks(machines_may_run_their_maps)
def another_label(template, machine):
    machine["States"]["VerifyBatches"]["Label"] = "Batches"


@breaks(parameters_agree_with_the_code)
def more_batches_than_a_map_runs(template, machine):
    template["Parameters"]["VerifyConcurrency"]["MaxValue"] = 10001


@breaks(tasks_outlast_their_functions)
def a_start_that_is_cut_short(template, machine):
    machine["States"]["Start"]["TimeoutSeconds"] = 120


@breaks(tasks_outlast_their_functions)
def a_task_without_time_out(template, machine):
    del machine["States"]["Poll"]["TimeoutSeconds"]


@breaks(machine_outlasts_the_longest_job)
def a_short_machine(template, machine):
    machine["TimeoutSeconds"] = 864000


@breaks(machine_outlasts_the_longest_job)
def a_longer_line(template, machine):
    machine["States"]["Start"]["Retry"][0]["MaxAttempts"] = 1000


@breaks(kinds_are_deployed_when_they_are_asked_for)
def an_output_of_nothing(template, machine):
    del template["Outputs"]["SegmentSnapshotStateMachineArn"]["Condition"]


@breaks(kinds_are_deployed_when_they_are_asked_for)
def pinpoint_by_default(template, machine):
    template["Parameters"]["PinpointKinds"]["Default"] = "true"


@breaks(kinds_are_deployed_when_they_are_asked_for)
def another_default_kind(template, machine):
    template["Parameters"]["SegmentSnapshots"]["Default"] = "false"


@breaks(the_template_fits)
def a_parameter_for_everything(template, machine):
    template["Parameters"].update({f"Further{n}": {"Type": "String", "Description": "?"} for n in range(200)})


@breaks(the_template_fits)
def a_template_that_is_too_large(template, machine):
    template["Metadata"]["Text"] = "x" * 1_000_000


@breaks(a_name_is_all_that_a_first_deployment_needs)
def a_question(template, machine):
    del template["Parameters"]["LogRetentionDays"]["Default"]


@breaks(a_name_is_all_that_a_first_deployment_needs)
def a_default_that_is_refused(template, machine):
    template["Parameters"]["DataFormat"]["Default"] = "Parquet"


@breaks(a_name_is_all_that_a_first_deployment_needs)
def a_parameter_in_no_group(template, machine):
    template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"].pop(0)


@breaks(a_name_is_all_that_a_first_deployment_needs)
def a_label_less(template, machine):
    del template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterLabels"]["Tracing"]


@breaks(the_template_fits)
def a_parameter_without_a_word(template, machine):
    del template["Parameters"]["DomainName"]["Description"]


@breaks(parameters_that_contradict_each_other_are_refused)
def a_rule_less(template, machine):
    del template["Rules"]["ScheduleIsWhole"]


@breaks(parameters_that_contradict_each_other_are_refused)
def no_rule_of_destinations(template, machine):
    template["Rules"]["DestinationsAreWhole"]["Assertions"] = []


@breaks(parameters_that_contradict_each_other_are_refused)
def folders_without_their_buckets(template, machine):
    del template["Rules"]["DestinationsAreWhole"]["Assertions"][0]["Assert"]["Fn::Or"][1]["Fn::And"][1]


@breaks(parameters_that_contradict_each_other_are_refused)
def buckets_without_their_folders(template, machine):
    del template["Rules"]["DestinationsAreWhole"]["Assertions"][0]["Assert"]["Fn::Or"][0]["Fn::And"][0]


@breaks(parameters_that_contradict_each_other_are_refused)
def a_rule_for_empty_buckets_of_one_kind(template, machine):
    del template["Rules"]["DestinationsAreWhole"]["Assertions"][0]["Assert"]["Fn::Or"][1]["Fn::And"][3]


@breaks(parameters_that_contradict_each_other_are_refused)
def a_rule_for_empty_folders_of_one_kind(template, machine):
    del template["Rules"]["DestinationsAreWhole"]["Assertions"][0]["Assert"]["Fn::Or"][1]["Fn::And"][2]


@breaks(parameters_that_contradict_each_other_are_refused)
def a_rule_that_takes_no_destinations(template, machine):
    del template["Rules"]["DestinationsAreWhole"]["Assertions"][0]["Assert"]["Fn::Or"][1]


@breaks(what_may_be_exported_is_held_by_iam)
def a_name_with_a_slash(template, machine):
    template["Parameters"]["AllowedDomains"]["AllowedPattern"] = "^[A-Za-z0-9_*/-]{1,64}$"


@breaks(policies_fit_what_the_parameters_take)
def a_name_in_each_place(template, machine):
    statements = into(template["Resources"]["SealReceiptRole"]["Properties"], "statements")
    further = next(s for s in statements if "Fn::If" in s and s["Fn::If"][1]["Sid"] == "SealFurtherDestinations")
    for n in range(3):
        other = copy.deepcopy(further)
        other["Fn::If"][1]["Sid"] = f"Further{n}"
        statements.append(other)


@breaks(policies_fit_what_the_parameters_take)
def a_promise_of_more_names(template, machine):
    template["Parameters"]["AllowedDashboards"]["Description"] = "100 names of 64 characters fit."


@breaks(policies_fit_what_the_parameters_take)
def a_promise_of_more(template, machine):
    template["Parameters"]["AllowedDestinations"]["Description"] = "About 40 folders fit."


@breaks(parameters_that_contradict_each_other_are_refused)
def a_bus_that_is_there_already(template, machine):
    del template["Rules"]["BusIsWhole"]["Assertions"][0]["Assert"]["Fn::Or"][0]["Fn::And"][1]


@breaks(parameters_that_contradict_each_other_are_refused)
def senders_of_another_bus(template, machine):
    del template["Rules"]["BusIsWhole"]["Assertions"][0]["Assert"]["Fn::Or"][1]["Fn::And"][1]


@breaks(parameters_that_contradict_each_other_are_refused)
def an_empty_sender(template, machine):
    del template["Rules"]["BusIsWhole"]["Assertions"][1]


@breaks(parameters_that_contradict_each_other_are_refused)
def an_empty_name(template, machine):
    del template["Rules"]["NamesAreWhole"]["Assertions"][0]["Assert"]["Fn::And"][0]


@breaks(parameters_that_contradict_each_other_are_refused)
def no_name_at_all(template, machine):
    del template["Rules"]["NamesAreWhole"]["Assertions"][0]["Assert"]["Fn::And"][3]


@breaks(parameters_that_contradict_each_other_are_refused)
def a_lenient_rule(template, machine):
    del template["Rules"]["DashboardScheduleIsWhole"]["Assertions"][0]["Assert"]["Fn::And"][1]


@breaks(parameters_that_contradict_each_other_are_refused)
def a_rule_that_refuses_all(template, machine):
    template["Rules"]["ScheduleIsWhole"]["RuleCondition"] = True


@breaks(schedules_imitate_an_event)
def another_time_zone(template, machine):
    template["Resources"]["SegmentSnapshotSchedule"]["Properties"]["ScheduleExpressionTimezone"] = "UTC"


def block_is_not_closed(text):
    return text.replace("# === End of kind: segment-snapshot", "# ")


def block_is_torn(text):
    return text.replace("\n  SegmentSnapshotAlarm:\n", "\n  # === Shared\n\n  SegmentSnapshotAlarm:\n")


TEXT_MUTATIONS = [
    (each_kind_is_one_block.__name__, block_is_not_closed),
    (each_kind_is_one_block.__name__, block_is_torn),
]


def main():
    text = (ROOT / "template.yaml").read_text()
    definitions = {path: (ROOT / path).read_text() for path in (DEFINITION, BATCH_DEFINITION)}
    template = yaml_parse(text)
    failed = passed = 0

    def report(name, problems):
        nonlocal failed, passed
        failed, passed = failed + bool(problems), passed + (not problems)
        for problem in problems:
            print(f"FAILED {name}: {problem}")

    facts = Facts(template, definitions, text)
    for name, function in CHECKS.items():
        report(name, list(dict.fromkeys(function(facts))))

    def notices(name, mutation, broken):
        try:
            problems = list(CHECKS[name](broken()))
        except Exception as error:  # a check that stumbles over what is broken has noticed it, but does not say so
            report(name, [f"stumbled over {mutation}: {error!r}"])
            return
        report(name, [] if problems else [f"did not notice {mutation}"])

    for name, mutate, path in MUTATIONS:

        def broken(mutate=mutate, path=path):
            other, machine = copy.deepcopy(template), json.loads(definitions[path])
            mutate(other, machine)
            return Facts(other, {**definitions, path: json.dumps(machine)}, text)

        notices(name, mutate.__name__, broken)
    for name, mutate in TEXT_MUTATIONS:
        changed = mutate(text)
        assert changed != text, mutate.__name__
        notices(name, mutate.__name__, lambda changed=changed: Facts(yaml_parse(changed), definitions, changed))

    tried = {name for name, *_ in [*MUTATIONS, *TEXT_MUTATIONS]}
    report("every check has a mutation", sorted(set(CHECKS) - tried))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
