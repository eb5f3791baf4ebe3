"""Times functions as Lambda starts them: process start to first `next`, to first answer, and warm answers.

What must stay true: every contestant is a process of its own, started again in every round, with the environment that
Lambda sets and nothing else. All ask one server, which is both the Lambda Runtime API and the service, and answers from
memory. The rounds are interleaved, so that other work on the machine affects all contestants alike. Memory is the peak
of the resident process, as the kernel counts it.

Prints one line of JSON for each contestant, with medians and quartiles.
"""

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

NOW = time.time()


def instant(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(NOW + seconds))


# A job that runs at the service, as the state machine passes it to the poll function.
JOB = {
    "schema": "landfall.job/1",
    "kind": "segment-snapshot",
    "job_key": "20261101T050000Z-1a2b3c4d",
    "name": None,
    "execution": "arn:aws:states:eu-central-1:111122223333:execution:landfall-segment-snapshot:one",
    "status": "running",
    "request": {"DomainName": "shop", "SegmentDefinitionName": "gold", "DataFormat": "CSV"},
    "request_sha256": "00" * 32,
    "service_id": "0123456789abcdef0123456789abcdef",
    "attempt": 1,
    "adopted": False,
    "started_at": instant(-120),
    "accepted_at": instant(-119),
    "deadline_at": instant(21_600),
    "polling": {"min_seconds": 15, "max_seconds": 1800},
    "wait_seconds": 15,
    "polls": 1,
    "missed": {"count": 0, "unanswered": 0, "in_a_row": 0, "rest_seconds": 15, "resumed": False},
}

# The answer of Customer Profiles to GetSegmentSnapshot.
SNAPSHOT = {"SnapshotId": JOB["service_id"], "Status": "IN_PROGRESS", "DataFormat": "CSV"}

# The job's entry in the ledger, which a poll reads to see whether the job was cancelled.
ENTRY = {
    "schema": "landfall.ledger/1",
    "kind": JOB["kind"],
    "trigger": {
        "job_key": JOB["job_key"],
        "event_id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
        "source": "com.example",
        "time": instant(-121),
        "schedule": None,
        "account": "111122223333",
        "region": "eu-central-1",
        "request_sha256": JOB["request_sha256"],
    },
    "name": None,
    "request": JOB["request"],
    "created_at": instant(-121),
    "deadline_at": JOB["deadline_at"],
    "attempts": [
        {
            "number": 1,
            "key": JOB["job_key"],
            "prefix": f"s3://exports/gold/run={JOB['job_key']}/",
            "state": "started",
            "owner": f"{JOB['execution']}/00000000-0000-4000-8000-000000000000",
            "claimed_at": instant(-121),
            "lease_until": instant(-61),
            "service_id": JOB["service_id"],
            "started_at": JOB["accepted_at"],
        }
    ],
    "written_by": "00000000-0000-4000-8000-000000000001",
}

EVENTS = {"poll": JOB, "echo": {"echo": True}}


