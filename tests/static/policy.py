"""Checks what must hold of template.yaml and the state machines besides their validity.

permissions.txt is written from the template and lists what each role may do and what each function gets. A reviewer
sees each change of the template there, line by line (`LANDFALL_UPDATE=1` writes it again). The checks below hold
whatever the lists say, and read names, sizes, variables and limits from the template. access.py and roles.py check what
the permissions mean and whether they are needed. The mutations at the end each break the template or a definition in
one way, and show that the checks notice it. A check without a mutation is an error.
"""

import copy
import fnmatch
import json
import os
import re
import sys
from functools import cached_property
from itertools import product

import tomlkit
from stack import (
    ACCOUNT,
    BATCH_DEFINITION,
    DEFINITION,
    EVERYTHING,
    PSEUDO,
    REGION,
    ROOT,
    STACK,
    Stack,
    definitions,
    Switches,
    expanded,
    listed,
    names_of_kinds,
    read,
    references,
    transformed,
)

PERMISSIONS = ROOT / "tests/static/permissions.txt"
# The role for sessions of registered users of Quick Sight.
SESSION_ROLE = "DashboardSnapshotSessionRole"
# Actions for which AWS knows no resource, so that only "*" can be written.
WITHOUT_RESOURCE = re.compile(r"quicksight:GetIdentityContext|xray:(Put\w+|GetSampling\w+)|logs:(\w+LogDeliver\w+|\w+ResourcePolic\w+|DescribeLogGroups)")


class Kind:
    """A kind of job in the template."""

    def __init__(self, template, name):
        row = template["Mappings"]["Machines"][name]
        self.prefix, self.name, self.api, self.things = name, row["Name"], row["Api"], row["Things"]
        switches = Switches(template, name)
        self.parameter, self.expression, self.request = switches.deploys, switches.schedules, switches.request
        variables = template["Resources"][f"{name}StartFunction"]["Properties"]["Environment"]["Variables"]
        # The list of names that an event may give its resource, such as a domain. No other list belongs to one kind
        # alone.
        own = set(variables) - {"LANDFALL_ALLOWED_ROLES", "LANDFALL_ALLOWED_QUICK_SIGHT_USERS"}
        (self.allowed_variable,) = [key for key in own if key.startswith("LANDFALL_ALLOWED_")] or [None]
        self.allowed = references(variables.get(self.allowed_variable))[0] if self.allowed_variable else None
        self.role = variables.get("LANDFALL_DEFAULT_ROLE_ARN", {}).get("Fn::GetAtt", [None])[0]
        trust = template["Resources"][self.role]["Properties"]["AssumeRolePolicyDocument"] if self.role else {}
        self.service = trust["Statement"][0]["Principal"]["Service"] if self.role else None
        # A kind whose service gets a role that may not write only reads.
        attached = template["Resources"][self.role]["Properties"].get("ManagedPolicyArns", []) if self.role else []
        self.writes = not self.role or {"Ref": "WriterPolicy"} in attached

    def resource(self, suffix):
        return self.prefix + suffix


class Facts:
    """Everything that the checks look at: the template as it is, without its loops, translated, and resolved."""

    def __init__(self, source, template=None, raw=None, parsed=None):
        self.source = source
        self.template = template or expanded(source)
        self.raw = raw or transformed(self.template)
        self.parsed = parsed or definitions()
        # The definition of the kinds, and that of batches.
        self.machine, self.batch = self.parsed[DEFINITION], self.parsed[BATCH_DEFINITION]
        self.kinds = [Kind(self.template, name) for name in names_of_kinds(source)]
        # The parameters that hold the names that an event may use.
        self.names = [kind.allowed for kind in self.kinds if kind.allowed]

    @cached_property
    def plain(self):
        return self.stack({})

    @cached_property
    def full(self):
        return self.stack(EVERYTHING)

    @property
    def stacks(self):
        return self.plain, self.full

    def stack(self, parameters, no_members=("",)):
        return Stack(self.template, self.raw, parameters, no_members)


CHECKS = {}


def check(function):
    """Registers a check, which yields one line for each fault."""
    CHECKS[function.__name__] = function
    return function


# --- Who may do what ------------------------------------------------------------------------------------------------


def statement_line(statement):
    where = "Resource" if "Resource" in statement else "NotResource"
    line = f"{statement['Effect'].lower()} {', '.join(listed(statement['Action']))}"
    if "Principal" in statement:
        line += f" to {json.dumps(statement['Principal'])}"
    if where in statement:
        line += f" on {'all but ' if where == 'NotResource' else ''}{', '.join(listed(statement[where]))}"
    return line + (f" if {json.dumps(statement['Condition'], sort_keys=True)}" if "Condition" in statement else "")


def permissions(facts):
    """What the stack may do if every parameter is given, as lines: by role, and by policy of a resource."""
    stack = facts.full
    for name, statements in sorted(stack.grants().items()):
        role = stack.of("AWS::IAM::Role")[name]
        yield f"{name} {role.get('Path', '/')}"
        yield from (f"  {statement_line(s)}" for s in role["AssumeRolePolicyDocument"]["Statement"])
        yield from sorted(f"  {statement_line(s)}" for s in statements)
    for name, resource in sorted(stack.resources.items()):
        if resource["Type"] in ("AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy", "AWS::Events::EventBusPolicy"):
            properties = resource["Properties"]
            yield name
            found = properties.get("PolicyDocument", properties)["Statement"]
            yield from sorted(f"  {statement_line(s)}" for s in listed(found))
    for name, function in sorted(stack.functions.items()):
        size = f"{function['MemorySize']} MB, {function['Timeout']} s"
        yield f"{name} {size}, reserved {function.get('ReservedConcurrentExecutions', 'none')}"
        yield from (f"  {key}={value}" for key, value in sorted(function["Environment"]["Variables"].items()))


@check
def permissions_match_permissions_txt(facts):
    written = PERMISSIONS.read_text().splitlines()
    found = list(permissions(facts))
    for line in sorted(set(found) - set(written)):
        yield f"permissions.txt lacks {line.strip()}; LANDFALL_UPDATE=1 writes it anew"
    for line in sorted(set(written) - set(found)):
        yield f"permissions.txt has {line.strip()}, the template does not"
    if not set(found) ^ set(written) and found != written:
        yield "permissions.txt has its lines in other places"


@check
def grants_are_narrow(facts):
    for stack in facts.stacks:
        for name, statements in stack.grants().items():
            for statement in statements:
                for action in listed(statement["Action"]):
                    if "*" in action:
                        yield f"{name} may do {action}"
                for resource in listed(statement.get("Resource", "all but some")):
                    everywhere = all(WITHOUT_RESOURCE.fullmatch(action) for action in listed(statement["Action"]))
                    if not resource or (resource == "*" and not everywhere):
                        yield f"{name} may do {statement['Action']} on {resource!r}"
        for name, role in stack.of("AWS::IAM::Role").items():
            for policy in set(role.get("ManagedPolicyArns", [])) - set(stack.of("AWS::IAM::ManagedPolicy")):
                yield f"{name} has the managed policy {policy}"


@check
def no_arn_names_a_fixed_partition(facts):
    """A task of another partition than its execution's ends that execution without a catch, and so without a seal."""
    for path, part in {"template.yaml": facts.raw["Resources"], **facts.parsed}.items():
        text = json.dumps(part)
        if "arn:aws:" in text:
            yield f"{path} has an ARN of the partition aws: write ${{AWS::Partition}}, or ${{Partition}} in a definition"
        if ".*.amazonaws.com" in text:
            yield f"{path} has a service's name of the partition aws: write ${{AWS::URLSuffix}}"
    for name, statements in facts.full.grants().items():
        for statement in statements:
            services = listed(statement.get("Condition", {}).get("StringLike", {}).get("kms:ViaService", []))
            if any(not service.endswith(PSEUDO["AWS::URLSuffix"]) for service in services):
                yield f"{name} names {services}, which no partition has"


@check
def each_role_belongs_to_one_function_or_service(facts):
    """A function's role is its own and only Lambda's. A service acts for this account. Paths show whose role it is."""
    stack = facts.full
    functions = [stack.role_of(function["Role"]) for function in stack.functions.values()]
    machines = [stack.role_of(machine["RoleArn"]) for machine in stack.machines.values()]
    account = f"arn:aws:iam::{ACCOUNT}:role"
    paths = {
        f"{account}/landfall/{STACK}/*": set(functions),
        f"{account}/landfall/*/seal/*": {"SealReceiptRole"},
        f"{account}/landfall-machines/{STACK}/*": set(machines),
        f"{account}/landfall-sessions/{STACK}/*": {SESSION_ROLE},
    }
    # For registered users: only the two functions that make their sessions.
    acting = [stack.attribute(f"DashboardSnapshot{step}Role", "Arn") for step in ("Start", "Poll")]
    trust = stack.of("AWS::IAM::Role")[SESSION_ROLE]["AssumeRolePolicyDocument"]["Statement"]
    if trust != [{"Effect": "Allow", "Principal": {"AWS": acting}, "Action": ["sts:AssumeRole", "sts:SetContext"]}]:
        yield f"{SESSION_ROLE} may be assumed as {trust}"
    for name, role in stack.of("AWS::IAM::Role").items():
        if (functions + machines).count(name) > 1:
            yield f"{name} is shared"
        for statement in role["AssumeRolePolicyDocument"]["Statement"] if name != SESSION_ROLE else ():
            services = listed(statement["Principal"].get("Service", "nobody"))
            if (services == ["lambda.amazonaws.com"]) != (name in functions):
                yield f"{name} may be assumed by {services}"
            condition = statement.get("Condition", {})
            condition = {**condition.get("StringEqualsIfExists", {}), **condition.get("StringEquals", {})}
            if services != ["lambda.amazonaws.com"] and condition.get("aws:SourceAccount") != ACCOUNT:
                yield f"{name} may be assumed by {services} on behalf of any account"
        for path, owners in paths.items():
            if fnmatch.fnmatchcase(stack.attribute(name, "Arn"), path) != (name in owners):
                yield f"{name}: {path} is for {sorted(owners)} alone"
        if role.get("PermissionsBoundary") != EVERYTHING["PermissionsBoundaryArn"]:
            yield f"{name} ignores PermissionsBoundaryArn"
        if {"RoleName", "ManagedPolicyName"} & set(role):
            yield f"{name} has a name, which needs CAPABILITY_NAMED_IAM"
    for name, role in facts.plain.of("AWS::IAM::Role").items():
        if "PermissionsBoundary" in role:
            yield f"{name} has a boundary that nobody asked for"
    for name in {*functions, *machines}:
        if not any("xray:PutTraceSegments" in listed(s["Action"]) for s in stack.grants()[name]):
            yield f"{name} may not trace"


# The trusted objects beside the data: the receipt, its list of objects, the pointer to the newest receipt.
OF_SEAL = ("_receipt.json", "_objects.jsonl", "_manifest.json", "_latest.json")


