//! The names of the local account and of what the stack creates there.

pub use landfall_cli::verify::kept::{EXPORTS, LEDGER};

pub const ACCOUNT: &str = "111122223333";

pub const PARTITION: &str = "aws";

pub const REGION: &str = "eu-central-1";

/// The name of the stack.
pub const STACK: &str = "landfall";

/// The bus on which jobs are announced.
pub const BUS: &str = "landfall";
