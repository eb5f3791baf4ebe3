-- One table over all sealed exports of a destination. Athena skips names that begin with `_`, so receipts are no rows.
-- Partitions are added one by one, from announcements or receipts: a prefix that is not sealed is never read.
CREATE EXTERNAL TABLE segment_snapshot (
  profile_id string,
  first_name string,
  last_name string
)
PARTITIONED BY (run string)
ROW FORMAT SERDE 'org.apache.hadoop.hive.serde2.OpenCSVSerde'
STORED AS TEXTFILE
LOCATION 's3://landfall-exports/segment-snapshot/'
TBLPROPERTIES ('skip.header.line.count' = '1');

-- For each success: `job_key` and `prefix` of the announcement.
ALTER TABLE segment_snapshot ADD IF NOT EXISTS
  PARTITION (run = '20261101T030000Z-1a2b3c4d')
  LOCATION 's3://landfall-exports/segment-snapshot/run=20261101T030000Z-1a2b3c4d/';

SELECT count(*) AS profiles
FROM segment_snapshot
WHERE run = '20261101T030000Z-1a2b3c4d';
