"""Loads the newest sealed export of a destination, once.

    python load_latest.py s3://landfall-exports/segment-snapshot/ s3://my-bucket/loaded/segment-snapshot.json

The first argument is the destination of the export, the second an object of your own that remembers what was loaded. Run
it as often as you like: it loads only what is newer, and of two loaders that run at once one stops. Needs boto3 alone.
"""

import json
import sys
from datetime import datetime
from urllib.parse import urlparse

import boto3
from botocore.exceptions import ClientError


def place(uri):
    parsed = urlparse(uri)
    return {"Bucket": parsed.netloc, "Key": parsed.path.lstrip("/")}


def read(s3, uri):
    """The object's JSON and its ETag, or nothing if there is no object."""
    try:
        answer = s3.get_object(**place(uri))
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchKey":
            return None, None
        raise
    return json.load(answer["Body"]), answer["ETag"]


def objects(s3, receipt):
    """All data objects that the receipt proves, also if there are too many for the receipt itself."""
    listed = receipt["output"].get("objects_file")
    if listed:
        every = map(json.loads, s3.get_object(**place(listed["uri"]))["Body"].iter_lines())
    else:
        every = receipt["output"]["objects"]
    # Beside data, a receipt names the service's test file and what else lies there.
    return (item for item in every if item["role"] == "data")


def age(latest):
    return tuple(datetime.fromisoformat(latest[time].replace("Z", "+00:00")) for time in ("triggered_at", "sealed_at"))


def load_latest(s3, destination, memory, load):
    """Calls `load(receipt, objects)` for the newest success, unless it was loaded already. Gives its job key, or None.

    `memory` is written after the load: if that fails, or the loader dies, the next run loads again. Make `load` replace
    what an earlier try of the same job key left.
    """
    latest, _ = read(s3, destination.rstrip("/") + "/_latest.json")
    if latest is None:
        return None
    loaded, etag = read(s3, memory)
    if loaded and age(latest) <= age(loaded):
        return None
    receipt, _ = read(s3, latest["receipt"])
    if receipt is None:
        raise LookupError(f"{latest['receipt']} was deleted: the export of {latest['job_key']} is gone")
    load(receipt, objects(s3, receipt))
    # Only one of two loaders that run at once may write it.
    unchanged = {"IfMatch": etag} if etag else {"IfNoneMatch": "*"}
    s3.put_object(**place(memory), Body=json.dumps(latest).encode(), **unchanged)
    return latest["job_key"]


def show(receipt, data):
    for item in data:
        print(item["key"], item.get("rows"), item["size"])


if __name__ == "__main__":
    done = load_latest(boto3.client("s3"), *sys.argv[1:3], show)
    print(f"loaded {done}" if done else "nothing new")