@check
def only_seal_writes_receipts(facts):
    """Every other role that may write exports is denied the names of a seal, in foreign buckets, too."""
    refusal = {"Effect": "Deny", "Action": "s3:PutObject", "Resource": [f"arn:aws:s3:::*/{file}" for file in OF_SEAL]}
    for stack in facts.stacks:
        functions = {stack.role_of(function["Role"]) for function in stack.functions.values()}
        for name, statements in stack.grants().items():
            outside = [
                resource
                for s in statements
                if s["Effect"] == "Allow" and "s3:PutObject" in listed(s["Action"])
                for resource in listed(s["Resource"])
                if ":::ledgerbucket" not in resource
            ]
            denied = [{key: value for key, value in s.items() if key != "Sid"} for s in statements if s["Effect"] == "Deny"]
            if name == "SealReceiptRole":
                names = {"arn:aws:s3:::ledgerbucket/*", *refusal["Resource"]}
                touches = {"s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"}
                if not any(touches <= set(s["Action"]) and set(s.get("NotResource", [])) == names and len(s) == 3 for s in denied):
                    yield f"{name} may touch more than the ledger and {sorted(names)}"
            elif outside and (name in functions or refusal not in denied):
                yield f"{name} may write receipts beside its data"


@check
def readers_may_list_so_that_an_absent_key_gives_404(facts):
    """Whoever reads objects may list their bucket. Otherwise S3 answers 403 for an absent key.

    This does not apply to the machines, for which any unreadable list of slices is the same error.
    """
    for stack in facts.stacks:
        machines = {stack.role_of(machine["RoleArn"]) for machine in stack.machines.values()}
        for name, statements in stack.grants().items():
            of = lambda action: {  # noqa: E731
                resource.split("/")[0].replace("arn:*:", "arn:aws:")
                for s in statements  # noqa: B023
                if s["Effect"] == "Allow" and action in listed(s["Action"])
                for resource in listed(s["Resource"])
            }
            for bucket in of("s3:GetObject") - of("s3:ListBucket") if name not in machines else ():
                yield f"{name} reads {bucket} without s3:ListBucket"


@check
def bucket_policies_allow_only_quick_sight(facts):
    """And only if its kind is deployed. Everyone else has a role, which says what it may do."""
    role = {"QuickSightRoleArn": EVERYTHING["QuickSightRoleArn"]}
    for parameters, principals in (
        ({}, []),
        (role, []),
        ({"DashboardSnapshots": "true"}, ["Service"]),
        ({"DashboardSnapshots": "true", **role}, ["Service", "AWS"]),
    ):
        stack = facts.stack(parameters)
        allowed = [
            next(iter(s["Principal"]))
            for bucket in ("ExportBucket", "LedgerBucket")
            for s in stack.bucket_statements(bucket)
            if s["Effect"] == "Allow"
        ]
        if allowed != [principal for principal in principals for _ in range(2)]:
            yield f"with {parameters} the buckets let in {allowed}"


@check
def iam_repeats_what_may_be_exported(facts):
    """IAM repeats the patterns of the functions. If everything may be exported, nothing is denied."""
    for stack, is_held in ((facts.plain, False), (facts.full, True)):
        for kind in facts.kinds:
            if not kind.allowed or kind.resource("StartFunction") not in stack.functions:
                continue
            variables = stack.functions[kind.resource("StartFunction")]["Environment"]["Variables"]
            suffixes = ["StartRole", "PollRole"] + ["SessionRole"] * (kind.resource("SessionRole") in stack.grants())
            for suffix in suffixes:
                statements = stack.grants()[kind.resource(suffix)]
                denied = [resource for s in statements if s["Effect"] == "Deny" for resource in s["NotResource"]]
                own = {a for s in statements for a in listed(s["Action"]) if s["Effect"] == "Allow" and a.startswith(f"{kind.api}:")}
                own = {action for action in own if not WITHOUT_RESOURCE.fullmatch(action)}
                refused = {a for s in statements for a in listed(s["Action"]) if s["Effect"] == "Deny" and "Condition" not in s}
                stem = {resource.rpartition("/")[0] for resource in denied}
                names = variables[kind.allowed_variable].split()
                wanted = [f"{name}{beneath}" for beneath in ("", "/*") for name in names] if is_held else []
                if [resource.split("/", 1)[1] for resource in denied] != wanted or (is_held and not own <= refused):
                    yield f"{kind.resource(suffix)} is denied all but {denied} of {stem}"
    for name in facts.names:
        pattern = re.compile(facts.template["Parameters"][name]["AllowedPattern"])
        # What IAM reads differently from the functions: another segment of a path, a single character, a variable.
        taken = [t for t in ("*", "shop", "a*b*", "*-x_1", "", "a/b", "a?", "${aws:username}", "a b", "a,b", "ä") if pattern.fullmatch(t)]
        if taken != ["*", "shop", "a*b*", "*-x_1"]:
            yield f"{name} takes {taken}"


# The most that the parameters promise to accept: see AllowedDestinations, and the parameters for names, such as
# AllowedDomains.
FOLDERS_AT_MOST, PREFIX_AT_MOST = 20, 60
NAMES_AT_MOST, NAME_AT_MOST = 30, 64


@check
def the_longest_parameters_fit_the_quotas_of_policies(facts):
    """The quotas of IAM, which do not count white space, and Lambda's quota of an environment."""
    buckets = [f"{n:02}".ljust(63, "b") for n in range(FOLDERS_AT_MOST)]
    folders = {
        "AllowedDestinations": ",".join(f"s3://{bucket}/{'p' * (PREFIX_AT_MOST - 1)}/" for bucket in buckets),
        "AllowedDestinationBuckets": ",".join(buckets),
    }
    some = ",".join(f"{n:02}".ljust(NAME_AT_MOST, "n") for n in range(NAMES_AT_MOST))
    names = dict.fromkeys(facts.names, some)
    of_folders = f"{FOLDERS_AT_MOST} folders fit, also with buckets of 63 and prefixes of {PREFIX_AT_MOST} characters"
    of_names = f"{NAMES_AT_MOST} names of {NAME_AT_MOST} characters fit"
    promises = {"AllowedDestinations": of_folders, **dict.fromkeys(facts.names, of_names)}
    for name, promise in promises.items():
        if promise not in facts.template["Parameters"][name]["Description"]:
            yield f"{name} does not promise that {promise}"
    compact = lambda document: len(json.dumps(document, separators=(",", ":")))  # noqa: E731
    for most in (folders, names):
        stack = facts.stack({**EVERYTHING, **most})
        if any(len(value) > 4096 for value in most.values()):
            yield "CloudFormation takes no value of more than 4,096 bytes"
        inline = stack.of("AWS::IAM::Policy")
        for name, role in stack.of("AWS::IAM::Role").items():
            own = [policy["PolicyDocument"] for policy in role.get("Policies", [])]
            own += [policy["PolicyDocument"] for policy in inline.values() if name in policy["Roles"]]
            if sum(map(compact, own)) > 10_240:
                yield f"the policies of {name} have {sum(map(compact, own))} characters, IAM takes 10,240"
        for name, policy in stack.of("AWS::IAM::ManagedPolicy").items():
            if compact(policy["PolicyDocument"]) > 6_144:
                yield f"{name} has {compact(policy['PolicyDocument'])} characters, IAM takes 6,144"
        for name, policy in stack.of("AWS::S3::BucketPolicy").items():
            if compact(policy["PolicyDocument"]) > 20_480:
                yield f"{name} is larger than S3 takes"
        for name, function in stack.functions.items():
            if sum(len(key) + len(str(value)) for key, value in function["Environment"]["Variables"].items()) > 4096:
                yield f"the environment of {name} is larger than Lambda takes"


# --- Functions ------------------------------------------------------------------------------------------------------


def kebab(name):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()


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
    for name, function in facts.full.functions.items():
        if (function["Runtime"], function["Handler"]) != ("provided.al2023", "bootstrap"):
            yield f"{name} does not run {function['Handler']} on provided.al2023"


@check
def logs_are_in_two_places_and_hold_no_data(facts):
    stack = facts.full
    for name, group in stack.of("AWS::Logs::LogGroup").items():
        if not group.get("RetentionInDays"):
            yield f"{name} is kept for ever"
    for name, function in stack.functions.items():
        logging = function["LoggingConfig"]
        # Lambda logs its REPORT lines at the level INFO.
        wanted = (stack.ref("FunctionLogs"), "JSON", "INFO")
        if (logging.get("LogGroup"), logging["LogFormat"], logging.get("SystemLogLevel")) != wanted:
            yield f"{name} logs as {logging}"
    if not stack.ref("MachineLogs").startswith("/aws/vendedlogs/states/"):
        yield "the machines do not log beneath /aws/vendedlogs/states/"
    for name, machine in stack.machines.items():
        logging = machine.get("LoggingConfiguration", {})
        groups = [d["CloudWatchLogsLogGroup"]["LogGroupArn"] for d in logging.get("Destinations", [])]
        if logging.get("IncludeExecutionData") is not False or groups != [stack.attribute("MachineLogs", "Arn")]:
            yield f"{name} logs the data of its executions, or elsewhere"
        if machine.get("StateMachineType") != "STANDARD" or machine["TracingConfiguration"]["Enabled"] is not True:
            yield f"{name} is not a traced STANDARD machine"


@check
def functions_get_the_variables_that_the_code_reads(facts):
    config = (ROOT / "shared/src/config.rs").read_text()
    read = set(re.findall(r'"(LANDFALL_[A-Z_]+)"', config.split("#[cfg(test)]")[0]))
    given = {name: set(function["Environment"]["Variables"]) for name, function in facts.full.functions.items()}
    if read ^ set().union(*given.values()):
        yield f"the code reads {sorted(read - set().union(*given.values()))}, and not {sorted(set().union(*given.values()) - read)}"
    # The further variables of a start function, each for the kinds that need it.
    of_all = set.intersection(*given.values())
    if of_all != set(facts.template["Globals"]["Function"]["Environment"]["Variables"]):
        yield f"all functions are told {sorted(of_all)}"
    for kind in facts.kinds:
        own = given[kind.resource("StartFunction")]
        for variable, needed in (
            ("LANDFALL_MAX_RUNNING", True),
            ("LANDFALL_DEFAULT_ROLE_ARN", bool(kind.role)),
            ("LANDFALL_ALLOWED_ROLES", bool(kind.role)),
            ("LANDFALL_DEFAULT_DESTINATION", kind.writes),
        ):
            if (variable in own) != needed:
                yield f"{kind.name} is {'not ' if needed else ''}told {variable}"
    # The start function decides what an event may name. The other steps get the job.
    steps = {kind.resource("StartFunction") for kind in facts.kinds} | {"BatchPlanFunction"}
    for name in set(given) - steps:
        # Each poll checks again for whom a job may act.
        of_users = {"LANDFALL_ALLOWED_QUICK_SIGHT_USERS", "LANDFALL_USER_SESSION_ROLE_ARN"}
        of_users &= given[name.replace("Poll", "Start")] if name.endswith("PollFunction") else set()
        if given[name] - {"LANDFALL_METRICS"} != of_all | of_users:
            yield f"{name} has no use for {sorted(given[name] - of_all)}"


