//! `cargo xtask fuzz`: coverage-guided fuzzing of whatever reads bytes that others wrote, on the stable toolchain.

#[path = "../../../tests/corpus/cases.rs"]
#[allow(clippy::unwrap_used, dead_code)] // written for tests, which ask more of a case
mod cases;
mod engine;
#[path = "../../../tests/fuzz/kept.rs"]
#[allow(unreachable_pub, dead_code)] // the replay names the lines of inputs
mod kept;
#[path = "../../../tests/fuzz/targets.rs"]
#[allow(unreachable_pub)]
mod targets;
mod work;

use crate::{shell, signals};
use anyhow::{Context as _, Result, bail};
use engine::{Engine, Outcome};
use serde_json::json;
use std::path::{Path, PathBuf};
use targets::{TARGETS, Target};
use work::Work;

const ALL: &str = "all";

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Which targets, in turn, or `all` of them; without one they are listed
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// How long each is fuzzed
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Tries this one input, such as one with which a target failed, and fuzzes nothing
    #[arg(long, value_name = "FILE", conflicts_with = "merge")]
    input: Option<PathBuf>,
    /// Afterwards adds the inputs that reach what no kept one does to `tests/corpus/fuzz`, which `cargo xtask test`
    /// replays
    #[arg(long)]
    merge: bool,
    /// What came of it as JSON on stdout
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    if options.targets.is_empty() {
        return list(options.json);
    }
    let chosen = chosen(&options.targets)?;
    if options.input.is_some() && chosen.len() > 1 {
        bail!("an input belongs to one target: name that one alone");
    }
    let engine = Engine::build()?;
    if let (Some(input), [target, ..]) = (&options.input, chosen.as_slice()) {
        return try_input(&engine, target, input);
    }
    // Ctrl-C reaches the engine as well, which tells how far it came: wait for it.
    signals::catch()?;
    let mut all = Vec::new();
    let mut failed = Vec::new();
    for target in chosen {
        let work = Work::prepare(target)?;
        let outcome = engine.fuzz(target, &work, options.seconds)?;
        tell(target, &outcome);
        if options.merge && outcome.finding.is_none() {
            merge(&engine, target, &work)?;
        }
        all.push(as_json(target, &outcome)?);
        failed.extend(outcome.finding.is_some().then_some(target.name));
        if signals::asked_to_end() {
            break;
        }
    }
    if options.json {
        println!("{}", serde_json::to_string_pretty(&all)?);
    }
    signals::check()?;
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

fn chosen(names: &[String]) -> Result<Vec<&'static Target>> {
    if names.iter().any(|name| name == ALL) {
        return Ok(TARGETS.iter().collect());
    }
    let named = |name: &String| {
        let known = || TARGETS.each_ref().map(|target| target.name).join(", ");
        let found = TARGETS.iter().find(|target| target.name == name);
        found
            .with_context(|| format!("no fuzz target is called `{name}`: write one of {}, or {ALL}", known()))
    };
    names.iter().map(named).collect()
}

fn list(as_json: bool) -> Result<()> {
    let mut all = Vec::new();
    for target in &TARGETS {
        let file = kept::file(shell::root(), target.name);
        let kept = work::kept(&file)?.len();
        if !as_json {
            println!("{:<10} {:<42} {kept:>4} inputs kept", target.name, target.about);
        }
        all.push(json!({ "target": target.name, "about": target.about, "kept": kept }));
    }
    match as_json {
        true => println!("{}", serde_json::to_string_pretty(&all)?),
        false => println!("\nOne of them, or all: cargo xtask fuzz TARGET --seconds 600 --merge"),
    }
    Ok(())
}

fn try_input(engine: &Engine, target: &Target, input: &Path) -> Result<()> {
    let bytes = std::fs::read(input).with_context(|| format!("{}", input.display()))?;
    println!("{}: {} bytes: {}", target.name, bytes.len(), bytes.escape_ascii());
    engine.run_once(target, input).with_context(|| format!("target {} does not hold", target.name))?;
    println!("{}: holds", target.name);
    Ok(())
}

