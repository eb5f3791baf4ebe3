"""Runs or lints the recipes in docs/recipes/ for consumers of exports, and shows that each check can fail.

The loader and the tasks of the DAG run against moto, with receipts that fit the published schemas. sqlglot reads the
SQL, cfn-lint the template. Airflow itself is a hundred packages, so the DAG gets stand-ins for the few names that it
uses.
"""

import contextlib
import importlib.util
import io
import json
import logging
import subprocess
import sys
import tempfile
import types
from datetime import datetime, timezone
from pathlib import Path
from unittest import mock

import boto3
import jsonschema
import sqlglot
from botocore.exceptions import ClientError
from moto import mock_aws

ROOT = Path(__file__).resolve().parents[2]
RECIPES = ROOT / "docs/recipes"
BUCKET = "landfall-exports"
# sqlglot logs what it cannot read and returns it as a Command.
logging.getLogger("sqlglot").setLevel(logging.ERROR)


def schema(name):
    return json.loads((ROOT / f"docs/schema/{name}.schema.json").read_text())


def keep(s3, key, value, name=None):
    if name:
        jsonschema.validate(value, schema(name))
    s3.put_object(Bucket=BUCKET, Key=key, Body=json.dumps(value).encode())


def a_success(s3, hour, listed=False):
    """Seals an export of two objects as Landfall does, with the members that the schemas require."""
    job_key = f"20261101T{hour:02}0000Z-1a2b3c4d"
    time = f"2026-11-01T{hour:02}:00:00Z"
    prefix = f"s3://{BUCKET}/segment-snapshot/run={job_key}/"
    under = f"segment-snapshot/run={job_key}/"
    data = [
        {"key": f"{under}{name}", "role": role, "size": 10, "etag": '"0"', "last_modified": time}
        for name, role in (("part-0.csv", "data"), ("part-1.csv", "data"), ("test-file", "extra"))
    ]
    output = {"prefix": prefix, "object_count": 2, "rows": 4, "bytes": 20, "objects": data, "objects_omitted": 0}
    if listed:
        body = "".join(json.dumps(item) + "\n" for item in data).encode()
        s3.put_object(Bucket=BUCKET, Key=f"{under}_objects.jsonl", Body=body)
        output |= {"objects": data[:1], "objects_omitted": 2}
        output["objects_file"] = {"uri": f"{prefix}_objects.jsonl", "sha256": "0" * 64, "bytes": len(body)}
        jsonschema.validate(output["objects_file"], sub(schema("receipt"), "Sidecar"))
    for item in data:
        jsonschema.validate(item, sub(schema("receipt"), "VerifiedObject"))
    jsonschema.validate(output, sub(schema("receipt"), "Output"))
    keep(s3, f"{under}_receipt.json", {"job_key": job_key, "output": output})
    latest = {
        "schema": "landfall.latest/1",
        "kind": "segment-snapshot",
        "job_key": job_key,
        "receipt": f"{prefix}_receipt.json",
        "prefix": prefix,
        "triggered_at": time,
        "sealed_at": time,
        "objects": 2,
        "rows": 4,
        "bytes": 20,
        "request_sha256": "0" * 64,
    }
    keep(s3, "segment-snapshot/_latest.json", latest, "latest")
    return job_key


def sub(whole, name):
    return {**whole["$defs"][name], "$defs": whole["$defs"]}