@check
def parameters_agree_with_the_code(facts):
    """A value that the template takes and the code refuses would break every function at its first start."""
    config = (ROOT / "shared/src/config.rs").read_text()
    limits = (ROOT / "shared/src/limits.rs").read_text()
    bounds = {name: int(value.replace("_", "")) for name, value in re.findall(r"(MAX_\w+): u64 = ([0-9_]+);", limits)}
    constant = re.search(r"MAX_DEADLINE_SECONDS: u64 = ([0-9* ]+);", limits)
    calls = re.findall(
        r'(?:seconds|number)\(\s*"(LANDFALL_\w+)",(?:\s*"[^"]*",)?\s*([^,]+),\s*([^,]+),\s*([^,)]+?),?\s*\)', config
    )
    if not constant or len(calls) != 8:
        yield "shared/src/config.rs no longer says the ranges of its seconds as this check reads them"
        return
    bounds["MAX_DEADLINE_SECONDS"] = eval(constant[1], {"__builtins__": {}})
    number = lambda text: eval(text, {"__builtins__": {}}, bounds)  # noqa: E731
    parameters, resources = facts.template["Parameters"], facts.template["Resources"]
    of_all = facts.template["Globals"]["Function"]["Environment"]["Variables"]
    of_plan = resources["BatchPlanFunction"]["Properties"]["Environment"]["Variables"]
    of_kinds = [resources[kind.resource("StartFunction")]["Properties"]["Environment"]["Variables"] for kind in facts.kinds]
    for variable, default, least, most in calls:
        names = [variables[variable]["Ref"] for variables in [of_all, of_plan, *of_kinds] if variable in variables]
        if not names:
            yield f"no parameter sets {variable}"
        for parameter in (parameters[name] | {"name": name} for name in names):
            # A variable that differs by kind has no default of its own.
            if variable in {**of_all, **of_plan} and int(parameter["Default"]) != number(default):
                yield f"{parameter['name']} is {parameter['Default']} by default, in the code {default}"
            if parameter["MinValue"] < number(least) or parameter["MaxValue"] > number(most):
                yield f"{parameter['name']} may be more than {least} to {most}, which the code takes"
    for kind, variables in zip(facts.kinds, of_kinds):
        if variables["LANDFALL_MAX_RUNNING"] != {"Ref": kind.resource("MaxRunning")}:
            yield f"{kind.name} takes its limit from the parameter of another"
    destination = re.compile(parameters["AllowedDestinations"]["AllowedPattern"])
    right = ("", "s3://aaa/", "s3://a.a/x/", "s3://aaa/.x/x..y/")
    wrong = ("s3://aaa", "s3://a..a/", "s3://aaa/../", "s3://aaa/x/./y/", "s3://aaa//", "s3://aaa/*/", "s3://Aaa/")
    if taken := [text for text in right + wrong if destination.fullmatch(text)] != list(right):
        yield f"AllowedDestinations takes {taken}"
    if parameters["PollMinSeconds"]["MaxValue"] > parameters["PollMaxSeconds"]["MinValue"]:
        yield "PollMinSeconds can be larger than PollMaxSeconds"


# The properties of a function that all its versions share.
OF_ALL_VERSIONS = {"Code", "Tags", "ReservedConcurrentExecutions"}


@check
def every_change_of_a_function_publishes_a_version(facts):
    """Only a change of the function does: Lambda publishes no second version of an unchanged function, and the update
    would fail.

    SAM names a version after the function's code and properties. The language extensions fill in the values of
    parameters in resources beforehand, but not in Globals, whose values SAM looks up only in the function's Code.
    """
    for name, resource in facts.raw["Resources"].items():
        if resource["Type"] == "AWS::Lambda::Version" and resource.get("DeletionPolicy") != "Retain":
            yield f"{name} goes with an update, although executions may name it"
    base = {name: str(p["Default"]) for name, p in facts.template["Parameters"].items()} | EVERYTHING
    before, functions = versions(facts, base), facts.stack(base).functions
    if set(before) != set(functions):
        yield f"{sorted(set(functions) - set(before))} have no versions"
        return
    for parameter in facts.template["Parameters"]:
        other = {**base, parameter: another(facts, parameter, base)}
        after, changed = versions(facts, other), facts.stack(other).functions
        for name in set(functions) & set(changed):
            own, now = ({k: v for k, v in f.items() if k not in OF_ALL_VERSIONS} for f in (functions[name], changed[name]))
            if (own != now) != (before[name] != after[name]):
                yield f"{name} has {'the same' if own != now else 'another'} version with another {parameter}"
            if "SourceKMSKeyArn" in changed[name]["Code"]:
                yield f"{name} gets {changed[name]['Code']['SourceKMSKeyArn']!r} for a key"


def versions(facts, parameters):
    """The logical name of the version that SAM makes of each function, after the language extensions have filled in
    values.
    """
    conditions = facts.stack(parameters)

    def put(node):
        if isinstance(node, dict):
            if "Fn::If" in node:
                name, yes, no = node["Fn::If"]
                return put(yes if conditions.condition(name) else no)
            ref = node.get("Ref")
            if ref in facts.template["Parameters"]:
                value = parameters[ref]
                return value.split(",") if facts.template["Parameters"][ref]["Type"] == "CommaDelimitedList" else value
            return {name: put(value) for name, value in node.items()}
        return [put(item) for item in node] if isinstance(node, list) else node

    resources = {n: r for n, r in facts.template["Resources"].items() if r["Type"] == "AWS::Serverless::Function"}
    raw = transformed({**facts.template, "Resources": put(resources), "Outputs": {}}, parameters)
    made = {name: resource for name, resource in raw["Resources"].items() if resource["Type"] == "AWS::Lambda::Version"}
    return {resource["Properties"]["FunctionName"]["Ref"]: name for name, resource in made.items()}


def another(facts, name, base):
    """Another value of a parameter than its current one."""
    parameter = facts.template["Parameters"][name]
    for candidate in [*map(str, parameter.get("AllowedValues", [])), str(parameter["Default"])]:
        if candidate != base[name]:
            return candidate
    return str(int(base[name]) + 1) if base[name].isdigit() else f"{base[name]}x"


@check
def parameters_are_documented_and_have_defaults(facts):
    """Every parameter has a default that the template itself accepts, and a place in the console and the documents."""
    table = (ROOT / "docs/deploy.md").read_text().partition("## Parameters of the stack\n")[2].partition("\n## ")[0]
    documented = dict(re.findall(r"^\| `(\w+)` \| (?:`([^`]*)`)? ?\|", table, re.MULTILINE))
    groups = facts.template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    shown = [name for group in groups for name in group["Parameters"]]
    parameters = facts.template["Parameters"]
    for name in {*shown, *documented, *parameters}:
        if name not in parameters or "Default" not in parameters[name]:
            yield f"{name} is no parameter, or has no default"
            continue
        parameter, default = parameters[name], str(parameters[name]["Default"])
        if documented.get(name) != default:
            yield f"{name} is {default!r} by default, in docs/deploy.md {documented.get(name)!r}"
        is_taken = re.fullmatch(parameter.get("AllowedPattern", r"[\s\S]*"), default)
        is_taken = is_taken and default in map(str, parameter.get("AllowedValues", [default]))
        if parameter["Type"] == "Number":
            is_taken = is_taken and parameter.get("MinValue", 0) <= int(default) <= parameter.get("MaxValue", int(default))
        if not is_taken:
            yield f"{name} does not take its own default"
        if shown.count(name) != 1:
            yield f"{name} is in {shown.count(name)} groups of parameters"
        if not 0 < len(parameter.get("Description", "")) <= 4000:
            yield f"{name} has no description, or one that is too long"
    for what, number, most in (
        ("bytes", len(json.dumps(facts.raw)), 1_000_000),
        ("resources", len(facts.raw["Resources"]), 500),
        ("parameters", len(parameters), 200),
        ("outputs", len(facts.template["Outputs"]), 200),
    ):
        if number > most:
            yield f"the template has {number} {what}, CloudFormation takes {most}"


@check
def samconfig_toml_is_not_committed(facts):
    """`sam deploy --guided` writes its answers into samconfig.toml. The example gives the CLI the options that the
    loops need.
    """
    if "/samconfig.toml" not in (ROOT / ".gitignore").read_text().splitlines():
        yield "samconfig.toml is not ignored"
    example = tomlkit.parse((ROOT / "samconfig.example.toml").read_text())["default"]
    deploy = example["deploy"]["parameters"]
    if "parameter_overrides" in deploy or not deploy.get("resolve_s3"):
        yield "samconfig.example.toml does not deploy with the template's defaults"
    transforms = facts.source["Transform"]
    if transforms != ["AWS::LanguageExtensions", "AWS::Serverless-2016-10-31"]:
        yield f"the transforms are {transforms}; the loops are expanded first"
    if set(deploy.get("capabilities", "").split()) != {"CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"}:
        yield "samconfig.example.toml lacks a capability that roles and transforms need"
    for command in ("build", "deploy", "package", "validate"):
        if example.get(command, {}).get("parameters", {}).get("language_extensions") is not True:
            yield f"samconfig.example.toml does not have `sam {command}` expand the loops"


# --- The state machines ---------------------------------------------------------------------------------------------


def path_of(machine):
    """The path of the definition of a state machine."""
    return machine["DefinitionS3Location"]["Key"]


def own_tasks(definition):
    return {name: state for name, state in definition["States"].items() if state["Type"] == "Task"}


def map_tasks(definition):
    """(map, its tasks) of each map."""
    for name, state in definition["States"].items():
        if state["Type"] == "Map":
            inner = state["ItemProcessor"]["States"]
            yield name, {name: task for name, task in inner.items() if task["Type"] == "Task"}


def tasks(definition):
    """The tasks of a definition itself, and those of its maps."""
    return own_tasks(definition) | {name: task for _, inner in map_tasks(definition) for name, task in inner.items()}


@check
def machines_are_made_of_their_definitions(facts):
    """Each machine gets what its definition names, and versions of functions that end before their task does.

    Otherwise a task would be retried while its function still works.
    """
    functions, versions = facts.full.functions, facts.full.of("AWS::Lambda::Version")
    by_arn = {facts.full.ref(name): version["FunctionName"] for name, version in versions.items()}
    for name, machine in facts.full.machines.items():
        definition = BATCH_DEFINITION if name == "ExportBatchStateMachine" else DEFINITION
        if path_of(machine) != definition:
            yield f"{name} is not made of {definition}"
        used, given = set(re.findall(r"\$\{(\w+)\}", json.dumps(facts.parsed[definition]))), machine["DefinitionSubstitutions"]
        if set(given) != used:
            yield f"{name} substitutes {sorted(given)}, the definition has {sorted(used)}"
        if machine["DefinitionSubstitutions"].get("EventBusName") != EVERYTHING["EventBusName"]:
            yield f"{name} announces on another bus"
        for state, task in tasks(facts.parsed[definition]).items():
            variable = re.fullmatch(r"\$\{(\w+)\}", task["Parameters"].get("FunctionName", ""))
            function = by_arn.get(given.get(variable[1])) if variable else None
            if variable and function is None:
                yield f"{name}: the state {state} invokes no version of a function of the template"
            elif variable and task.get("TimeoutSeconds", 0) <= functions[function]["Timeout"]:
                yield f"{name}: the state {state} ends before {function}"
            # The integration with EventBridge adds the execution and the state machine to the resources of each entry.
            for entry in task["Parameters"].get("Entries", []):
                if any(member.startswith("Resources") for member in entry):
                    yield f"{definition}: {state} names resources, beside those that Step Functions adds"
        for state in facts.parsed[definition]["States"].values():
            if state["Type"] == "Map" and not re.fullmatch(r"[A-Za-z0-9]{1,40}", state["Label"]):
                yield f"{state['Label']!r} is no label that stands in an ARN as it is"
            arn = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:{machine['StateMachineName']}/{state.get('Label')}:*"
            role = facts.full.grants()[facts.full.role_of(machine["RoleArn"])]
            if state["Type"] == "Map" and not any(arn in listed(s.get("Resource", [])) for s in role):
                yield f"{name} may not follow its map {state['Label']}"


