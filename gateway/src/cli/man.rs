//! `gateway man`

use super::{Cli, End, output};
use crate::control::types::Problem;
use clap::CommandFactory;
use std::path::PathBuf;

#[derive(clap::Args)]
pub(crate) struct Man {
    /// Write one page a command into this folder
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Man {
    pub(crate) fn run(&self) -> Result<End, Problem> {
        let written = match &self.dir {
            Some(dir) => std::fs::create_dir_all(dir)
                .and_then(|()| clap_mangen::generate_to(Cli::command(), dir))
                .map_err(|error| (dir.display().to_string(), error)),
            None => {
                let mut page = Vec::new();
                let rendered = clap_mangen::Man::new(Cli::command()).render(&mut page);
                output::print(&String::from_utf8_lossy(&page));
                rendered.map_err(|error| ("standard output".into(), error))
            }
        };
        let failed = |(place, error)| Problem::host(format!("{place} cannot be written: {error}"), "");
        written.map(|()| End::Done).map_err(failed)
    }
}
