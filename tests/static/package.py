"""Checks what `sam build` and `sam package` make from the template, and the resources of its change set.

The SAM CLI packages the template twice, as `sam deploy` does and after `sam build`, and uploads to moto's S3. The
uploads are read back: each function's archive holds one executable `bootstrap`, and each definition is the file itself.
The SAM CLI's processor of loops and SAM's translator turn the packaged template into what CloudFormation gets. For some
choices of parameters, the resulting resources are compared with those that template.yaml names under its own
conditions. The binaries are stubs, so that nothing is compiled. The check does not show that the real ones run, nor
that CloudFormation can make these resources.
"""

import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import boto3
import policy
import stack as stacks
from moto.server import ThreadedMotoServer
from samcli.yamlhelper import yaml_parse

ROOT, BUCKET = stacks.ROOT, "landfall-packages"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_SESSION_TOKEN": "test"}


def sources(folder):
    """A copy of the packaged files, with stubs for the binaries. A release build may be in the place of the real ones.
    """
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "statemachine", folder / "statemachine")
    shutil.copy(ROOT / "template.yaml", folder)
    template = stacks.expanded(stacks.read())
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            binary = folder / resource["Properties"]["CodeUri"] / "bootstrap"
            binary.parent.mkdir(parents=True)
            binary.write_text(name)
            binary.chmod(0o755)
    return template


def sam(*arguments, endpoint):
    environment = {**os.environ, **CREDENTIALS, "AWS_ENDPOINT_URL": endpoint, "AWS_DEFAULT_REGION": stacks.REGION}
    done = subprocess.run(
        [Path(sys.executable).with_name("sam"), *arguments], env=environment, capture_output=True, text=True, timeout=300
    )
    if done.returncode:
        raise SystemExit(f"sam {arguments[0]} failed:\n{done.stdout}{done.stderr}")


def faults_of_archives(template, packaged, s3):
    for name, resource in template["Resources"].items():
        properties = packaged["Resources"][name].get("Properties", {})
        if resource["Type"] == "AWS::Serverless::Function":
            with zipfile.ZipFile(io.BytesIO(stored(s3, properties["CodeUri"]))) as archive:
                entries = archive.infolist()
                if [entry.filename for entry in entries] != ["bootstrap"]:
                    yield f"the archive of {name} holds {[entry.filename for entry in entries]}"
                elif archive.read("bootstrap").decode() != name:
                    yield f"the archive of {name} holds the code of {archive.read('bootstrap').decode()}"
                elif not entries[0].external_attr >> 16 & 0o111:
                    yield f"the bootstrap of {name} cannot be executed"
        if resource["Type"] == "AWS::StepFunctions::StateMachine":
            definition = (ROOT / resource["Properties"]["DefinitionS3Location"]).read_bytes()
            if json.loads(stored(s3, properties["DefinitionS3Location"])) != json.loads(definition):
                yield f"the definition of {name} is another one"


def stored(s3, place):
    if isinstance(place, dict):
        bucket, key = place["Bucket"], place["Key"]
    else:
        bucket, _, key = place.removeprefix("s3://").partition("/")
    return s3.get_object(Bucket=bucket, Key=key)["Body"].read()


# The resources that SAM makes from each of its own, by name.
MADE = {"AWS::Serverless::Function": ("AWS::Lambda::Function", "AWS::Lambda::Version", "AWS::Lambda::Alias")}


def expected(template, stack):
    """(type, name in the template) of each resource that the conditions of the template ask for."""
    return sorted(
        (made, name)
        for name, resource in template["Resources"].items()
        if stack.is_made(resource)
        for made in MADE.get(resource["Type"], (resource["Type"],))
    )


def changes(template, stack):
    """(type, name in the template) of each resource of the change set."""
    found = []
    for name, resource in stack.raw["Resources"].items():
        if stack.is_made(resource):
            of = name
            if resource["Type"] in ("AWS::Lambda::Version", "AWS::Lambda::Alias"):
                of = resource["Properties"]["FunctionName"]["Ref"]
            found.append((resource["Type"], of))
    return sorted(found)


def faults_of_changes(template, packaged):
    every = {kind.parameter for kind in policy.Facts(policy.read()).kinds}
    choices = [{}, stacks.EVERYTHING, {"ExportBatches": "false", **dict.fromkeys(every, "false")}]
    choices += [{**dict.fromkeys(every, "false"), name: "true"} for name in sorted(every)]
    raw = stacks.transformed(packaged)
    for parameters in choices:
        stack = stacks.Stack(template, raw, parameters)
        wanted, found = expected(template, stack), changes(template, stack)
        if wanted != found:
            yield f"with {parameters}: lacks {sorted(set(wanted) - set(found))}, has {sorted(set(found) - set(wanted))}"
        if stack.dangling:
            yield f"with {parameters}: something refers to {sorted(stack.dangling)}, which is not made"


def main():
    folder = Path(sys.argv[1])
    template = sources(folder / "source")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    endpoint = "http://{}:{}".format(*server.get_host_and_port())
    s3 = boto3.client("s3", endpoint_url=endpoint, region_name=stacks.REGION, **{k.lower(): v for k, v in CREDENTIALS.items()})
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": stacks.REGION})

    source, built = folder / "source/template.yaml", folder / "build"
    sam("build", "--language-extensions", "--template-file", source, "--build-dir", built, endpoint=endpoint)
    packaged = []
    for name, path in (("deployed", source), ("built", built / "template.yaml")):
        output = folder / f"{name}.yaml"
        sam(
            *("package", "--language-extensions", "--template-file", path, "--s3-bucket", BUCKET, "--output-template-file", output),
            *("--region", stacks.REGION),
            endpoint=endpoint,
        )
        packaged.append(stacks.expanded(yaml_parse(output.read_text())))
    faults = [fault for one in packaged for fault in faults_of_archives(template, one, s3)]
    uris = [
        {name: resource["Properties"].get("CodeUri") for name, resource in one["Resources"].items()} for one in packaged
    ]
    if uris[0] != uris[1]:
        faults.append("sam build changes what is uploaded")
    faults += faults_of_changes(template, packaged[0])
    # The check notices faults.
    broken = stacks.expanded(yaml_parse((folder / "deployed.yaml").read_text()))
    functions = [broken["Resources"][name]["Properties"] for name in ("SealReceiptFunction", "VerifyOutputFunction")]
    functions[0]["CodeUri"], functions[1]["CodeUri"] = functions[1]["CodeUri"], functions[0]["CodeUri"]
    if len(list(faults_of_archives(template, broken, s3))) != 2:
        faults.append("did not notice two archives in each other's place")
    broken["Resources"]["SegmentSnapshotAlarm"]["Condition"] = "EndpointExport"
    if not list(faults_of_changes(template, broken)):
        faults.append("did not notice an alarm under another condition")
    server.stop()
    for fault in faults:
        print(f"FAILED {fault}")
    print(f"{len(template['Resources'])} resources packaged twice, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