# Errors that end a task at its time-out or at the function's. Every other error is an answer and comes sooner.
ENDED = {"States.Timeout", "Sandbox.Timedout"}
ANSWERED_WITHIN = 60


def pauses(retrier):
    """The longest pause before each retry."""
    rate, most = retrier.get("BackoffRate", 2), retrier.get("MaxDelaySeconds", 31622400)
    return [min(retrier["IntervalSeconds"] * rate**n, most) for n in range(retrier["MaxAttempts"])]


def longest(task):
    """The seconds of a task that meets every error as often as it is retried."""
    seconds = task["TimeoutSeconds"]
    for retrier in task.get("Retry", []):
        each = task["TimeoutSeconds"] if ENDED & set(retrier["ErrorEquals"]) else ANSWERED_WITHIN
        seconds += sum(pause + each for pause in pauses(retrier))
    return seconds


@check
def machine_outlasts_the_longest_job(facts):
    """Nothing catches a machine's time-out: the job would end unsealed.

    The deadline counts from the first claim, so waiting in Start counts towards it, but what comes after it does not.
    """
    source = (ROOT / "shared/src/slices.rs").read_text()
    found = re.findall(r"pub const (\w+): u\d+ = ([0-9_* <]+);", source)
    bounds = {name: eval(value, {"__builtins__": {}}) for name, value in found}
    seconds = {name: longest(task) for name, task in own_tasks(facts.machine).items()}
    worst = max(facts.template["Parameters"]["DeadlineSeconds"]["MaxValue"], seconds.pop("Start")) + sum(seconds.values())
    # Each round of slices ends in Verify. One round may still be at work when their time is up.
    worst += bounds["MAX_SECONDS"] + (bounds["MAX_ROUNDS"] + bounds["MAX_REPEATS"]) * seconds["Verify"]
    worst += sum(longest(task) for _, inner in map_tasks(facts.machine) for task in inner.values())
    if worst >= facts.machine.get("TimeoutSeconds", 0):
        yield f"a job may take {worst:.0f} s, the machine ends after {facts.machine.get('TimeoutSeconds')} s"
    run = facts.batch["States"]["Requests"]["ItemProcessor"]["States"]["Run"]
    if run.get("TimeoutSeconds", 0) <= facts.machine["TimeoutSeconds"]:
        yield "a request of a batch ends before the execution that it waits for"


@check
def batches_start_the_kinds_that_are_deployed(facts):
    """The plan knows the same machines that the machine of batches may start and follow."""
    states = f"arn:aws:states:{REGION}:{ACCOUNT}"
    parameters = sorted({kind.parameter for kind in facts.kinds})
    for choice in product(("true", "false"), repeat=len(parameters)):
        chosen = dict(zip(parameters, choice))
        stack = facts.stack(chosen)
        kinds = [kind.name for kind in facts.kinds if chosen[kind.parameter] == "true"]
        told = stack.functions["BatchPlanFunction"]["Environment"]["Variables"]["LANDFALL_MACHINES"].split()
        if sorted(told) != sorted(f"{kind}={states}:stateMachine:{STACK}-{kind}" for kind in kinds):
            yield f"with {chosen} the plan knows {told}"
        for action, kind_of_arn, end in (("states:StartExecution", "stateMachine", ""), ("states:StopExecution", "execution", ":*")):
            wanted = {f"{states}:{kind_of_arn}:{STACK}-{name}{end}" for name in ("export-batch", *kinds)}
            granted = {
                resource
                for s in stack.grants()["ExportBatchStateMachineRole"]
                if action in listed(s["Action"])
                for resource in listed(s["Resource"])
            }
            if {arn for arn in granted if "/" not in arn} != wanted:
                yield f"with {chosen} batches may do {action} on {sorted(granted)}"
        if not {f"{STACK}-{kind}" for kind in kinds} <= {m["StateMachineName"] for m in stack.machines.values()}:
            yield f"with {chosen} the machines have other names"


# --- Alarms ---------------------------------------------------------------------------------------------------------


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
def alarms_notify_the_topic_once(facts):
    """No alarm repeats itself or reports that it is over."""
    page = (ROOT / "docs/operations.md").read_text()
    for name, alarm in facts.full.of("AWS::CloudWatch::Alarm").items():
        if alarm.get("AlarmActions") != [EVERYTHING["AlarmTopicArn"]] or "OKActions" in alarm:
            yield f"{name} tells nobody, or that it is over"
        section = re.search(r'See docs/operations.md, "(.*)"\.', alarm["AlarmDescription"])
        if not section or f"# {section[1]}\n" not in page:
            yield f"{name} leads to no section of docs/operations.md"


@check
def failures_and_long_throttling_raise_an_alarm(facts):
    """An execution without success, or a function that is throttled for long: calls are retried for half an hour."""
    failed, throttled = {}, set()
    for name, alarm in facts.full.of("AWS::CloudWatch::Alarm").items():
        periods, least = alarm["EvaluationPeriods"], alarm.get("DatapointsToAlarm", 0)
        for machine, metrics in watched(alarm, "AWS/States", "StateMachineArn").items():
            failed.setdefault(machine, set()).update(metrics)
            # A metric that is filled with 0 looks like a period without failures until its counts arrive.
            if (periods, least) != (3, 1):
                yield f"{name} misses what is reported late"
        if functions := watched(alarm, "AWS/Lambda", "FunctionName"):
            throttled |= {function for function, metrics in functions.items() if metrics == {"Throttles"}}
            if periods * alarm["Metrics"][1]["MetricStat"]["Period"] < 3600 or not 1 < least < periods:
                yield f"{name} rings for one burst, or forgets between two tries"
    for name in facts.full.machines:
        wanted = {"ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted"}
        if missing := wanted - failed.get(facts.full.ref(name), set()):
            yield f"{name}: nothing watches {sorted(missing)}"
    for name in sorted({facts.full.ref(name) for name in facts.full.functions} - throttled):
        yield f"nothing watches whether {name} is throttled"


@check
def jobs_that_wait_long_for_a_slot_raise_an_alarm(facts):
    """The start function logs which part of its time a job has waited. The template counts the same member."""
    source = (ROOT / "shared/src/queue.rs").read_text()
    filters = facts.full.of("AWS::Logs::MetricFilter")
    counted = {}
    for each in [filters["LineMetric"]]:
        (transformation,) = each["MetricTransformations"]
        member = re.fullmatch(r"\$\.fields\.(\w+)", transformation["MetricValue"])
        dimensions = {d["Key"]: d["Value"] for d in transformation.get("Dimensions", [])}
        if not member or f"{member[1]} = " not in source or each["FilterPattern"] != f"{{ $.fields.{member[1]} >= 0 }}":
            yield f"{transformation['MetricValue']} is not what shared/src/queue.rs logs"
        if dimensions != {"kind": "$.fields.kind"} or "kind = %entry.kind" not in source:
            yield "the kinds share one count"
        if each["LogGroupName"] != facts.full.ref("FunctionLogs"):
            yield "the line is counted in another log"
        counted = transformation
    longest_pause = max(retrier.get("MaxDelaySeconds", 0) for retrier in facts.machine["States"]["Start"]["Retry"])
    for kind in facts.kinds:
        alarm = facts.full.of("AWS::CloudWatch::Alarm")[kind.resource("LineAlarm")]
        metric = alarm.get("Namespace"), alarm.get("MetricName"), alarm.get("Dimensions")
        if metric != (counted["MetricNamespace"], counted["MetricName"], [{"Name": "kind", "Value": kind.name}]):
            yield f"nothing watches how long jobs of {kind.name} stand in line"
        rings = alarm["Statistic"], alarm["Threshold"], alarm["ComparisonOperator"]
        if rings != ("Maximum", 50, "GreaterThanOrEqualToThreshold"):
            yield f"{kind.name}: no alarm rings when the oldest job has used half of its time"
        # A job may pause between two tries as long as the retriers of its state say.
        if alarm["Period"] < 2 * longest_pause:
            yield f"{kind.name}: the alarm of the line goes off and on between two looks of one job"


@check
def metrics_and_queries_use_logged_members(facts):
    """Metrics are made from members that the steps log, and the saved query shows fields that lines have."""
    steps = "".join((ROOT / "shared/src" / name).read_text() for name in ("queue.rs", "start.rs", "poll.rs"))
    span = (ROOT / "shared/src/span.rs").read_text()
    for name, each in facts.full.of("AWS::Logs::MetricFilter").items():
        (transformation,) = each["MetricTransformations"]
        member = transformation["MetricValue"].removeprefix("$.fields.")
        if f"{member} = " not in steps or each["FilterPattern"] != f"{{ $.fields.{member} >= 0 }}":
            yield f"{name}: no step logs {member}"
        (dimension,) = transformation.get("Dimensions", [{"Key": "", "Value": ""}])
        if dimension["Key"] != "kind" or dimension["Value"] not in ("$.span.kind", "$.fields.kind"):
            yield f"{name}: the kinds share one count"
        if each["LogGroupName"] != facts.full.ref("FunctionLogs"):
            yield f"{name} is counted in another log"
    query = facts.full.of("AWS::Logs::QueryDefinition")["JobQuery"]
    if query["LogGroupNames"] != [facts.full.ref("FunctionLogs")]:
        yield "the query looks into another log"
    logging = "".join(path.read_text() for path in (ROOT / "shared/src").glob("**/*.rs"))
    for where, field in re.findall(r"\b(span|fields)\.(\w+)", query["QueryString"]):
        if field != "message" and not re.search(rf"\b{field}( =|,)", span if where == "span" else logging):
            yield f"the query shows {where}.{field}, which no line has"
    if "span.job_key = " not in query["QueryString"]:
        yield "the query looks for no job"


@check
def stalled_jobs_raise_an_alarm(facts):
    entry = facts.machine["States"]["Stalled"]["Parameters"]["Entries"][0]
    for bus in ("default", "shop"):
        stack = facts.stack({**EVERYTHING, "EventBusName": bus})
        pattern = stack.of("AWS::Events::Rule")["StalledJobRule"]
        told = {"account": [ACCOUNT], "source": [entry["Source"]], "detail-type": [entry["DetailType"]]}
        if pattern["EventPattern"] != told or pattern["EventBusName"] != bus:
            yield "StalledJobRule does not hear what the state Stalled announces"
        # AWS/Events names the rules of the default bus, and those of any other.
        counted = {"RuleName": "StalledJobRule"} if bus == "default" else {"RuleName": "StalledJobRule", "EventBusName": bus}
        alarm = stack.of("AWS::CloudWatch::Alarm")["StalledJobAlarm"]
        seen = [
            metric["Id"]
            for metric in alarm["Metrics"][1:]
            if (stat := metric["MetricStat"])["Metric"]["MetricName"] == "MatchedEvents"
            and (stat["Metric"]["Namespace"], stat["Stat"]) == ("AWS/Events", "Sum")
            and {d["Name"]: d["Value"] for d in stat["Metric"]["Dimensions"]} == counted
        ]
        if len(seen) != 1 or f"FILL({seen[0]}, 0)" not in alarm["Metrics"][0]["Expression"] or alarm["Threshold"] != 0:
            yield f"no alarm counts the stalled jobs of the bus {bus}"


