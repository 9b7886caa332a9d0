//! What a person types: one file a command.

use std::process::ExitCode;

/// Parses the command line, runs the command, returns its exit code.
pub fn main() -> ExitCode {
    todo!()
}
