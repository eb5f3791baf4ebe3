//! Segment snapshots of Amazon Connect Customer Profiles.