def rings(alarm, values):
    """Whether an alarm rings after each period of a stream of sums, as CloudWatch documents it: "M out of N" periods.

    None stands for a period without data. Periods before the stream have no data, either.
    """
    compare = {"LessThanThreshold": float.__lt__, "GreaterThanThreshold": float.__gt__}[alarm["ComparisonOperator"]]
    periods, missing = int(alarm["EvaluationPeriods"]), alarm["TreatMissingData"] == "breaching"
    breaching = [missing] * periods
    for value in values:
        breaching.append(missing if value is None else compare(float(value), float(alarm["Threshold"])))
        yield sum(breaching[-periods:]) >= int(alarm.get("DatapointsToAlarm", periods))


@check
def a_missing_export_raises_an_alarm(facts):
    """One alarm for each schedule and each expected name, from the hour in which the last success is too old."""
    alarms, hours = facts.full.of("AWS::CloudWatch::Alarm"), int(EVERYTHING["ScheduleAlarmHours"])
    expected = {"schedule": {f"{kind.prefix}Schedule": hours for kind in facts.kinds}}
    expected["name"] = {name: int(within) for name, _, within in (e.partition("=") for e in EVERYTHING["ExpectedExports"].split(","))}
    for dimension, names in expected.items():
        for name, within in names.items():
            found = [a for a in alarms.values() if a.get("Dimensions") == [{"Name": dimension, "Value": name}]]
            metric = [(a["Namespace"], a["MetricName"], a["Statistic"], a["Period"]) for a in found]
            if metric != [(f"Landfall/{STACK}", "Succeeded", "Sum", 3600)]:
                yield f"nothing watches that {name} succeeds: {metric}"
                continue
            # A success each day in the first hour, a failure in between, and then no more success.
            day = [1, *[None] * 11, 0, *[None] * 11]
            states = list(rings(found[0], [*day, *day, *[None] * 240]))
            first = states.index(True) if True in states else None
            # The last success is in hour 24. For `within` whole hours after it there is none.
            if first != 24 + within or not all(states[24 + within :]):
                yield f"{name} rings in hour {first}, not {24 + within}"
    if any(name.startswith(("Watches", "Expected")) for name in facts.plain.made):
        yield "an alarm rings for exports that nobody expects"


@check
def a_failure_names_its_job(facts):
    """The message of a failed job is a JSON text made from members of the announcement, with a command to type."""
    (target,) = facts.full.of("AWS::Events::Rule")["FailedJobRule"]["Targets"]
    if target["Arn"] != EVERYTHING["AlarmTopicArn"] or "FailedJobRule" in facts.plain.made:
        yield f"the failure is told to {target['Arn']}, or without a topic"
    announced = (ROOT / "functions/output/src").rglob("*.rs")
    source = "".join(path.read_text() for path in announced)
    detail = source[source.index("detail: json!({") :].partition("})")[0]
    text = target["InputTransformer"]["InputTemplate"]
    for name, path in target["InputTransformer"]["InputPathsMap"].items():
        member = path.removeprefix("$.detail.").split(".")[0]
        if f'"{member}":' not in detail or f"<{name}>" not in text:
            yield f"{path} is no member of the announcement, or is not told"
        text = text.replace(f"<{name}>", "x")
    if not text.startswith('"') or "<" in text or f"landfall show x --stack {STACK} --region {REGION}" not in json.loads(text):
        yield f"the message is {text}"


# --- Triggers -------------------------------------------------------------------------------------------------------


def targets(stack):
    for name, rule in stack.of("AWS::Events::Rule").items():
        for target in rule.get("Targets", []):
            yield name, target
    for name, schedule in stack.of("AWS::Scheduler::Schedule").items():
        yield name, schedule["Target"]


@check
def triggers_are_delivered_or_kept(facts):
    for stack, bus in ((facts.plain, "default"), (facts.full, EVERYTHING["EventBusName"])):
        for name, rule in stack.of("AWS::Events::Rule").items():
            if rule["EventPattern"].get("account") != [ACCOUNT] or not rule["EventPattern"].get("detail-type"):
                yield f"{name} hears other accounts, or every event"
            if rule.get("EventBusName") != bus:
                yield f"{name} hears {rule.get('EventBusName')}, not {bus}"
    queue, found = facts.full.attribute("DeadLetterQueue", "Arn"), set()
    machines = {facts.full.ref(name) for name in facts.full.machines}
    for name, target in targets(facts.full):
        found.add(target["Arn"])
        if target.get("DeadLetterConfig") != {"Arn": queue}:
            yield f"{name} drops what it cannot deliver"
        retry = target.get("RetryPolicy", {})
        if not (retry.get("MaximumRetryAttempts", 0) > 0 and retry.get("MaximumEventAgeInSeconds", 0) >= 3600):
            yield f"{name} leaves its retries to a default that is not documented"
        if target["Arn"] in machines:
            starts = [s for s in facts.full.grants()[facts.full.role_of(target["RoleArn"])] if s["Action"] == "states:StartExecution"]
            if [s["Resource"] for s in starts] != [target["Arn"]]:
                yield f"{name} may not start just its own machine"
    for name in facts.full.machines:
        if facts.full.ref(name) not in found:
            yield f"nothing starts {name}"
    own = facts.full.of("AWS::SQS::Queue")["DeadLetterQueue"]
    if own.get("MessageRetentionPeriod") != 1209600:
        yield "the dead-letter queue keeps less than 14 days"
    rings = facts.full.of("AWS::CloudWatch::Alarm")["DeadLetterAlarm"]
    # SQS reports nothing for a queue that was not used for six hours.
    if (rings["MetricName"], rings["Threshold"], rings["TreatMissingData"]) != ("ApproximateNumberOfMessagesVisible", 0, "ignore"):
        yield "nothing watches the dead-letter queue for as long as a message lies in it"


# For the kind whose request is made from parameters. Each other kind has one parameter with its whole request.
REQUESTS = {
    "segment-snapshot": {
        "DomainName": "shop",
        "SegmentDefinitionName": "buyers",
        "DataFormat": "CSV",
        "RoleArn": EVERYTHING["SegmentSnapshotRoleArn"],
        "Landfall": {"Name": "nightly"},
    },
}


@check
def schedules_imitate_an_event(facts):
    rules = facts.full.of("AWS::Events::Rule")
    for kind in facts.kinds:
        schedule = facts.full.of("AWS::Scheduler::Schedule").get(kind.resource("Schedule"))
        if not schedule:
            yield f"{kind.name} has no schedule"
            continue
        if schedule["ScheduleExpressionTimezone"] != EVERYTHING["ScheduleExpressionTimezone"]:
            yield f"{kind.name} ignores the time zone"
        wanted = {
            "version": "0",
            "id": "<aws.scheduler.execution-id>",
            "detail-type": rules[kind.resource("Rule")]["EventPattern"]["detail-type"][0],
            "source": "landfall.scheduler",
            "account": ACCOUNT,
            "time": "<aws.scheduler.scheduled-time>",
            "region": REGION,
            "resources": ["<aws.scheduler.schedule-arn>"],
            "detail": json.loads(EVERYTHING[kind.request]) if kind.request else REQUESTS[kind.name],
        }
        try:
            event = json.loads(schedule["Target"]["Input"])
        except json.JSONDecodeError as error:
            yield f"{kind.name}: Input is no JSON: {error}"
            continue
        if event != wanted:
            yield f"{kind.name} is scheduled with {event}, not {wanted}"
    without = facts.stack({**EVERYTHING, "SegmentSnapshotRoleArn": ""}).of("AWS::Scheduler::Schedule")
    if "RoleArn" in without.get("SegmentSnapshotSchedule", {}).get("Target", {}).get("Input", ""):
        yield "a schedule names a role that nobody gave"


# --- Buckets and keys -----------------------------------------------------------------------------------------------


@check
def buckets_are_closed_and_kept(facts):
    for name in ("ExportBucket", "LedgerBucket"):
        bucket = facts.full.of("AWS::S3::Bucket")[name]
        if list(bucket.get("PublicAccessBlockConfiguration", {}).values()) != [True] * 4:
            yield f"{name} does not block public access"
        if bucket.get("VersioningConfiguration") != {"Status": "Enabled"}:
            yield f"{name} is not versioned"
        if bucket.get("OwnershipControls") != {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}:
            yield f"{name} can hold objects of other accounts"
        for kept in (name, f"{name}Policy", "DeadLetterQueue"):
            made = facts.full.resources[kept]
            if (made.get("DeletionPolicy"), made.get("UpdateReplacePolicy")) != ("RetainExceptOnCreate", "Retain"):
                yield f"{kept} goes with the stack, or stays behind one that was never made"
        rules = bucket.get("LifecycleConfiguration", {}).get("Rules", [])
        for member in ("NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload"):
            if not any(member in rule for rule in rules):
                yield f"{name} has no {member}"
        arn = facts.full.attribute(name, "Arn")
        tls = {"Effect": "Deny", "Action": "s3:*", "Principal": "*", "Resource": [arn, f"{arn}/*"]}
        tls["Condition"] = {"Bool": {"aws:SecureTransport": "false"}}
        if not any({**s, "Sid": None} == {**tls, "Sid": None} for s in facts.full.bucket_statements(name)):
            yield f"{name} can be reached without TLS"
    of_ledger = {"verifications/": facts.machine, "batch-items/": facts.batch, "starts/": facts.machine, "history/": None}
    for stack, name, wanted in (
        (facts.plain, "ExportBucket", []),
        (facts.plain, "LedgerBucket", list(of_ledger)),
        (facts.full, "LedgerBucket", list(of_ledger)),
    ):
        rules = stack.of("AWS::S3::Bucket")[name]["LifecycleConfiguration"]["Rules"]
        expiring = {rule.get("Prefix"): rule["ExpirationInDays"] for rule in rules if "ExpirationInDays" in rule}
        if list(expiring) != wanted:
            yield f"current versions of {name} expire that nobody asked to expire, or too few: {expiring}"
        for prefix, days in expiring.items():
            machine = of_ledger.get(prefix)
            # The history of a request is kept even if it is made only once a year.
            if days * 86400 <= (machine["TimeoutSeconds"] if machine else 366 * 86400):
                yield f"{prefix} in {name} expires while it is of use"


@check
def an_existing_bucket_may_be_used(facts):
    """It replaces the stack's own bucket everywhere. Its policy is not ours to write, and is documented."""
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
    page = (ROOT / "docs/deploy.md").read_text()
    section = page.partition("### A bucket of your own\n")[2].partition("\n#")[0]
    lines = [line for line in section.splitlines() if line.startswith("    ")]
    text = "\n".join(lines).replace("BUCKET", "exportbucket").replace("ACCOUNT", ACCOUNT)
    documented = {statement["Sid"]: statement for statement in json.loads(f"[{text}]")}
    own = {s["Sid"]: s for s in facts.plain.bucket_statements("ExportBucket") if s["Sid"] != "OnlyTls"}
    for sid in sorted({*documented, *own}):
        if documented.get(sid) != own.get(sid):
            yield f"docs/deploy.md has {documented.get(sid)}, the template {own.get(sid)}"


