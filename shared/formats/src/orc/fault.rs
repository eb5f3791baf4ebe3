//! What is wrong within a stripe, in words of our own: its place is known further out.

pub(super) type Fault = &'static str;