class Lambda:
    """The Runtime API for one environment at a time, and the service."""

    def __init__(self):
        self.event = self.times = self.left = self.done = None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1

            def setup(self):
                super().setup()
                self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

            def log_message(self, *_):
                pass

            def reply(self, body, status=200, headers=()):
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                self.wfile.flush()

            def do_GET(self):
                if self.path.startswith("/ledger/"):
                    self.reply(json.dumps(ENTRY).encode(), headers=[("etag", '"1"')])
                    return
                if not self.path.endswith("/invocation/next"):
                    self.reply(json.dumps(SNAPSHOT).encode())
                    return
                outer.times.append(time.perf_counter())
                if outer.left == 0:
                    # Lambda freezes an environment that waits here.
                    outer.done.set()
                    outer.ended.wait()
                    self.close_connection = True
                    return
                outer.left -= 1
                headers = [
                    ("lambda-runtime-aws-request-id", f"00000000-0000-4000-8000-{outer.left:012}"),
                    ("lambda-runtime-deadline-ms", str(int((time.time() + 60) * 1000))),
                    ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:eu-central-1:111122223333:function:f"),
                    ("lambda-runtime-trace-id", "Root=1-00000000-000000000000000000000000"),
                ]
                self.reply(json.dumps(outer.event).encode(), headers=headers)

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                if self.headers.get("transfer-encoding") == "chunked":
                    while (size := int(self.rfile.readline(), 16)) > 0:
                        body += self.rfile.read(size)
                        self.rfile.readline()
                    self.rfile.readline()
                outer.times.append(time.perf_counter())
                outer.answers.append((self.path.rsplit("/", 1)[-1], body))
                self.reply(b"{}", status=202)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.address = "127.0.0.1:%d" % self.server.server_address[1]

    def run(self, contestant, warm):
        """Starts it, lets it answer, and ends it. Returns milliseconds and bytes."""
        self.event, self.left = EVENTS.get(contestant.event), warm + 1 if contestant.event else 0
        self.times, self.answers = [], []
        self.done, self.ended = threading.Event(), threading.Event()
        environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin:/opt/bin",
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "_HANDLER": contestant.handler,
            "LAMBDA_TASK_ROOT": str(contestant.folder),
            "AWS_REGION": "eu-central-1",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_SESSION_TOKEN": "local",
            "AWS_ENDPOINT_URL": f"http://{self.address}",
            "AWS_LAMBDA_FUNCTION_NAME": "f",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
            "AWS_LAMBDA_LOG_FORMAT": "JSON",
            "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/f",
            "AWS_LAMBDA_LOG_STREAM_NAME": "stream",
            "AWS_LAMBDA_RUNTIME_API": self.address,
            "LANDFALL_LEDGER_BUCKET": "ledger",
        }
        with tempfile.TemporaryFile() as log:
            begun = time.perf_counter()
            child = subprocess.Popen(
                contestant.command, env=environment, cwd=contestant.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
            self.done.wait(60)
            memory = peak(child.pid)
            child.kill()
            child.wait()
            self.ended.set()
            log.seek(0)
            failed = [body for kind, body in self.answers if kind != "response"]
            if failed or b"WARN" in (told := log.read()) or len(self.answers) != (warm + 1 if contestant.event else 0):
                raise SystemExit(f"{contestant.name} did not answer: {failed} {told.decode(errors='replace')}")
        of = {"next": self.times[0] - begun, "memory": memory}
        if contestant.event:
            of["first"] = self.times[1] - begun
            # A warm answer takes from the delivery of an event to its answer.
            of["warm"] = statistics.median(b - a for a, b in zip(self.times[2::2], self.times[3::2]))
        return of


class Contestant:
    def __init__(self, name, command, event, folder, handler="bootstrap"):
        self.name, self.command, self.event, self.folder, self.handler = name, command, event, folder, handler
        self.runs = []


def peak(pid):
    """The peak memory in bytes. wait4 would include the memory that this process had when it forked."""
    status = Path(f"/proc/{pid}/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)


def zipped(binary):
    with tempfile.TemporaryFile() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(binary, "bootstrap")
        return file.tell()


def spread(values):
    low, middle, high = statistics.quantiles(values, n=4) if len(values) > 1 else values * 3
    return {"median": middle, "quartiles": [low, high]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--warm", type=int, default=5, help="answers after the first one, of each process")
    parser.add_argument("--binaries", type=Path, required=True, help="a folder of function binaries")
    parser.add_argument("--echo", type=Path, required=True, help="a function that answers what it is given")
    parser.add_argument("--python", action="store_true", help="this interpreter's boto3 and awslambdaric take part")
    parser.add_argument("--node", type=Path, help="the folder of a poll.mjs whose packages are installed takes part")
    parser.add_argument("names", nargs="+")
    arguments = parser.parse_args()

    def binary(name, path, event):
        return Contestant(name, [str(path)], event, path.parent)

    contestants = [binary("echo", arguments.echo.absolute(), "echo")]
    for name in arguments.names:
        # Only the function whose service is here has something to do. Of the others only the start is timed.
        event = "poll" if name == "segment-snapshot-poll" else None
        contestants.append(binary(name, (arguments.binaries / name).absolute(), event))
    if arguments.python:
        here = Path(__file__).absolute().parent
        command = [sys.executable, "-m", "awslambdaric", "poll_handler.handler"]
        contestants.append(Contestant("python", command, "poll", here, "poll_handler.handler"))
    if arguments.node:
        folder = arguments.node.absolute()
        contestants.append(Contestant("node", [shutil.which("node"), "poll.mjs"], "poll", folder))

    server = Lambda()
    for turn in range(arguments.rounds + 1):
        for contestant in contestants:
            run = server.run(contestant, arguments.warm)
            # The first round warms the machine's caches.
            if turn:
                contestant.runs.append(run)
    for contestant in contestants:
        result = {"name": contestant.name}
        for what in contestant.runs[0]:
            scale = 1 if what == "memory" else 1000
            result[what] = spread([run[what] * scale for run in contestant.runs])
        if len(contestant.command) == 1:
            result["size"] = os.path.getsize(contestant.command[0])
            result["zip"] = zipped(contestant.command[0])
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