@check
def one_key_encrypts_everything_stored(facts):
    for stack, key in ((facts.plain, None), (facts.full, EVERYTHING["KmsKeyArn"])):
        for name, bucket in stack.of("AWS::S3::Bucket").items():
            (rule,) = bucket.get("BucketEncryption", {}).get("ServerSideEncryptionConfiguration", [{}])
            by = rule.get("ServerSideEncryptionByDefault", {})
            if (by.get("SSEAlgorithm"), by.get("KMSMasterKeyID")) != ("aws:kms" if key else "AES256", key):
                yield f"{name} is encrypted with {by}"
            if key and rule.get("BucketKeyEnabled") is not True:
                yield f"{name} asks the key for each object"
        for name, machine in stack.machines.items():
            by = machine.get("EncryptionConfiguration", {})
            if (by.get("Type"), by.get("KmsKeyId")) != ("CUSTOMER_MANAGED_KMS_KEY" if key else "AWS_OWNED_KEY", key):
                yield f"{name} is encrypted with {by}"
        for name, group in stack.of("AWS::Logs::LogGroup").items():
            if group.get("KmsKeyId") != key:
                yield f"{name} is encrypted with {group.get('KmsKeyId')}"
        queue = stack.of("AWS::SQS::Queue")["DeadLetterQueue"]
        if (queue.get("KmsMasterKeyId"), queue["SqsManagedSseEnabled"]) != (key, not key):
            yield f"the dead-letter queue is encrypted with {queue.get('KmsMasterKeyId')}"


# --- What is deployed -----------------------------------------------------------------------------------------------

OF_OWN_BUS = {"EventBus", "AnnouncersPolicy", "SendersPolicy"}
UNLESS_ASKED = {*OF_OWN_BUS, "WriterPolicy", "FailedJobRule", "FailedJobRole", "Overview"}


def owner(facts, name):
    """The owner of a resource: a kind, the batches, or None if it is shared."""
    prefixes = {kind.prefix: kind.prefix for kind in facts.kinds} | {"ExportBatch": "ExportBatch", "Batch": "ExportBatch"}
    return next((owner for prefix, owner in prefixes.items() if name.startswith(prefix)), None)


@check
def kinds_are_deployed_only_if_asked_for(facts):
    """And for every choice, nothing refers to a resource that is not made."""
    parameters = {kind.prefix: kind.parameter for kind in facts.kinds} | {"ExportBatch": "ExportBatches"}
    switches = sorted(set(parameters.values()))
    owners = {name: owner(facts, name) for name in facts.template["Resources"]}
    optional = {name for name in owners if name.endswith(("Schedule", "DenyPolicy", "SessionRole", "UsersPolicy"))}
    unless_asked = UNLESS_ASKED | {name for name in owners if name.startswith(("Expected", "Watches"))}
    for base, choice in product(({}, EVERYTHING), product(("true", "false"), repeat=len(switches))):
        chosen = dict(zip(switches, choice))
        stack = facts.stack({**base, **chosen})
        for name in sorted(stack.dangling):
            yield f"something refers to {name}, which {chosen} does not make"
        wanted = {name for name, of in owners.items() if of is None or chosen[parameters[of]] == "true"} - unless_asked
        wanted -= set() if base else optional
        if stack.made & set(owners) - unless_asked != wanted:
            yield f"{chosen} makes {sorted((stack.made & set(owners) - unless_asked) ^ wanted)} too much or too little"
        shown = {owner(facts, name) for name in stack.outputs} - {None}
        if shown != {of for of, parameter in parameters.items() if chosen[parameter] == "true"}:
            yield f"{chosen} shows {sorted(shown)}"
    for stack, made in ((facts.plain, set()), (facts.full, OF_OWN_BUS), (facts.stack({**EVERYTHING, "EventBusSenders": ""}), OF_OWN_BUS - {"SendersPolicy"})):
        if OF_OWN_BUS & stack.made != made:
            yield f"of a bus there is {sorted(OF_OWN_BUS & stack.made)}, not {sorted(made)}"
    for kind in facts.kinds:
        without = {**EVERYTHING, kind.expression: ""}
        missing = set(facts.full.of("AWS::Scheduler::Schedule")) - set(facts.stack(without).of("AWS::Scheduler::Schedule"))
        if missing != {kind.resource("Schedule")}:
            yield f"without the schedule of {kind.name} there is no {sorted(missing)}"
    defaults = {of for of, parameter in parameters.items() if facts.template["Parameters"][parameter]["Default"] == "true"}
    if defaults != {"SegmentSnapshot", "ExportBatch"}:
        yield f"without parameters {sorted(defaults)} are deployed"
    reserved = {name for name, function in facts.full.functions.items() if "ReservedConcurrentExecutions" in function}
    # A new account may have too little concurrency to reserve any.
    if reserved != {*(kind.resource("PollFunction") for kind in facts.kinds), "SealReceiptFunction"} or any(
        "ReservedConcurrentExecutions" in function for function in facts.plain.functions.values()
    ):
        yield f"concurrency is reserved for {sorted(reserved)}, or although nobody asked for it"


@check
def shared_resources_refer_to_no_kind(facts):
    """So a new kind needs only a row and a block. A policy may name the roles that it is attached to."""
    for name, resource in facts.template["Resources"].items():
        for other in references({k: v for k, v in resource["Properties"].items() if k != "Roles"}):
            if owner(facts, other) not in (None, owner(facts, name)) and other in facts.template["Resources"]:
                if not name.endswith(("ThrottleAlarm", "StateMachineRole", "Overview")) and not name.startswith("Watches"):
                    yield f"{name} refers to {other}"
        if name.endswith("StateMachineRole") and name.removesuffix("Role") in references(resource):
            yield f"{name} refers to its machine, which refers to it"


FOLDERS, FOLDER_BUCKETS = EVERYTHING["AllowedDestinations"], EVERYTHING["AllowedDestinationBuckets"]
SEGMENT_SCHEDULE = {"ScheduleExpression": "rate(1 day)", "DomainName": "shop", "SegmentDefinitionName": "buyers"}
OWN_BUS = {"CreateEventBus": "true", "EventBusName": "exports", "EventBusSenders": EVERYTHING["EventBusSenders"]}
HALVES = [
    *(
        ({"AllowedDestinations": folders, "AllowedDestinationBuckets": buckets}, "DestinationsAreWhole")
        for folders, buckets in (
            (FOLDERS, ""),
            ("", FOLDER_BUCKETS),
            (f"{FOLDERS},", FOLDER_BUCKETS),
            (f",{FOLDERS}", FOLDER_BUCKETS),
            (FOLDERS, f"{FOLDER_BUCKETS},"),
            (f"{FOLDERS},", ""),
            ("", f"{FOLDER_BUCKETS},"),
        )
    ),
    ({"CreateEventBus": "true"}, "BusIsWhole"),
    ({**OWN_BUS, "CreateEventBus": "false"}, "BusIsWhole"),
    ({**OWN_BUS, "EventBusSenders": EVERYTHING["EventBusSenders"] + ","}, "ListsAreWhole"),
    ({"AllowedRoles": EVERYTHING["AllowedRoles"] + ","}, "ListsAreWhole"),
    ({"ExpectedExports": "nightly=26,"}, "ListsAreWhole"),
    ({"AllowedKmsKeys": "," + EVERYTHING["AllowedKmsKeys"]}, "ListsAreWhole"),
    *(({**SEGMENT_SCHEDULE, name: ""}, "ScheduleIsWhole") for name in ("DomainName", "SegmentDefinitionName")),
    ({**SEGMENT_SCHEDULE, "SegmentSnapshots": "false"}, "ScheduleIsWhole"),
]


def halves(facts):
    """(parameters of which one contradicts another, the rule that refuses them)"""
    yield from HALVES
    for name in facts.names:
        for text in ("a,", ",a", ""):
            yield {name: text}, "NamesAreWhole"
    for kind in facts.kinds:
        for name in (kind.parameter, kind.request) if kind.request else ():
            whole = {kind.parameter: "true", kind.expression: "rate(1 day)", kind.request: "{}"}
            yield {**whole, name: "false" if name == kind.parameter else ""}, kind.resource("ScheduleIsWhole")


@check
def parameters_that_contradict_each_other_are_refused(facts):
    # AWS makes [""] from an empty list parameter; another engine makes [].
    for no_members in ([""], []):
        for parameters in ({}, EVERYTHING):
            if refused := facts.stack(parameters, no_members).refused():
                yield f"{sorted(refused)} refuse what is right, where an empty list is {no_members}"
        for parameters, rule in halves(facts):
            if rule not in facts.stack(parameters, no_members).refused():
                yield f"{rule} takes {parameters}, where an empty list is {no_members}"


# --- Each check notices what it is there for ------------------------------------------------------------------------


def put(path, value):
    """Sets a property of a resource, or removes it for None. Statements are found by their Sid, rules by their Id."""

    def mutate(resource):
        *steps, last = path.split("/")[1:]
        node = resource if (steps or [last])[0] in ("Condition", "DeletionPolicy") else resource["Properties"]
        for step in steps:
            node = into(node, step)
        if isinstance(node, list):
            last = int(last) if last.isdigit() else next(n for n, item in enumerate(node) if is_called(item, last))
        if value is None:
            del node[last]
        else:
            node[last] = value

    return mutate


def into(node, step):
    if step == "statements":
        policies = node.get("Policies")
        return (policies[0]["PolicyDocument"] if policies else node["PolicyDocument"])["Statement"]
    if isinstance(node, list):
        return node[int(step)] if step.isdigit() else unwrapped(next(item for item in node if is_called(item, step)))
    return node[step]


def is_called(item, name):
    return unwrapped(item).get("Sid", unwrapped(item).get("Id")) == name


def unwrapped(item):
    return item["Fn::If"][1] if "Fn::If" in item else item


def mutated(raw, path, value):
    """A translated template in which one resource was changed."""
    name = path.split("/")[0]
    resource = copy.deepcopy(raw["Resources"][name])
    put(path, value)(resource)
    return {**raw, "Resources": {**raw["Resources"], name: resource}}


