//! Names that Landfall gave to members of an event.

/// The member of `detail` that holds our own options.
pub const OPTIONS: &str = "Landfall";
