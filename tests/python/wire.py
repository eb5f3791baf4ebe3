"""Checks what went over the wire against botocore's models.

    wire.py errors SERVICE   < ["Operation", …]     the modelled errors of operations
    wire.py conform SERVICE  < [exchange, …]        the operations, or the exception classes, of exchanges
    wire.py operations SERVICE < [exchange, …]      the operations of exchanges, whatever was answered

If something does not conform, prints a message and exits with a status other than 0. An exchange that is signed for STS
is checked against the model of STS, whichever service is named, because its calls precede those of Quick Sight.
"""

import json
import re
import sys
import xml.etree.ElementTree as ElementTree
from urllib.parse import parse_qs, unquote, urlsplit

import botocore.session
from botocore import parsers, validate


# Errors that every operation of STS may return, and that its model leaves out.
COMMON = {"AccessDenied": 403, "ValidationError": 400}


def main():
    command, service = sys.argv[1:]
    given = json.load(sys.stdin)
    session = botocore.session.get_session()
    model = session.get_service_model(service)
    if command == "errors":
        result = [error for name in given for error in modelled_errors(model.operation_model(name))]
    elif command == "operations":
        sts = session.get_service_model("sts")
        result = [find(sts if is_of_sts(exchange) else model, exchange)[0].name for exchange in given]
    elif command == "conform":
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        clients = {name: session.create_client(name, region_name="eu-central-1", **keys) for name in (service, "sts")}
        named = ["sts" if is_of_sts(exchange) else service for exchange in given]
        result = [
            conform(session.get_service_model(name), clients[name], exchange) for name, exchange in zip(named, given)
        ]
    else:
        sys.exit(f"unknown command {command}")
    json.dump(result, sys.stdout)


def modelled_errors(operation):
    for shape in operation.error_shapes:
        error = shape.metadata.get("error", {})
        yield {
            "operation": operation.name,
            "code": error.get("code", shape.name),
            "status": error["httpStatusCode"],
        }


def conform(model, client, exchange):
    operation, uri = find(model, exchange)
    where = f"{operation.name} ({exchange['method']} {exchange['target']})"
    check_signature(model, exchange, where)
    check_request(operation, uri, exchange, where)
    return check_answer(operation, client, exchange, where)


def signed_for(exchange):
    headers = {name.lower(): value for name, value in exchange["headers"]}
    match = re.search(r"Credential=[^/]+/\d{8}/[^/]+/([^/]+)/aws4_request", headers.get("authorization", ""))
    return match and match[1]


def is_of_sts(exchange):
    return signed_for(exchange) == "sts"


def find(model, exchange):
    """The operation of a method and path, with the values in the path. Forms, and JSON with a target, name their
    operation themselves.
    """
    if model.metadata["protocol"] == "query":
        name = parse_qs(exchange["body"]).get("Action", [""])[0]
        if exchange["target"] != "/" or name not in model.operation_names:
            sys.exit(f"{exchange['method']} {exchange['target']} with Action {name} is no operation")
        return model.operation_model(name), {}
    if model.metadata["protocol"] == "json":
        headers = {name.lower(): value for name, value in exchange["headers"]}
        prefix, _, name = headers.get("x-amz-target", "").rpartition(".")
        if prefix != model.metadata["targetPrefix"] or exchange["target"] != "/" or name not in model.operation_names:
            sys.exit(f"{exchange['method']} {exchange['target']} with the target {prefix}.{name} is no operation")
        return model.operation_model(name), {}
    path = urlsplit(exchange["target"]).path
    found = []
    for name in model.operation_names:
        operation = model.operation_model(name)
        template, _, fixed = operation.http["requestUri"].partition("?")
        pattern = re.sub(r"\\\{(\w|\\-)+\\\}", "([^/]+)", re.escape(template).replace("_", "_"))
        match = re.fullmatch(pattern, path)
        if operation.http["method"] == exchange["method"] and match and fixed_query(fixed, exchange):
            names = re.findall(r"\{([\w-]+)\}", template)
            found.append((operation, {name: unquote(value) for name, value in zip(names, match.groups())}))
    # A literal segment wins over a placeholder.
    found.sort(key=lambda candidate: len(candidate[1]))
    if not found:
        sys.exit(f"{exchange['method']} {exchange['target']} is no operation of {model.service_name}")
    return found[0]


def fixed_query(fixed, exchange):
    query = parse_qs(urlsplit(exchange["target"]).query, keep_blank_values=True)
    return all(query.get(name) == values for name, values in parse_qs(fixed, keep_blank_values=True).items())


def check_signature(model, exchange, where):
    name = signed_for(exchange)
    if not name:
        sys.exit(f"{where}: it has no SigV4 signature")
    if name != model.signing_name:
        sys.exit(f"{where}: signed for {name}, the model says {model.signing_name}")


