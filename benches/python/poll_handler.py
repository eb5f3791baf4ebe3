"""Does what `segment-snapshot-poll` does, in a few lines of Python as people write them: polls the job and returns it.
"""

import boto3
from botocore.config import Config

client = boto3.client("customer-profiles", config=Config(retries={"total_max_attempts": 1}, connect_timeout=5))


def handler(job, _):
    if job["status"] != "running":
        return job
    request = job["request"]
    snapshot = client.get_segment_snapshot(
        DomainName=request["DomainName"],
        SegmentDefinitionName=request["SegmentDefinitionName"],
        SnapshotId=job["service_id"],
    )
    status = {"COMPLETED": "succeeded", "FAILED": "failed"}.get(snapshot["Status"], "running")
    return job | {"polls": job["polls"] + 1, "service_status": snapshot["Status"], "status": status, "wait_seconds": 15}
