//! The command line, one room for each command.

mod arguments;
mod entry;
mod keep;
mod run;
mod serve;

pub(crate) use self::entry::main;
