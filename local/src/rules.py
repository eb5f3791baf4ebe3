"""Prints the rules of a template by which a bus starts state machines: name, pattern and the name of the machine.

Usage: rules.py TEMPLATE VALUES, where VALUES is a JSON object of what parameters and pseudo parameters are. A reference
without a value is an error. PyYAML comes with moto.
"""

import json
import re
import sys

import yaml


class Loader(yaml.SafeLoader):
    """Reads the short forms of CloudFormation's functions as the long ones."""


def function(loader, name, node):
    construct = {"scalar": loader.construct_scalar, "sequence": loader.construct_sequence, "mapping": loader.construct_mapping}
    value = construct[node.id](node) if node.id == "scalar" else construct[node.id](node, deep=True)
    return {name if name in ("Ref", "Condition") else f"Fn::{name}": value}


# The member that names a state machine, by its type.
NAMES = {"AWS::StepFunctions::StateMachine": "StateMachineName", "AWS::Serverless::StateMachine": "Name"}

Loader.add_multi_constructor("!", function)


def resolved(value, values):
    match value:
        case {"Ref": name}:
            return values[name]
        case {"Fn::Sub": str(text)}:
            return re.sub(r"\$\{([^}]+)\}", lambda found: values[found[1]], text)
        case dict():
            return {name: resolved(member, values) for name, member in value.items()}
        case list():
            return [resolved(item, values) for item in value]
        case _:
            return value


def rules(template, values):
    resources = template["Resources"]
    for name, resource in resources.items():
        properties = resource.get("Properties", {})
        if resource["Type"] != "AWS::Events::Rule" or "EventPattern" not in properties:
            continue
        # Another rule may only count events, and have no target.
        for target in properties.get("Targets", []):
            machine = resources.get(target["Arn"].get("Ref"), {}) if isinstance(target["Arn"], dict) else {}
            if machine.get("Type") in NAMES:
                yield {
                    "name": name,
                    "pattern": resolved(properties["EventPattern"], values),
                    "machine": resolved(machine["Properties"][NAMES[machine["Type"]]], values),
                }


with open(sys.argv[1], encoding="utf-8") as file:
    print(json.dumps(list(rules(yaml.load(file, Loader), json.loads(sys.argv[2])))))
