"""Compares the schema of a kind's requests with botocore's model of the operation.

    models.py   < {"service": …, "operation": …, "schema": …}

Prints each difference in members, enumerations, bounds, patterns and secrecy: [{"member", "what", "model", "ours"}, …].
"""

import json
import sys

import botocore.session

BOUNDS = {
    "string": (("minLength", "min"), ("maxLength", "max")),
    "list": (("minItems", "min"), ("maxItems", "max")),
    "integer": (("minimum", "min"), ("maximum", "max")),
    "long": (("minimum", "min"), ("maximum", "max")),
    "float": (("minimum", "min"), ("maximum", "max")),
    "double": (("minimum", "min"), ("maximum", "max")),
    "timestamp": (("minimum", "min"), ("maximum", "max")),
}
TYPES = {
    "string": "string",
    "list": "array",
    "integer": "integer",
    "long": "integer",
    "float": "number",
    "double": "number",
    "boolean": "boolean",
    "structure": "object",
}


def main():
    given = json.load(sys.stdin)
    model = botocore.session.get_session().get_service_model(given["service"])
    shape = model.operation_model(given["operation"]).input_shape
    json.dump(list(structure(given["schema"], shape, "")), sys.stdout)


def difference(member, what, model, ours):
    return {"member": member, "what": what, "model": model, "ours": ours}


def branch(schema):
    """A schema without the branch that allows null."""
    branches = [one for one in schema.get("anyOf", []) if one.get("type") != "null"]
    return {**branches[0], **{k: v for k, v in schema.items() if k != "anyOf"}} if branches else schema


def structure(schema, shape, path):
    dot = "." if path else ""
    ours = {name: branch(member) for name, member in schema["properties"].items() if path or name != "Landfall"}
    for name in sorted(shape.members.keys() - ours.keys()):
        yield difference(f"{path}{dot}{name}", "member", "has it", "does not take it")
    for name in sorted(ours.keys() - shape.members.keys()):
        yield difference(f"{path}{dot}{name}", "member", "does not have it", "takes it")
    for name in sorted(ours.keys() & shape.members.keys()):
        place, member = f"{path}{dot}{name}", shape.members[name]
        required = name in shape.required_members, name in schema.get("required", [])
        if required[0] != required[1]:
            yield difference(place, "required", *required)
        yield from value(ours[name], member, place)


def value(ours, shape, place):
    kind = shape.type_name
    types = ours.get("type", "object" if "properties" in ours else "string")
    types = [one for one in (types if isinstance(types, list) else [types]) if one != "null"]
    if types != [TYPES.get(kind)]:
        yield difference(place, "type", kind, " or ".join(types))
    for name, bound in BOUNDS.get(kind, ()):
        model = shape.metadata.get(bound)
        # No length is below zero.
        if (model or None) != (ours.get(name) or None):
            yield difference(place, name, model, ours.get(name))
    if shape.metadata.get("pattern") != ours.get("pattern"):
        yield difference(place, "pattern", shape.metadata.get("pattern"), ours.get("pattern"))
    names = ours.get("enum") or [one["const"] for one in ours.get("oneOf", [])]
    names = sorted(name for name in names if name is not None)
    if sorted(shape.metadata.get("enum", [])) != names:
        yield difference(place, "enum", sorted(shape.metadata.get("enum", [])), names)
    if shape.metadata.get("sensitive", False) and not ours.get("writeOnly", False):
        yield difference(place, "secrecy", "sensitive", "shown")
    if kind == "structure":
        yield from structure(ours, shape, place)
    elif kind == "list":
        yield from value(branch(ours["items"]), shape.member, f"{place}[]")


main()
