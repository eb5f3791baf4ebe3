//! The command line, one room for each command.

mod arguments;
mod check;
mod entry;
mod keep;
mod run;
mod screen;
mod serve;
mod verify;

pub(crate) use self::entry::main;
