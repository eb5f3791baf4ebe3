"""Checks the commands in docs/ and the README against AWS's own models.

Each `aws …` of a code block names an operation that botocore knows, with options that are its members, all required
ones, values of the right types, and a query that parses. Each `sam …` has options that this SAM CLI knows, and names
parameters of the template. Whether a command does what its page says is not checked.
"""

import importlib
import json
import re
import sys
from pathlib import Path

import jmespath
from botocore import xform_name
from botocore.exceptions import UnknownServiceError
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator
from samcli.yamlhelper import yaml_parse

ROOT = Path(__file__).resolve().parents[2]
# Options of the CLI itself, for every operation.
GLOBAL = {"output", "query", "region", "profile", "no-paginate", "max-items", "page-size", "starting-token"}
# Commands of the CLI itself, besides those of the API.
OF_CLI = {"s3": {"cp", "ls", "rb", "rm", "mb", "mv", "sync"}}
ANYTHING = "placeholder-of-some-length"


def blocks(text):
    """The code blocks of a page: fenced blocks, and blocks that are indented by four spaces after an empty line."""
    inside, block, fenced, before = False, [], False, ""
    for line in [*text.splitlines(), ""]:
        if line.lstrip().startswith("```"):
            fenced = not fenced
            if not fenced:
                yield "\n".join(block)
            block = []
        elif fenced:
            block.append(line)
        elif line.startswith("    ") and (inside or not before.strip()):
            inside = True
            block.append(line)
        elif inside and line.strip():
            yield "\n".join(block)
            inside, block = False, []
        before = line
    if block:
        yield "\n".join(block)


def words(text):
    """The words of a shell command up to its end. A placeholder stands for everything that the shell would substitute.
    """
    found, word, started, at, quote = [], "", False, 0, None
    while at < len(text):
        c = text[at]
        if c == "\\" and quote != "'":
            following = text[at + 1 : at + 2]
            if following != "\n":
                word, started = word + ("" if quote and following in '"$`\\' else "\\" * bool(quote)) + following, True
            at += 2
            continue
        if c == "$" and quote != "'" and (match := re.match(r"\$(?:\w+|\{\w+\})", text[at:])):
            word, started, at = word + ANYTHING, True, at + match.end()
            continue
        if text.startswith("$(", at) and quote != "'":
            depth, at = 1, at + 2
            while depth and at < len(text):
                depth += {"(": 1, ")": -1}.get(text[at], 0)
                at += 1
            word, started = word + ANYTHING, True
            continue
        if c == quote:
            quote = None
        elif quote:
            word += c
        elif c in "'\"":
            quote, started = c, True
        elif c in "\n|;)&" or c in "<>":
            break
        elif c.isspace():
            found, word, started = found + ([word] if started else []), "", False
        else:
            word, started = word + c, True
        at += 1
    return found + ([word] if started else [])


def commands(text, program):
    for block in blocks(text):
        # Text after a comment sign is not typed.
        block = re.sub(r"(?m)\s#\s.*$", "", block)
        for match in re.finditer(rf"(?m)(?:^|(?<=[\s(|;&`])){program} (?=[a-z])", block):
            yield words(block[match.end() :])


def options(arguments):
    """{option: its values}, and the words before any option."""
    given, name = {}, None
    for word in arguments:
        if word.startswith("--"):
            name, _, value = word[2:].partition("=")
            given[name] = [value] if value else []
        else:
            given.setdefault(name, []).append(word)
    return given


LOADER, MODELS = Loader(), {}


def model(service):
    if service not in MODELS:
        MODELS[service] = ServiceModel(LOADER.load_service_model(service, "service-2"), service)
    return MODELS[service]


def typed(values, shape):
    """The value of an option as the CLI reads it: JSON, shorthand, or plain words."""
    if shape.type_name in ("structure", "map", "list") and len(values) == 1 and values[0][:1] in "[{":
        return json.loads(values[0], strict=False)
    if shape.type_name == "list":
        return [typed([value], shape.member) for value in values]
    if shape.type_name in ("structure", "map"):
        pairs = [pair.partition("=")[::2] for pair in values[0].split(",")]
        if shape.type_name == "map":
            return dict(pairs)
        given = {}
        for name, value in pairs:
            if name not in shape.members:
                raise ValueError(f"{name} is no member of {shape.name}")
            given[name] = typed([value], shape.members[name])
        return given
    (value,) = values or ["true"]
    if shape.type_name == "boolean":
        return value == "true"
    if shape.type_name in ("integer", "long"):
        return 1 if value == ANYTHING else int(value)
    if shape.type_name == "timestamp":
        return "2026-11-01T00:00:00Z" if ANYTHING in value else value
    if getattr(shape, "enum", None) and value not in shape.enum and ANYTHING not in value:
        raise ValueError(f"{value} is none of {shape.enum}")
    return value


