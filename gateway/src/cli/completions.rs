//! `gateway completions`

use super::{Cli, End, output};
use crate::control::types::Problem;
use clap::CommandFactory;

#[derive(clap::Args)]
pub(crate) struct Completions {
    /// The shell that reads them
    shell: clap_complete::Shell,
}

impl Completions {
    pub(crate) fn run(&self) -> Result<End, Problem> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "gateway", &mut script);
        output::print(&String::from_utf8_lossy(&script));
        Ok(End::Done)
    }
}