def check_request(operation, uri, exchange, where):
    """Rebuilds the members of the request from the wire, and lets botocore validate them."""
    shape = operation.input_shape
    if is_form(operation):
        return check_form(operation, exchange, where)
    query = parse_qs(urlsplit(exchange["target"]).query, keep_blank_values=True)
    body = json.loads(exchange["body"]) if exchange["body"] else {}
    payload = shape.serialization.get("payload")
    members = {}
    for name, member in shape.members.items():
        location = member.serialization.get("location")
        wire = member.serialization.get("name", name)
        if location == "uri":
            if wire in uri:
                members[name] = uri.pop(wire)
        elif location == "querystring":
            if wire in query:
                members[name] = query.pop(wire)[0]
        elif name == payload:
            members[name], body = body, {}
        elif location is None and wire in body:
            members[name] = body.pop(wire)
    for place, rest in (("path", uri), ("query", query), ("body", body)):
        if rest:
            sys.exit(f"{where}: the {place} has members that the model does not know: {sorted(rest)}")
    report = validate.ParamValidator().validate(from_wire(members, shape), shape)
    if report.has_errors():
        sys.exit(f"{where}: {report.generate_report()}")
    unknown = list(unknown_members(members, shape, "request"))
    if unknown:
        sys.exit(f"{where}: {unknown}")


def is_form(operation):
    return operation.service_model.metadata["protocol"] == "query"


def check_form(operation, exchange, where):
    form = {name: values[0] for name, values in parse_qs(exchange["body"], keep_blank_values=True).items()}
    version = form.pop("Version", None)
    form.pop("Action")
    if version != operation.service_model.api_version:
        sys.exit(f"{where}: version {version}, the model says {operation.service_model.api_version}")
    members = from_form(form, operation.input_shape, "")
    if form:
        sys.exit(f"{where}: the form has members that the model does not know: {sorted(form)}")
    report = validate.ParamValidator().validate(members, operation.input_shape)
    if report.has_errors():
        sys.exit(f"{where}: {report.generate_report()}")


def from_form(form, shape, place):
    """Reads the members of a shape from a form."""
    if shape.type_name == "structure":
        dot = "." if place else ""
        members = {name: from_form(form, member, f"{place}{dot}{name}") for name, member in shape.members.items()}
        return {name: value for name, value in members.items() if value not in (None, {}, [])}
    if shape.type_name == "list":
        items = []
        while any(name.startswith(f"{place}.member.{len(items) + 1}") for name in form):
            items.append(from_form(form, shape.member, f"{place}.member.{len(items) + 1}"))
        return items
    value = form.pop(place, None)
    return int(value) if value is not None and shape.type_name == "integer" else value


def unknown_elements(element, shape):
    """The elements of an XML answer that a shape does not have."""
    for child in element:
        name = child.tag.partition("}")[2]
        if name not in shape.members:
            yield name
        elif shape.members[name].type_name == "structure":
            yield from unknown_elements(child, shape.members[name])


def from_wire(value, shape):
    """Timestamps are numbers on the wire and times in botocore."""
    if shape.type_name == "structure":
        known = {name: from_wire(member, shape.members[name]) for name, member in value.items() if name in shape.members}
        return known
    if shape.type_name == "list":
        return [from_wire(item, shape.member) for item in value]
    return value


def unknown_members(value, shape, path):
    """Members on the wire that a shape does not have, and required members that are missing."""
    if shape.type_name == "structure" and isinstance(value, dict):
        for name in value.keys() - shape.members.keys():
            yield f"{path} has the unknown member {name}"
        for name in set(shape.required_members) - value.keys():
            if shape.members[name].serialization.get("location") is None:
                yield f"{path} lacks {name}"
        for name, member in value.items():
            if name in shape.members:
                yield from unknown_members(member, shape.members[name], f"{path}.{name}")
    elif shape.type_name == "list" and isinstance(value, list):
        for number, item in enumerate(value):
            yield from unknown_members(item, shape.member, f"{path}[{number}]")


def check_answer(operation, client, exchange, where):
    response = {
        "headers": {name.lower(): value for name, value in exchange["answer_headers"]},
        "status_code": exchange["status"],
        "body": exchange["answer"].encode(),
    }
    parser = parsers.create_parser(operation.service_model.protocol)
    parsed = parser.parse(response, operation.output_shape)
    if "Error" in parsed:
        return check_error(operation, client, exchange, parsed, where)
    expected = operation.http.get("responseCode", 200)
    if exchange["status"] != expected:
        sys.exit(f"{where}: answered {exchange['status']}, the model says {expected}")
    shape = operation.output_shape
    if is_form(operation):
        result = ElementTree.fromstring(exchange["answer"])[0]
        if unknown := list(unknown_elements(result, shape)):
            sys.exit(f"{where}: the answer has {unknown}, which the model does not know")
        return operation.name
    payload = shape.serialization.get("payload")
    body_shape = shape.members[payload] if payload else shape
    body = json.loads(exchange["answer"]) if exchange["answer"] else {}
    # Members in headers or the status are not in the body.
    unknown = list(unknown_members(body, body_shape, "answer"))
    if unknown:
        sys.exit(f"{where}: {unknown}")
    return operation.name


def check_error(operation, client, exchange, parsed, where):
    """The exception class that a caller of boto3 would catch."""
    code = parsed["Error"]["Code"]
    if is_form(operation) and COMMON.get(code) == exchange["status"]:
        return code
    modelled = {shape.metadata.get("error", {}).get("code", shape.name): shape for shape in operation.error_shapes}
    if code not in modelled:
        sys.exit(f"{where}: {code} is no error of the operation; it has {sorted(modelled)}")
    shape = modelled[code]
    status = shape.metadata["error"]["httpStatusCode"]
    if exchange["status"] != status:
        sys.exit(f"{where}: {code} came with {exchange['status']}, the model says {status}")
    unknown = list(unknown_members(json.loads(exchange["answer"] or "{}"), shape, code))
    if unknown:
        sys.exit(f"{where}: {unknown}")
    return client.exceptions.from_code(code).__name__


main()