def module(name):
    spec = importlib.util.spec_from_file_location(name, RECIPES / f"{name}.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def the_loader():
    recipe = module("load_latest")
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
        s3.create_bucket(Bucket=BUCKET)
        seen = []

        def load(receipt, data):
            seen.append((receipt["job_key"], len(list(data))))

        def run():
            return recipe.load_latest(s3, f"s3://{BUCKET}/segment-snapshot/", f"s3://{BUCKET}/loaded.json", load)

        assert run() is None, "there is nothing yet"
        first = a_success(s3, 3)
        assert (run(), run()) == (first, None), "once, and not again"
        second = a_success(s3, 5, listed=True)
        assert run() == second
        assert seen == [(first, 2), (second, 2)], seen
        a_success(s3, 4)
        assert run() is None, "an older one is not loaded"

        # Another loader finishes while this one loads. One of them stops.
        third = a_success(s3, 7)

        def late(receipt, data):
            recipe.load_latest(s3, f"s3://{BUCKET}/segment-snapshot/", f"s3://{BUCKET}/loaded.json", load)

        try:
            recipe.load_latest(s3, f"s3://{BUCKET}/segment-snapshot/", f"s3://{BUCKET}/loaded.json", late)
        except ClientError as error:
            assert error.response["Error"]["Code"] == "PreconditionFailed", error
        else:
            raise AssertionError("two loaders wrote what they loaded")
        assert seen[-1] == (third, 2), seen

        fourth = a_success(s3, 8)
        s3.delete_object(Bucket=BUCKET, Key=f"segment-snapshot/run={fourth}/_receipt.json")
        try:
            run()
        except LookupError as error:
            assert fourth in str(error)
        else:
            raise AssertionError("a receipt that was deleted was loaded")


def statements(text, dialect):
    """The kinds of statements. What sqlglot cannot read in this dialect becomes a Command, which counts as wrong."""
    read = sqlglot.parse(text, dialect=dialect, error_level=sqlglot.ErrorLevel.RAISE)
    return [type(statement).__name__ for statement in read]


def the_sql():
    expected = {"athena": ["Create", "Alter", "Select"], "redshift": ["Copy"]}
    for dialect, kinds in expected.items():
        text = (RECIPES / f"{dialect}.sql").read_text()
        assert statements(text, dialect) == kinds, f"{dialect}: {statements(text, dialect)}"
    (copy,) = sqlglot.parse((RECIPES / "redshift.sql").read_text(), dialect="redshift")
    (source,) = copy.args["files"]
    parameters = {str(parameter.this).upper() for parameter in copy.args["params"]}
    assert source.name.endswith("/_manifest.json") and "MANIFEST" in parameters, (source, parameters)
    for broken, dialect in (("COPPY t FROM 's3://b/k'", "redshift"), ("CREATE EXTERN TABLE t (a string)", "athena")):
        try:
            assert statements(broken, dialect) in (["Command"], ["Alias"]), statements(broken, dialect)
        except sqlglot.errors.ParseError:
            pass


def the_template():
    lint = Path(sys.executable).parent / "cfn-lint"
    whole = RECIPES / "on_announcement.yaml"
    subprocess.run([lint, whole], check=True)
    with_a_mistake = whole.read_text().replace("!GetAtt LoadFunction.Arn", "!GetAtt LoadFunktion.Arn")
    with tempfile.TemporaryDirectory() as folder:
        spoiled = Path(folder) / whole.name
        spoiled.write_text(with_a_mistake)
        judged = subprocess.run([lint, spoiled], capture_output=True)
    assert b"LoadFunktion" in judged.stdout, judged


class Airflow:
    """The parts of Airflow 3 that the DAG uses: its decorators, the result of a poke, and the S3 hook."""

    def __init__(self, s3):
        self.tasks, self.wired, self.settings = {}, [], {}
        self.sdk = types.ModuleType("airflow.sdk")
        self.sdk.dag, self.sdk.task = self.dag, self
        self.sdk.PokeReturnValue = lambda is_done, xcom_value=None: (is_done, xcom_value)
        self.hooks = types.ModuleType("airflow.providers.amazon.aws.hooks.s3")
        self.hooks.S3Hook = lambda: types.SimpleNamespace(get_conn=lambda: s3)

    def dag(self, **settings):
        self.settings["dag"] = settings
        return lambda build: build

    def __call__(self, function):
        self.tasks[function.__name__] = function

        def call(*given):
            self.wired.append((function.__name__, given))
            return function.__name__

        return call

    def sensor(self, **settings):
        self.settings["sensor"] = settings
        return self

    def modules(self):
        named = {"airflow.sdk": self.sdk, "airflow.providers.amazon.aws.hooks.s3": self.hooks}
        for name in list(named):
            parts = name.split(".")
            for end in range(1, len(parts)):
                named.setdefault(".".join(parts[:end]), types.ModuleType(".".join(parts[:end])))
        return named


def the_dag():
    with mock_aws(), mock.patch.object(sys, "path", [str(RECIPES), *sys.path]):
        s3 = boto3.client("s3", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
        s3.create_bucket(Bucket=BUCKET)
        airflow = Airflow(s3)
        with mock.patch.dict(sys.modules, airflow.modules()):
            module("airflow_dag")
        assert airflow.wired == [("sealed", ()), ("load", ("sealed",))], airflow.wired
        sensor, load = airflow.tasks["sealed"], airflow.tasks["load"]
        # The sensor outlasts a job's default deadline, and frees its slot between two pokes.
        assert airflow.settings["sensor"]["timeout"] > 21_600 and airflow.settings["sensor"]["mode"] == "reschedule"
        tonight = datetime(2026, 11, 1, 3, tzinfo=timezone.utc)

        assert sensor(data_interval_end=tonight) == (False, None), "there is no receipt yet"
        a_success(s3, 2)
        assert sensor(data_interval_end=tonight) == (False, None), "that of yesterday does not count"
        # A failed job leaves no receipt beside data, so the sensor keeps waiting, whatever else the job wrote.
        s3.put_object(Bucket=BUCKET, Key="segment-snapshot/run=20261101T030000Z-ffffffff/part-0.csv", Body=b"a,b\n")
        assert sensor(data_interval_end=tonight) == (False, None), "what is not sealed does not count"
        key = a_success(s3, 3, listed=True)
        done, receipt = sensor(data_interval_end=tonight)
        assert (done, receipt) == (True, f"s3://{BUCKET}/segment-snapshot/run={key}/_receipt.json"), receipt
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            load(receipt)
        assert said.getvalue().count("part-") == 2 and "test-file" not in said.getvalue(), said.getvalue()
        s3.delete_object(Bucket=BUCKET, Key=f"segment-snapshot/run={key}/_receipt.json")
        try:
            load(receipt)
        except LookupError as error:
            assert key in str(error)
        else:
            raise AssertionError("it loaded what no receipt proves")


def the_page():
    page = (ROOT / "docs/consume.md").read_text()
    for recipe in RECIPES.iterdir():
        assert recipe.suffix in {".py", ".sql", ".yaml"}, f"no check reads {recipe.name}"
        assert f"recipes/{recipe.name}" in page, f"docs/consume.md does not name {recipe.name}"


for check in (the_loader, the_dag, the_sql, the_template, the_page):
    check()
print("recipes: all hold")
