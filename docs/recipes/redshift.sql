-- The manifest lies beside the receipt and names the data objects alone, each with its size: COPY fails if one is missing.
COPY segment_snapshot
FROM 's3://landfall-exports/segment-snapshot/run=20261101T030000Z-1a2b3c4d/_manifest.json'
IAM_ROLE 'arn:aws:iam::111122223333:role/redshift-load'
MANIFEST
FORMAT AS CSV
IGNOREHEADER 1;