def faults_of_aws(arguments):
    service, operation, *rest = arguments
    if service in OF_CLI:
        if operation not in OF_CLI[service]:
            yield f"aws {service} has no {operation}"
        return
    try:
        api = model({"s3api": "s3"}.get(service, service))
    except UnknownServiceError:
        yield f"there is no service {service}"
        return
    name = next((name for name in api.operation_names if xform_name(name, "-") == operation), None)
    if not name:
        yield f"{service} has no {operation}"
        return
    shape = api.operation_model(name).input_shape
    members = {xform_name(member, "-"): member for member in (shape.members if shape else {})}
    given, files = {}, set()
    for option, values in options(rest).items():
        if option is None:
            yield f"{values} stand before any option"
        elif option == "query":
            try:
                jmespath.compile(values[0])
            except Exception as error:
                yield f"the query {values} does not parse: {error}"
        elif option in GLOBAL:
            pass
        elif option not in members:
            yield f"{service} {operation} has no --{option}"
        elif values and values[0].startswith("file://"):
            files.add(members[option])
        else:
            try:
                given[members[option]] = typed(values, shape.members[members[option]])
            except ValueError as error:
                yield f"--{option} {values}: {error}"
    for member in sorted(set(shape.required_members if shape else ()) - set(given) - files):
        yield f"{service} {operation} needs --{xform_name(member, '-')}"
    known = {member for member in given if member in shape.members} if shape else set()
    for member in sorted(known):
        report = ParamValidator().validate(given[member], shape.members[member])
        if report.has_errors():
            yield f"{service} {operation}, --{xform_name(member, '-')}: {report.generate_report()}"


def faults_of_sam(arguments, parameters):
    command, *rest = arguments
    try:
        cli = importlib.import_module(f"samcli.commands.{command}.command").cli
    except ModuleNotFoundError:
        yield f"sam has no {command}"
        return
    known = {option.removeprefix("--") for parameter in cli.params for option in (*parameter.opts, *parameter.secondary_opts)}
    for option, values in options(rest).items():
        if option not in known and option is not None:
            yield f"sam {command} has no --{option}"
        if option == "parameter-overrides":
            for value in values:
                if value.partition("=")[0] not in parameters:
                    yield f"the template has no parameter {value}"


BROKEN = {
    "aws s3api put-everything --bucket x": "has no put-everything",
    "aws nothing at-all": "there is no service",
    "aws lambda get-alias --function-name x": "needs --name",
    "aws lambda get-alias --function-name x --alias live": "has no --alias",
    "aws stepfunctions list-executions --state-machine-arn x --status-filter STOPPED": "is none of",
    "aws stepfunctions describe-execution --execution-arn x --query 'a[?b=='": "does not parse",
    "aws cloudtrail put-event-selectors --trail-name x --advanced-event-selectors '[{\"FieldSelectors\": [{\"Fields\": 1}]}]'": "Fields",
    "aws cloudtrail put-event-selectors --trail-name x --advanced-event-selectors '[{]'": "--advanced-event-selectors",
    "aws cloudwatch get-metric-statistics --namespace x --metric-name y --start-time 2026-11-01 --end-time 2026-11-02 --period a": "invalid",
    "aws s3 copy x y": "has no copy",
}
BROKEN_SAM = {
    "sam deploy --ask-nothing": "has no --ask-nothing",
    "sam send": "has no send",
    "sam deploy --parameter-overrides Colour=blue": "no parameter",
}


def main():
    parameters = yaml_parse((ROOT / "template.yaml").read_text())["Parameters"]
    failed = passed = 0
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        text = page.read_text()
        checked = [(words, faults_of_aws(words)) for words in commands(text, "aws")]
        checked += [(words, faults_of_sam(words, parameters)) for words in commands(text, "sam")]
        for command, faults in checked:
            found = list(faults)
            failed, passed = failed + bool(found), passed + (not found)
            for fault in found:
                print(f"FAILED {page.relative_to(ROOT)}: {fault}, in: {' '.join(command)[:160]}")
    if passed < 50:
        print(f"FAILED only {passed} commands were found")
        failed += 1
    for text, fault in [*BROKEN.items(), *BROKEN_SAM.items()]:
        program = text.split()[0]
        (command,) = commands(f"\n    {text}\n", program)
        found = list(faults_of_aws(command) if program == "aws" else faults_of_sam(command, parameters))
        if not any(fault in line for line in found):
            print(f"FAILED did not notice {text!r}: {found}")
            failed += 1
    print(f"{passed} commands passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