# Of the translated template: (resource/property, another value, or None to remove it).
MUTATIONS = {
    permissions_match_permissions_txt: (
        ("SealReceiptRole/statements/CloseJob/Resource/0", {"Fn::Sub": "${LedgerBucket.Arn}/*"}),
        ("SegmentSnapshotStartPolicy/statements/PassExportRole/Condition", None),
        ("LedgerBucketPolicy/statements/OnlyConditionalWrites/Condition/Bool", None),
        ("AnnouncersPolicy/Statement/Effect", "Allow"),
        ("DeadLetterQueuePolicy/statements/RulesOfThisAccount/Condition", {}),
        ("EndpointImportStartFunction/Environment/Variables/LANDFALL_ALLOWED_ROLES", {"Ref": "AllowedDestinations"}),
        ("VerifyOutputFunction/MemorySize", 512),
        ("SegmentSnapshotExportRole/AssumeRolePolicyDocument/Statement/0/Principal/Service", "s3.amazonaws.com"),
        ("MachinePolicy/statements/Announce/Condition", {"StringEquals": {"events:source": "landfall"}}),
        ("EndpointImportTriggerRole/statements/EncryptInput/Condition", None),
    ),
    grants_are_narrow: (
        ("SealReceiptRole/statements/CloseJob/Action", "s3:*"),
        ("SealReceiptRole/statements/CloseJob/Resource", "*"),
        ("SegmentSnapshotStartPolicy/statements/PassAllowedRoles/Resource", "*"),
        ("SealReceiptRole/ManagedPolicyArns", ["arn:aws:iam::aws:policy/AdministratorAccess"]),
    ),
    no_arn_names_a_fixed_partition: (
        ("SealReceiptRole/statements/ReadReport/Resource", "arn:aws:s3:::aaa/*"),
        ("SealReceiptRole/statements/EncryptReceipt/Condition/StringLike/kms:ViaService", "s3.*.amazonaws.com"),
        ("SealReceiptRole/statements/EncryptReceipt/Condition/StringLike/kms:ViaService", "s3.*"),
    ),
    each_role_belongs_to_one_function_or_service: (
        ("SealReceiptFunction/Role", {"Fn::GetAtt": ["VerifyOutputRole", "Arn"]}),
        ("SegmentSnapshotExportRole/AssumeRolePolicyDocument/Statement/0/Condition", None),
        ("SegmentSnapshotTriggerRole/PermissionsBoundary", None),
        ("SealReceiptRole/Path", {"Fn::Sub": "/landfall/${AWS::StackName}/"}),
        ("VerifyOutputRole/Path", {"Fn::Sub": "/landfall/${AWS::StackName}/seal/"}),
        ("SegmentSnapshotPollRole/Path", "/"),
        ("EndpointImportStateMachineRole/Path", None),
        ("EndpointImportTriggerRole/Path", {"Fn::Sub": "/landfall-machines/${AWS::StackName}/"}),
        ("SegmentSnapshotStateMachineRole/ManagedPolicyArns", None),
        ("SealReceiptRole/RoleName", "seal"),
    ),
    only_seal_writes_receipts: (
        ("SealReceiptRole/statements/NothingButSeals", None),
        ("SealReceiptRole/statements/NothingButSeals/NotResource/2", None),
        ("SealReceiptRole/statements/NothingButSeals/Action/0", None),
        ("SealReceiptRole/statements/NothingButSeals/Condition", {"Bool": {"aws:SecureTransport": "true"}}),
        ("ReadPolicy/statements/ReadExports/Action", ["s3:GetObject", "s3:PutObject"]),
        ("WriterPolicy/statements/NoReceipts", None),
        ("WriterPolicy/statements/NoReceipts/Resource/2", None),
    ),
    readers_may_list_so_that_an_absent_key_gives_404: (
        ("ReadPolicy/statements/ListExports/Action", "s3:GetBucketLocation"),
        ("LedgerPolicy/statements/ListLedger/Action", "s3:GetBucketLocation"),
    ),
    bucket_policies_allow_only_quick_sight: (
        ("ExportBucketPolicy/statements/QuickSightLooks/Principal", {"AWS": "*"}),
        ("ExportBucketPolicy/PolicyDocument/Statement/4/Fn::If/0", "IsTraced"),
        ("ExportBucketPolicy/PolicyDocument/Statement/6/Fn::If/0", "DashboardSnapshot"),
        ("LedgerBucketPolicy/statements/OnlyTls/Effect", "Allow"),
    ),
    iam_repeats_what_may_be_exported: (
        ("SegmentSnapshotDenyPolicy/Roles/1", None),
        ("SegmentSnapshotDenyPolicy/statements/NoOtherDomain/Effect", "Allow"),
        ("DashboardSnapshotDenyPolicy/statements/NoOtherDashboard/Action/0", None),
        ("DashboardSnapshotDenyPolicy/statements/NoOtherDashboard/NotResource", ["arn:*:quicksight:*:*:dashboard/sales"]),
    ),
    functions_are_the_built_binaries: (("VerifyOutputFunction/Runtime", "provided.al2"),),
    logs_are_in_two_places_and_hold_no_data: (
        ("SealReceiptFunction/LoggingConfig/LogGroup", {"Ref": "MachineLogs"}),
        ("VerifyOutputFunction/LoggingConfig/SystemLogLevel", "WARN"),
        ("FunctionLogs/RetentionInDays", None),
        ("MachineLogs/LogGroupName", "/landfall/states"),
        ("SegmentSnapshotStateMachine/LoggingConfiguration/IncludeExecutionData", True),
    ),
    functions_get_the_variables_that_the_code_reads: (
        ("SegmentSnapshotStartFunction/Environment/Variables/LANDFALL_DEFAULT_ROLE_ARN", None),
        ("SegmentSnapshotStartFunction/Environment/Variables/LANDFALL_LEGDER", "x"),
        ("EndpointExportStartFunction/Environment/Variables/LANDFALL_MAX_RUNNING", None),
        ("DashboardSnapshotStartFunction/Environment/Variables/LANDFALL_ALLOWED_ROLES", "x"),
        ("SealReceiptFunction/Environment/Variables/LANDFALL_DEFAULT_ROLE_ARN", "x"),
    ),
    machines_are_made_of_their_definitions: (
        ("SegmentSnapshotStateMachine/DefinitionSubstitutions/Kind", None),
        ("SegmentSnapshotStateMachine/DefinitionS3Location/Key", BATCH_DEFINITION),
        ("DashboardSnapshotStateMachine/DefinitionSubstitutions/EventBusName", "default"),
        ("SegmentSnapshotStateMachine/DefinitionSubstitutions/PollFunctionArn", {"Ref": "SegmentSnapshotPollFunction"}),
        ("EndpointImportStartFunction/Timeout", 960),
        ("BatchSummaryFunction/Timeout", 960),
        ("EndpointImportStateMachine/StateMachineName", "other"),
    ),
    batches_start_the_kinds_that_are_deployed: (
        ("ExportBatchStateMachineRole/statements/StartRequests/Resource/2", None),
        ("ExportBatchStateMachineRole/statements/FollowRequests/Resource/3", None),
        ("BatchPlanFunction/Environment/Variables/LANDFALL_MACHINES/Fn::Join/1/0", None),
        ("DashboardSnapshotStateMachine/StateMachineName", "other"),
    ),
    alarms_notify_the_topic_once: (
        ("DeadLetterAlarm/AlarmActions", None),
        ("DeadLetterAlarm/OKActions", {"Fn::If": ["HasAlarmTopic", [{"Ref": "AlarmTopicArn"}], {"Ref": "AWS::NoValue"}]}),
        ("OutputThrottleAlarm/AlarmDescription", 'See docs/operations.md, "What is not there".'),
    ),
    failures_and_long_throttling_raise_an_alarm: (
        ("SegmentSnapshotAlarm/Metrics/2/MetricStat/Metric/MetricName", "ExecutionsStarted"),
        ("ExportBatchAlarm/DatapointsToAlarm", None),
        ("EndpointImportAlarm/Metrics/0/Expression", "FILL(failed, 0) + FILL(timedout, 0)"),
        ("OutputThrottleAlarm/Metrics/2/MetricStat/Metric/MetricName", "Errors"),
        ("DashboardSnapshotThrottleAlarm/DatapointsToAlarm", 1),
        ("EndpointExportThrottleAlarm/EvaluationPeriods", 3),
    ),
    jobs_that_wait_long_for_a_slot_raise_an_alarm: (
        ("LineMetric/FilterPattern", "{ $.waited_percent >= 0 }"),
        ("LineMetric/MetricTransformations/0/MetricValue", "$.fields.waited_seconds"),
        ("LineMetric/MetricTransformations/0/Dimensions", None),
        ("LineMetric/LogGroupName", {"Ref": "MachineLogs"}),
        ("EndpointExportLineAlarm/Dimensions/0/Value", "endpoint-import"),
        ("EndpointExportLineAlarm/Statistic", "Average"),
        ("SegmentSnapshotLineAlarm/Period", 300),
    ),
    metrics_and_queries_use_logged_members: (
        ("RunningAgeMetric/FilterPattern", "{ $.fields.age >= 0 }"),
        ("RunningSecondsMetric/MetricTransformations/0/Dimensions", None),
        ("WaitingAgeMetric/LogGroupName", {"Ref": "MachineLogs"}),
        ("JobQuery/QueryString", 'fields span.jobkey | filter span.job_key = "x"'),
        ("JobQuery/LogGroupNames/0", {"Ref": "MachineLogs"}),
    ),
    a_missing_export_raises_an_alarm: (
        ("WatchesEndpointExportAlarm/Dimensions/0/Value", {"Ref": "EndpointImportSchedule"}),
        ("WatchesSegmentSnapshotAlarm/TreatMissingData", "notBreaching"),
        ("WatchesSegmentSnapshotAlarm/EvaluationPeriods", 24),
        ("WatchesSegmentSnapshotAlarm/DatapointsToAlarm", 1),
        ("Expectednightly25Alarm/MetricName", "Failed"),
        ("Expectedweekly168Alarm/Threshold", 0),
        ("WatchesSegmentSnapshotAlarm/Condition", "SegmentSnapshot"),
    ),
    a_failure_names_its_job: (
        ("FailedJobRule/Targets/0/InputTransformer/InputPathsMap/key", "$.detail.key"),
        ("FailedJobRule/Targets/0/InputTransformer/InputTemplate", {"Fn::Sub": '"<kind> <key> <error> <name> <receipt>"'}),
        ("FailedJobRule/Condition", "SegmentSnapshot"),
    ),
    stalled_jobs_raise_an_alarm: (
        ("StalledJobRule/EventPattern/detail-type", ["Export Job Failed"]),
        ("StalledJobRule/EventBusName", "default"),
        ("StalledJobAlarm/Metrics/0/Expression", "FILL(ondefault, 0)"),
        ("StalledJobAlarm/Metrics/1/MetricStat/Metric/Dimensions/0/Value", "StalledJobAlarm"),
        ("StalledJobAlarm/Threshold", 5),
    ),
    triggers_are_delivered_or_kept: (
        ("SegmentSnapshotRule/Targets/0/DeadLetterConfig", None),
        ("SegmentSnapshotSchedule/Target/RetryPolicy", None),
        ("SegmentSnapshotTriggerRole/statements/StartExecution/Resource", "*"),
        ("SegmentSnapshotRule/EventPattern/account", None),
        ("ExportBatchRule/EventBusName", None),
        ("DeadLetterQueue/MessageRetentionPeriod", 60),
        ("DeadLetterAlarm/TreatMissingData", "notBreaching"),
    ),
    schedules_imitate_an_event: (
        ("SegmentSnapshotSchedule/Condition", "Never"),
        ("SegmentSnapshotSchedule/Target/Input", {"Fn::Sub": '{"id":${DomainName}}'}),
        ("SegmentSnapshotSchedule/Target/Input/Fn::Sub/1/Role", '"RoleArn":"",'),
        ("DashboardSnapshotSchedule/Target/Input", {"Ref": "DashboardSnapshotRequest"}),
        ("EndpointExportSchedule/ScheduleExpressionTimezone", "UTC"),
        ("SegmentSnapshotRule/EventPattern/detail-type", ["Other Requested"]),
    ),
    buckets_are_closed_and_kept: (
        ("ExportBucket/PublicAccessBlockConfiguration/BlockPublicPolicy", False),
        ("LedgerBucket/VersioningConfiguration", None),
        ("LedgerBucket/OwnershipControls", None),
        ("LedgerBucket/LifecycleConfiguration/Rules/old-versions/AbortIncompleteMultipartUpload", None),
        ("LedgerBucket/LifecycleConfiguration/Rules/old-versions/ExpirationInDays", 9),
        ("LedgerBucket/LifecycleConfiguration/Rules/verifications/ExpirationInDays", 7),
        ("LedgerBucket/LifecycleConfiguration/Rules/batch-items/Prefix", "batches/"),
        ("LedgerBucket/LifecycleConfiguration/Rules/history/ExpirationInDays", 365),
        ("LedgerBucketPolicy/DeletionPolicy", None),
        ("ExportBucketPolicy/statements/OnlyTls/Effect", "Allow"),
    ),
    an_existing_bucket_may_be_used: (
        ("ExportBucket/Condition", None),
        ("ReadPolicy/statements/ReadExports/Resource", {"Fn::Sub": "${ExportBucket.Arn}/*"}),
        ("ExportBucketPolicy/statements/LatestMovesKnowingly", None),
        ("ExportBucketPolicy/statements/ReceiptsAreWrittenOnce/Sid", "Other"),
    ),
    one_key_encrypts_everything_stored: (
        ("ExportBucket/BucketEncryption/ServerSideEncryptionConfiguration/0/Fn::If/1/BucketKeyEnabled", False),
        ("ExportBatchStateMachine/EncryptionConfiguration", None),
        ("SegmentSnapshotStateMachine/EncryptionConfiguration", {"Type": "AWS_OWNED_KEY"}),
        ("FunctionLogs/KmsKeyId", None),
        ("DeadLetterQueue/KmsMasterKeyId", None),
    ),
    kinds_are_deployed_only_if_asked_for: (
        ("DashboardSnapshotRule/Condition", "SegmentSnapshot"),
        ("EndpointImportRole/Condition", None),
        ("DashboardSnapshotSchedule/Condition", "DashboardSnapshot"),
        ("LedgerBucketPolicy/Condition", "SegmentSnapshot"),
        ("SealReceiptRole/ManagedPolicyArns", [{"Ref": "LedgerPolicy"}, {"Ref": "SegmentSnapshotStartPolicy"}]),
        ("BatchSummaryRole/Condition", "SegmentSnapshot"),
        ("SendersPolicy/Condition", "MakesEventBus"),
        ("VerifyOutputFunction/ReservedConcurrentExecutions", {"Ref": "ReservedConcurrency"}),
    ),
}