/// On stderr: stdout may be JSON.
fn tell(target: &Target, outcome: &Outcome) {
    eprintln!("{}: {outcome}", target.name);
    let Some(finding) = &outcome.finding else { return };
    let shown = finding.display();
    eprintln!("{}\nThe input with which it failed: {shown}", outcome.last_lines);
    eprintln!("Again: cargo xtask fuzz {} --input {shown}", target.name);
    eprintln!("When it is mended, it belongs into tests/corpus as a case with a name.");
}

fn as_json(target: &Target, outcome: &Outcome) -> Result<serde_json::Value> {
    let kept = work::kept(&kept::file(shell::root(), target.name))?.len();
    Ok(json!({
        "target": target.name,
        "seconds": outcome.seconds,
        "cpu_seconds": outcome.cpu_seconds,
        "runs": outcome.runs,
        "edges": outcome.edges,
        "features": outcome.features,
        "inputs": outcome.inputs,
        "kept": kept,
        "finding": outcome.finding,
    }))
}

fn merge(engine: &Engine, target: &Target, work: &Work) -> Result<()> {
    let before = work.lay_out_kept(target)?;
    engine.merge(target, work)?;
    let after = work.keep(target)?;
    eprintln!("{}: {after} inputs kept, {} of them new", target.name, after - before);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;
    use std::fs;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn options(line: &str) -> Result<Options, clap::Error> {
        Line::try_parse_from(["fuzz"].into_iter().chain(line.split(' '))).map(|line| line.options)
    }

    /// In place of libFuzzer, which takes minutes to build: fails as it does on the input `bad`, and writes down what
    /// it was asked.
    fn engine(folder: &Path) -> Engine {
        let program = folder.join("engine");
        let script = "#!/bin/sh\nfor last; do :; done\necho \"$FUZZ_TARGET $*\" > \"${0%/*}/asked\"\n\
                      grep -q '^bad$' \"$last\" && exit 77\nexit 0\n";
        // By another process: a child of another test's could still have it open to write when it is to be run.
        let write = "printf %s \"$1\" > \"$0\" && chmod +x \"$0\"";
        let written = std::process::Command::new("sh").args(["-c", write]).arg(&program).arg(script).status();
        assert!(written.unwrap().success());
        Engine::at(program)
    }

    #[test]
    fn one_input_is_given_to_its_target_alone() {
        let folder = std::env::temp_dir().join(format!("xtask-fuzz-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let engine = engine(&folder);
        let target = chosen(&["chunked".to_owned()]).unwrap()[0];
        let input = |name: &str, bytes: &str| {
            let file = folder.join(name);
            fs::write(&file, bytes).unwrap();
            file
        };
        let good = input("good", "0\r\n\r\n");
        try_input(&engine, target, &good).unwrap();
        let asked = fs::read_to_string(folder.join("asked")).unwrap();
        assert!(
            asked.starts_with("chunked ") && asked.trim_end().ends_with(good.to_str().unwrap()),
            "{asked}"
        );
        assert!(!asked.contains("-max_total_time") && !asked.contains("-runs"), "it fuzzes: {asked}");
        let failed = format!("{:#}", try_input(&engine, target, &input("other", "bad\n")).unwrap_err());
        assert!(failed.contains("chunked does not hold") && failed.contains("77"), "{failed}");
        let missing = format!("{:#}", try_input(&engine, target, &folder.join("none")).unwrap_err());
        assert!(missing.contains("none: No such file"), "{missing}");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn an_input_belongs_to_one_target() {
        let one = options("request --input FILE").unwrap();
        assert_eq!((one.targets.len(), one.input), (1, Some(PathBuf::from("FILE"))));
        assert!(options("request --input FILE --merge").is_err());
        for line in ["request chunked --input FILE", "all --input FILE"] {
            let refused = run(&options(line).unwrap()).unwrap_err().to_string();
            assert!(refused.contains("an input belongs to one target"), "{line}: {refused}");
        }
        let unknown = run(&options("requests --input FILE").unwrap()).unwrap_err().to_string();
        assert!(unknown.contains("`requests`") && unknown.contains("chunked"), "{unknown}");
    }
}
