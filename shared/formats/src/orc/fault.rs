//! What is wrong within a stripe, in our own words. The caller adds the place.

pub(super) type Fault = &'static str;
