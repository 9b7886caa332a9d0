//! `gateway cache`

use super::named::StageArgument;
use super::output::{self, row};
use super::{End, Global, client};
use crate::control::types::{CacheFlushed, CacheStats, FlushRequest, Problem, StageCache};

#[derive(clap::Subcommand)]
pub(crate) enum Cache {
    /// Entries, bytes, hits and misses of each stage that has a cache
    Stats,
    /// Forget what was cached: the next request of each kind asks the backend
    Flush {
        #[command(flatten)]
        stage: StageArgument,
    },
}

impl Cache {
    pub(crate) fn run(&self, global: &Global) -> Result<End, Problem> {
        match self {
            Self::Stats => {
                let stats: CacheStats = client::get(global, "/cache")?;
                if global.json {
                    output::json(&stats)?;
                } else {
                    output::print(&text(&stats));
                }
            }
            Self::Flush { stage } => {
                let named = stage.find(global)?.named;
                let request = FlushRequest { api: named.id, stage: named.stage };
                let done: CacheFlushed = client::post_change(global, "/cache/flush", &request, false)?;
                if global.json {
                    output::json(&done)?;
                } else {
                    for one @ StageCache { stage, entries, .. } in &done.flushed {
                        let entries = output::many(*entries, "entry is", "entries are");
                        output::print(&format!("{}, stage {stage}: {entries} forgotten\n", api(one)));
                    }
                }
            }
        }
        Ok(End::Done)
    }
}

fn text(stats: &CacheStats) -> String {
    if stats.stages.is_empty() {
        return "no stage has a cache: write cache_cluster_size = \"0.5\" in an [[api]], or `aws apigateway \
                update-stage --patch-operations op=replace,path=/cacheClusterEnabled,value=true`\n"
            .into();
    }
    let mut rows = vec![row(["API", "STAGE", "ENTRIES", "MIB", "OF", "HITS", "MISSES", "HIT RATE"])];
    for stage in &stats.stages {
        rows.push(row([
            &api(stage),
            &stage.stage,
            &stage.entries.to_string(),
            &mebibytes(stage.bytes),
            &mebibytes(stage.bytes_max),
            &stage.hits.to_string(),
            &stage.misses.to_string(),
            &rate(stage.hits, stage.misses),
        ]));
    }
    let all = format!("\nall caches {} of {} MiB\n", mebibytes(stats.bytes), mebibytes(stats.bytes_max));
    output::table(&rows) + &all
}

/// A canary stands beside its stage.
fn api(of: &StageCache) -> String {
    let canary = if of.api.ends_with("/canary") { "/canary" } else { "" };
    format!("{}{canary}", of.api_name)
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / f64::from(1 << 20))
}

fn rate(hits: u64, misses: u64) -> String {
    match hits + misses {
        0 => "-".into(),
        all => format!("{:.1} %", 100.0 * hits as f64 / all as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        assert_eq!((mebibytes(0), mebibytes(1 << 29)), ("0.0".into(), "512.0".into()));
        assert_eq!((rate(0, 0), rate(1, 2), rate(5, 0)), ("-".into(), "33.3 %".into(), "100.0 %".into()));
    }
}