# Of the template and the definitions as they are: each mutation gets both, the definitions by their paths.
OF_SOURCES = []


def breaks(checked):
    def register(function):
        OF_SOURCES.append((checked, function))
        return function

    return register


def parameter(checked, name, member, value):
    def mutate(source, machines):
        source["Parameters"].setdefault(name, {"Type": "String"})[member] = value

    mutate.__name__ = f"{name} with the {member} {value}"
    breaks(checked)(mutate)


parameter(parameters_agree_with_the_code, "AllowedDestinations", "AllowedPattern", "^(s3://[a-z.-]+/([a-z.]+/)*)?$")
parameter(parameters_agree_with_the_code, "PollMinSeconds", "MaxValue", 61)
parameter(parameters_agree_with_the_code, "DeadlineSeconds", "MaxValue", 86401)
parameter(parameters_agree_with_the_code, "SettleSeconds", "Default", 6)
parameter(parameters_agree_with_the_code, "DashboardSnapshotMaxRunning", "MaxValue", 501)
parameter(parameters_agree_with_the_code, "BatchConcurrency", "MaxValue", 10001)
parameter(parameters_are_documented_and_have_defaults, "SettleSeconds", "Default", 6)
parameter(parameters_are_documented_and_have_defaults, "SettleSeconds", "Default", 61)
parameter(parameters_are_documented_and_have_defaults, "SettleSeconds", "Description", "")
parameter(parameters_are_documented_and_have_defaults, "Color", "Default", "blue")
parameter(kinds_are_deployed_only_if_asked_for, "PinpointKinds", "Default", "true")
parameter(kinds_are_deployed_only_if_asked_for, "ExportBatches", "Default", "false")
parameter(the_longest_parameters_fit_the_quotas_of_policies, "AllowedDestinations", "Description", "21 folders fit")
parameter(iam_repeats_what_may_be_exported, "AllowedDomains", "AllowedPattern", "^[A-Za-z0-9_*/-]+$")


@breaks(the_longest_parameters_fit_the_quotas_of_policies)
def a_name_in_each_place(source, machines):
    document = source["Resources"]["WriterPolicy"]["Properties"]["PolicyDocument"]
    document["Statement"] += [document["Statement"][0]] * 2


@breaks(functions_are_the_built_binaries)
def another_package(source, machines):
    source["Resources"]["EndpointExportPollFunction"]["Properties"]["CodeUri"] = "target/lambda/endpoint-import-poll/"


@breaks(functions_are_the_built_binaries)
def a_function_that_sam_builds(source, machines):
    source["Resources"]["VerifyOutputFunction"]["Metadata"]["SkipBuild"] = False


@breaks(functions_get_the_variables_that_the_code_reads)
def no_ledger(source, machines):
    del source["Globals"]["Function"]["Environment"]["Variables"]["LANDFALL_LEDGER_BUCKET"]


@breaks(every_change_of_a_function_publishes_a_version)
def no_versions(source, machines):
    del source["Globals"]["Function"]["AutoPublishAlias"]
    source["Resources"]["ExportBatchStateMachine"]["Properties"]["DefinitionSubstitutions"] = {}
    source["Resources"]["Fn::ForEach::Kinds"][2]["${Kind}StateMachine"]["Properties"]["DefinitionSubstitutions"] = {}


@breaks(every_change_of_a_function_publishes_a_version)
def a_setting_that_no_version_tells(source, machines):
    source["Globals"]["Function"]["SourceKMSKeyArn"]["Fn::If"][1]["Fn::Join"][1].remove({"Ref": "SettleSeconds"})


@breaks(every_change_of_a_function_publishes_a_version)
def properties_that_no_version_tells(source, machines):
    del source["Resources"]["SealReceiptFunction"]["Properties"]["AutoPublishAliasAllProperties"]


@breaks(every_change_of_a_function_publishes_a_version)
def a_version_of_nothing_new(source, machines):
    source["Resources"]["SealReceiptFunction"]["Properties"]["Description"] = "Reserved concurrency is not named."


@breaks(every_change_of_a_function_publishes_a_version)
def a_key_for_the_code(source, machines):
    source["Globals"]["Function"]["SourceKMSKeyArn"]["Fn::If"][0] = "IsTraced"


@breaks(samconfig_toml_is_not_committed)
def loops_that_are_not_expanded(source, machines):
    source["Transform"].reverse()


@breaks(no_arn_names_a_fixed_partition)
def a_task_of_one_partition(source, machines):
    machines[DEFINITION]["States"]["Start"]["Resource"] = "arn:aws:states:::lambda:invoke"


@breaks(machines_are_made_of_their_definitions)
def another_variable(source, machines):
    machines[DEFINITION]["Comment"] = "${Other}"


@breaks(machines_are_made_of_their_definitions)
def a_short_batch(source, machines):
    machines[DEFINITION]["States"]["VerifySlices"]["ItemProcessor"]["States"]["Slice"]["TimeoutSeconds"] = 900


@breaks(machines_are_made_of_their_definitions)
def an_execution_named_twice(source, machines):
    machines[DEFINITION]["States"]["Announce"]["Parameters"]["Entries"][0]["Resources.$"] = "$.announcement.resources"


@breaks(machines_are_made_of_their_definitions)
def another_label(source, machines):
    machines[BATCH_DEFINITION]["States"]["Requests"]["Label"] = "Jobs"


@breaks(machine_outlasts_the_longest_job)
def a_short_machine(source, machines):
    machines[DEFINITION]["TimeoutSeconds"] = 86400


@breaks(machine_outlasts_the_longest_job)
def a_longer_line(source, machines):
    machines[DEFINITION]["States"]["Start"]["Retry"][0]["MaxDelaySeconds"] = 3600


@breaks(machine_outlasts_the_longest_job)
def a_request_that_is_cut_short(source, machines):
    machines[BATCH_DEFINITION]["States"]["Requests"]["ItemProcessor"]["States"]["Run"]["TimeoutSeconds"] = 820800


@breaks(buckets_are_closed_and_kept)
def a_batch_that_outlives_its_items(source, machines):
    machines[BATCH_DEFINITION]["TimeoutSeconds"] = 8640000


@breaks(kinds_are_deployed_only_if_asked_for)
def an_output_of_nothing(source, machines):
    del source["Outputs"]["EndpointImportStateMachineArn"]["Condition"]


@breaks(shared_resources_refer_to_no_kind)
def a_seal_of_one_kind(source, machines):
    source["Resources"]["SealReceiptFunction"]["Properties"]["Role"] = {"Fn::GetAtt": ["SegmentSnapshotPollRole", "Arn"]}


@breaks(shared_resources_refer_to_no_kind)
def a_role_of_its_machine(source, machines):
    statements = source["Resources"]["ExportBatchStateMachineRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    statements[2]["Resource"][0] = {"Ref": "ExportBatchStateMachine"}


@breaks(parameters_that_contradict_each_other_are_refused)
def a_rule_less(source, machines):
    del source["Rules"]["EndpointExportScheduleIsWhole"]


@breaks(parameters_that_contradict_each_other_are_refused)
def a_lenient_rule(source, machines):
    source["Rules"]["DestinationsAreWhole"]["Assertions"][0]["Assert"]["Fn::Or"][1]["Fn::And"].pop()


@breaks(parameters_that_contradict_each_other_are_refused)
def a_rule_that_refuses_all(source, machines):
    source["Rules"]["NamesAreWhole"]["Assertions"][0]["Assert"] = {"Fn::Equals": ["a", "b"]}


def main():
    source, machines = read(), definitions()
    facts = Facts(source)
    if os.environ.get("LANDFALL_UPDATE"):
        PERMISSIONS.write_text("".join(f"{line}\n" for line in permissions(facts)))
    failed = passed = 0

    def report(name, problems):
        nonlocal failed, passed
        failed, passed = failed + bool(problems), passed + (not problems)
        for problem in problems:
            print(f"FAILED {name}: {problem}")

    def notices(checked, what, broken):
        try:
            report(checked.__name__, [] if next(iter(checked(broken())), None) else [f"did not notice {what}"])
        except Exception as error:  # a check that stumbles over what is broken has noticed it, but does not say so
            report(checked.__name__, [f"stumbled over {what}: {error!r}"])

    for name, function in CHECKS.items():
        report(name, list(dict.fromkeys(function(facts))))
    for checked, members in MUTATIONS.items():
        for path, value in members:
            raw = mutated(facts.raw, path, value)
            notices(checked, f"{path} = {value}", lambda raw=raw: Facts(source, facts.template, raw, facts.parsed))
    for checked, mutate in OF_SOURCES:
        other, others = copy.deepcopy(source), copy.deepcopy(machines)
        mutate(other, others)
        notices(checked, mutate.__name__, lambda other=other, others=others: Facts(other, parsed=others))
    tried = {checked.__name__ for checked in [*MUTATIONS, *(checked for checked, _ in OF_SOURCES)]}
    report("every check has a mutation", sorted(set(CHECKS) - tried))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
