//! Names of members that Landfall adds to an event.

/// The member of `detail` that holds Landfall's options.
pub const OPTIONS: &str = "Landfall";
