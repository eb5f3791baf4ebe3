"""Expands, transforms and resolves the template for the other checks of this folder.

The SAM CLI's own processor expands `Fn::ForEach`, and SAM's translator turns `AWS::Serverless` resources into what
CloudFormation gets. This module resolves the other functions (Ref, Sub, If, …) for a choice of parameters. Values that
loops look up in `Mappings` are filled in before, so that one translation serves every choice.
"""

import copy
import json
import logging
import os
import re
from functools import cached_property
from pathlib import Path

# The transform needs a region, and nothing here may depend on the settings of this machine.
os.environ.update(AWS_DEFAULT_REGION="eu-central-1", AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull)

from samcli.lib.cfn_language_extensions.models import TemplateProcessingContext  # noqa: E402
from samcli.lib.cfn_language_extensions.processors.foreach import ForEachProcessor  # noqa: E402
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
# A value for each parameter that needs another value than its default. `given_to_kinds` adds those that every kind has.
EVERYTHING = {
    "AllowedDomains": "shop,test-*",
    "AllowedDashboards": "sales,*-public",
    "AllowedQuickSightUsers": f"arn:aws:quicksight:us-east-1:{ACCOUNT}:user/default/*",
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
    "AlarmTopicArn": f"arn:aws:sns:{REGION}:{ACCOUNT}:alarms",
    "ScheduleAlarmHours": "26",
    "ExpectedExports": "nightly=25,weekly=168",
    "PermissionsBoundaryArn": f"arn:aws:iam::{ACCOUNT}:policy/boundary",
    "ScheduleExpressionTimezone": "Europe/Berlin",
    "DomainName": "shop",
    "SegmentDefinitionName": "buyers",
    "SegmentSnapshotRoleArn": f"arn:aws:iam::{ACCOUNT}:role/nightly",
    "SegmentSnapshotOptions": '{"Name": "nightly"}',
    "QuickSightRoleArn": f"arn:aws:iam::{ACCOUNT}:role/service-role/quick",
}


def listed(value):
    return value if isinstance(value, list) else [value]


def read():
    """The template as it stands in the file."""
    return yaml_parse((ROOT / "template.yaml").read_text())


def names_of_kinds(source):
    """The prefix of each kind's resources, in the order of the template."""
    return source["Resources"]["Fn::ForEach::Kinds"][1]


def references(node):
    """The logical names that a part of the template refers to, in order."""
    if isinstance(node, list):
        return list(dict.fromkeys(name for item in node for name in references(item)))
    if not isinstance(node, dict):
        return []
    found = []
    for name, value in node.items():
        if name == "Ref":
            found.append(value.split(".")[0])
        elif name == "Fn::GetAtt":
            found.append(value[0])
        elif name == "Fn::Sub":
            text = value if isinstance(value, str) else value[0]
            found += [part.split(".")[0] for part in re.findall(r"\$\{([^!}]+)\}", text)]
            found += references(value) if isinstance(value, list) else []
        else:
            found += references(value)
    return list(dict.fromkeys(found))


class Switches:
    """The parameters that deploy and schedule a kind, as the conditions of the template read them."""

    def __init__(self, source, name):
        (self.deploys,) = references(source["Conditions"][name])
        # For example DashboardSnapshotScheduleExpression: the first parameter that the condition of the schedule reads.
        self.schedules = references(source["Conditions"][f"{name}Schedule"])[0]
        # A kind without a parameter for its request is scheduled with parameters of its own.
        self.request = source["Mappings"]["Schedules"].get(f"{name}Schedule", {}).get("Request")


def given_to_kinds(source):
    """Deploys each kind, and schedules it with a request of its own."""
    given = {}
    for name in names_of_kinds(source):
        switches = Switches(source, name)
        given |= {switches.deploys: "true", switches.schedules: "rate(1 day)"}
        if switches.request:
            given[switches.request] = json.dumps({"Of": name, "Members": [{"Format": "CSV"}]})
    return given


EVERYTHING |= given_to_kinds(read())


def expanded(source):
    """A template without loops, in which the values that loops look up in Mappings are filled in."""
    source = copy.deepcopy(source)
    for name, loop in source["Resources"].items():
        # A loop over a parameter uses the value that is given where everything is given.
        if name.startswith("Fn::ForEach::") and isinstance(loop[1], dict):
            loop[1] = EVERYTHING[loop[1]["Ref"]].split(",")
    context = TemplateProcessingContext(fragment=source)
    ForEachProcessor().process_template(context)
    template = context.fragment
    for section in ("Conditions", "Resources", "Outputs"):
        template[section] = looked_up(template[section], template.get("Mappings", {}))
    return template


