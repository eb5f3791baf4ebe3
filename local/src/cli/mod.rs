//! The command line: one file for each command.

mod arguments;
mod done;
mod entry;
mod keep;
mod refusal;
mod run;
mod serve;

pub(crate) use self::entry::main;
