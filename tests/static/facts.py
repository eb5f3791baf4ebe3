"""Checks what docs/ say that AWS's services cannot do against AWS's own models."""

import sys

from botocore.loaders import Loader
from botocore.model import ServiceModel

# The operations of each service that concern its jobs. None of them stops a job (docs/operations.md, "Cancel a job").
JOBS = {
    "customer-profiles": ("SegmentSnapshot", {"CreateSegmentSnapshot", "GetSegmentSnapshot"}),
    "pinpoint": (
        "portJob",
        {
            *("CreateExportJob", "GetExportJob", "GetExportJobs", "GetSegmentExportJobs"),
            *("CreateImportJob", "GetImportJob", "GetImportJobs", "GetSegmentImportJobs"),
        },
    ),
    "quicksight": (
        "SnapshotJob",
        {
            *("StartDashboardSnapshotJob", "StartDashboardSnapshotJobSchedule"),
            *("DescribeDashboardSnapshotJob", "DescribeDashboardSnapshotJobResult"),
        },
    ),
}
# Everything that a sender of events can choose: no other member than `detail` (docs/architecture.md, "Cancelling").
SENT = {"Time", "Source", "Resources", "DetailType", "Detail", "EventBusName", "TraceHeader"}


def model(service):
    return ServiceModel(Loader().load_service_model(service, "service-2"), service)


def faults():
    for service, (word, known) in JOBS.items():
        found = {name for name in model(service).operation_names if word in name}
        if found != known:
            yield f"{service} has other operations of its jobs than the documents go by: {sorted(found ^ known)}"
    members = set(model("events").shape_for("PutEventsRequestEntry").members)
    if members != SENT:
        yield f"a sender of events chooses more or less than the documents go by: {sorted(members ^ SENT)}"


found = list(faults())
for fault in found:
    print(f"facts: {fault}")
sys.exit(bool(found))
