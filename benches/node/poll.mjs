// What `segment-snapshot-poll` does, in a few lines of JavaScript as people write them, and the loop that runs it.
//
// Lambda's own client of the runtime API for Node compiles C++ when it is installed. This loop asks with `fetch` instead,
// which loads less than that client does: the comparison favours Node.

import { CustomerProfilesClient, GetSegmentSnapshotCommand } from "@aws-sdk/client-customer-profiles";

const client = new CustomerProfilesClient({ maxAttempts: 1 });

const STATUS = { COMPLETED: "succeeded", FAILED: "failed" };

async function handler(job) {
  if (job.status !== "running") {
    return job;
  }
  const { DomainName, SegmentDefinitionName } = job.request;
  const snapshot = await client.send(
    new GetSegmentSnapshotCommand({ DomainName, SegmentDefinitionName, SnapshotId: job.service_id }),
  );
  const status = STATUS[snapshot.Status] ?? "running";
  return { ...job, polls: job.polls + 1, service_status: snapshot.Status, status, wait_seconds: 15 };
}

const runtime = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation`;
for (;;) {
  const next = await fetch(`${runtime}/next`);
  const id = next.headers.get("lambda-runtime-aws-request-id");
  const body = JSON.stringify(await handler(await next.json()));
  await fetch(`${runtime}/${id}/response`, { method: "POST", body });
}