def looked_up(node, mappings):
    if isinstance(node, list):
        return [looked_up(item, mappings) for item in node]
    if not isinstance(node, dict):
        return node
    node = {name: looked_up(value, mappings) for name, value in node.items()}
    if "Fn::FindInMap" in node:
        table, row, column = node["Fn::FindInMap"]
        return copy.deepcopy(mappings[table][row][column])
    if "Fn::Sub" in node:
        text, values = node["Fn::Sub"] if isinstance(node["Fn::Sub"], list) else (node["Fn::Sub"], {})
        for name, value in [(name, value) for name, value in values.items() if isinstance(value, str)]:
            text, values = text.replace(f"${{{name}}}", value), {n: v for n, v in values.items() if n != name}
        return {"Fn::Sub": [text, values] if values else text} if "${" in text else text
    if "Fn::Split" in node and isinstance(node["Fn::Split"][1], str):
        separator, text = node["Fn::Split"]
        return text.split(separator)
    if "Fn::Select" in node and isinstance(node["Fn::Select"][1], list) and str(node["Fn::Select"][0]).isdigit():
        return node["Fn::Select"][1][int(node["Fn::Select"][0])]
    return node


class NoPolicies:
    """Stands in for the list of AWS's managed policies, which the transform needs and we do not use."""

    def load(self):
        return {}


def transformed(template, parameters=None):
    """The result of SAM's translator for an expanded template."""
    sam = copy.deepcopy(template)
    for resource in sam["Resources"].values():
        # Packaging replaces these paths by S3 URIs.
        for name, packaged in (("CodeUri", "s3://package/{}".format), ("DefinitionS3Location", in_package)):
            path = resource.get("Properties", {}).get(name)
            if isinstance(path, str):
                resource["Properties"][name] = packaged(path)
    sam["Transform"] = "AWS::Serverless-2016-10-31"
    return transform(sam, parameters or {}, NoPolicies())


def in_package(path):
    return {"Bucket": "package", "Key": path}


class Stack:
    """An expanded template, transformed and resolved with some parameters."""

    def __init__(self, source, raw, parameters, no_members=("",)):
        self.source, self.raw, self.no_members = source, raw, list(no_members)
        self.parameters = {
            name: parameters.get(name, parameter.get("Default")) for name, parameter in source["Parameters"].items()
        }
        self.conditions = {}
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
        if name not in self.conditions:
            self.conditions[name] = self.resolve(self.source["Conditions"][name])
        return self.conditions[name]

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
        """The value of a node of the template. None stands for AWS::NoValue, and omits its member."""
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
            if function.startswith("Fn::"):
                return self.call(function, argument)
        members = {name: self.resolve(value) for name, value in node.items()}
        return {name: value for name, value in members.items() if value is not None}

    def call(self, function, argument):
        match function:
            case "Fn::GetAtt":
                return self.attribute(*argument)
            case "Fn::If":
                name, yes, no = argument
                return self.resolve(yes if self.condition(name) else no)
            case "Fn::Sub":
                text, extra = (argument, {}) if isinstance(argument, str) else argument
                return re.sub(r"\$\{([^!}]+)\}", lambda match: str(self.variable(match[1], extra)), text)
            case "Fn::Join":
                separator, values = argument
                return separator.join(map(str, self.resolve(values)))
            case "Fn::Split":
                separator, text = argument
                return self.resolve(text).split(separator)
            case "Fn::Select":
                index, values = argument
                return self.resolve(values)[int(index)]
            case "Fn::Equals":
                left, right = self.resolve(argument)
                return str(left) == str(right)
            case "Fn::Not":
                return not self.resolve(argument[0])
            case "Fn::And":
                return all(self.resolve(argument))
            case "Fn::Or":
                return any(self.resolve(argument))
            case "Fn::Contains":
                members, value = self.resolve(argument)
                return value in members
            case "Fn::EachMemberEquals":
                members, value = self.resolve(argument)
                return all(member == value for member in members)
        raise ValueError(f"stack.py does not know {function}")

    def variable(self, name, extra):
        if name in extra:
            return self.resolve(extra[name])
        return self.attribute(*name.split(".")) if "." in name else self.ref(name)

    def of(self, *kinds):
        return {name: r["Properties"] for name, r in self.resources.items() if r["Type"] in kinds}

    def grants(self):
        """{role: [statement]}: of its own policies, and of policies that are attached to it from either side."""
        found = {}
        attached = self.of("AWS::IAM::ManagedPolicy", "AWS::IAM::Policy")
        for name, properties in self.of("AWS::IAM::Role").items():
            documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
            documents += [attached[arn]["PolicyDocument"] for arn in properties.get("ManagedPolicyArns", []) if arn in attached]
            documents += [policy["PolicyDocument"] for policy in attached.values() if name in policy.get("Roles", [])]
            found[name] = [statement for document in documents for statement in document["Statement"]]
        return found

    @cached_property
    def functions(self):
        return self.of("AWS::Lambda::Function")

    @cached_property
    def machines(self):
        return self.of("AWS::StepFunctions::StateMachine")

    def role_of(self, arn):
        return next((name for name in self.of("AWS::IAM::Role") if self.attribute(name, "Arn") == arn), None)

    def bucket_statements(self, bucket):
        for properties in self.of("AWS::S3::BucketPolicy").values():
            if properties["Bucket"] == self.ref(bucket):
                yield from properties["PolicyDocument"]["Statement"]


def stack(parameters, template=None, no_members=("",)):
    """A stack made from the file or from an expanded template."""
    template = template or expanded(read())
    return Stack(template, transformed(template), parameters, no_members)


def definitions():
    return {path: json.loads((ROOT / path).read_text()) for path in (DEFINITION, BATCH_DEFINITION)}
