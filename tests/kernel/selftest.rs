//! `gateway doctor --selftest` as an operator runs it: what it proves, what it leaves, who may.

use crate::lab::{Pins, Program};
use serde_json::Value;
use std::collections::BTreeSet;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const BINARY: &str = env!("CARGO_BIN_EXE_gateway");
const PATIENCE: Duration = Duration::from_secs(20);

fn selftest() -> Command {
    let mut command = Command::new(BINARY);
    command.args(["doctor", "--selftest", "--json"]).stdin(Stdio::null());
    command
}

fn is_untouched() {
    assert!(!Path::new("/sys/fs/bpf/gateway-selftest").exists());
    for interface in ["selftest0", "selftest1"] {
        assert!(!Path::new("/sys/class/net").join(interface).exists(), "{interface}");
    }
}

#[test]
fn every_step_is_proved_in_both_modes_and_nothing_is_left() {
    let Some(_pins) = Pins::new() else { return };
    let output = selftest().output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["ok"], true);
    for mode in ["native", "generic"] {
        let steps = report["steps"].as_array().unwrap().iter().filter(|step| step["mode"] == mode);
        let names: Vec<&str> = steps.clone().map(|step| step["step"].as_str().unwrap()).collect();
        for wanted in [
            "insider passes",
            "outsider refused",
            "public passes",
            "tagged frame refused",
            "detach takes all away",
        ] {
            assert!(names.contains(&wanted), "{mode}: {names:?}");
        }
        let attached = steps.clone().find(|step| step["step"] == "attach").unwrap();
        assert!(attached["what"].as_str().unwrap().contains(mode), "{attached}");
        assert!(steps.clone().all(|step| step["ok"] == true && step["took_us"].as_u64().unwrap() > 0));
    }
    is_untouched();
}

/// Ids of the programs that a process holds.
fn programs(pid: u32) -> BTreeSet<u32> {
    let Ok(descriptors) = std::fs::read_dir(format!("/proc/{pid}/fdinfo")) else { return BTreeSet::new() };
    let infos = descriptors.flatten().filter_map(|entry| std::fs::read_to_string(entry.path()).ok());
    let id = |info: String| info.lines().find_map(|line| line.strip_prefix("prog_id:")?.trim().parse().ok());
    infos.filter_map(id).collect()
}

#[test]
fn killed_at_any_step_it_leaves_nothing() {
    let Some(_pins) = Pins::new() else { return };
    let mut held = BTreeSet::new();
    for turn in 0..6u32 {
        let mut child = selftest().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // The first before it has loaded anything, the others at some time after.
        let mut found = BTreeSet::new();
        let deadline = Instant::now() + PATIENCE;
        while turn > 0 && found.is_empty() {
            assert!(Instant::now() < deadline, "no program was loaded");
            found = programs(child.id());
        }
        let end = Instant::now() + turn * Duration::from_millis(300);
        while Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
            found.extend(programs(child.id()));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        is_untouched();
        held.extend(found);
    }
    assert!(held.len() >= 5, "{held:?}");
    let deadline = Instant::now() + PATIENCE;
    // Namespaces, and the programs within, are freed some time after the last process has left.
    while let Some(id) = held.iter().find(|id| Program::exists(**id)) {
        assert!(Instant::now() < deadline, "program {id} is still loaded");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn whoever_is_not_root_is_told_so() {
    const NOBODY: u32 = 65534;
    let copy = std::env::temp_dir().join(format!("gateway-selftest-{}", std::process::id()));
    std::fs::copy(BINARY, &copy).unwrap();
    let output = Command::new(&copy).args(["doctor", "--selftest"]).uid(NOBODY).gid(NOBODY).output();
    std::fs::remove_file(&copy).unwrap();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("only root may") && said.contains("sudo gateway doctor --selftest"), "{said}");
}
