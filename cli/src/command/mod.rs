//! The command line: one file for each command.

mod again;
mod arguments;
mod cancel;
mod check;
mod completions;
mod consent;
mod deed;
mod doctor;
mod entry;
mod held;
mod jobs;
mod new;
mod outcome;
mod report;
mod send;
mod show;
mod verify;
mod watch;

pub(crate) use self::entry::main;
