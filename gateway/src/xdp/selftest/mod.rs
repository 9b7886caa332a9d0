//! `gateway doctor --selftest`: proves on this very host, kernel and build that the guard does what it says, between
//! two private namespaces. No interface, address, route or pin of the host is touched.

mod knock;
mod stage;
mod veth;

use super::{XdpError, sys};
use crate::config::XdpMode;
use stage::{INSIDER, OUTSIDER, PRIVATE, PUBLIC, Stage, wrong};
use std::time::Instant;

/// One step, done or failed.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Proved {
    /// "native" or "generic"
    pub mode: &'static str,
    pub step: &'static str,
    pub ok: bool,
    /// What was seen, or what went wrong.
    pub what: String,
    /// Empty when ok.
    pub mend: String,
    pub took_us: u64,
}

struct Step {
    name: &'static str,
    /// After its failure nothing that follows would prove anything.
    vital: bool,
    /// Says what was seen.
    run: fn(&mut Stage) -> Result<String, XdpError>,
}

/// In this order, on one stage; each leaves a private and a public listener, and the guard attached, as it found them.
const STEPS: [Step; 8] = [
    Step { name: "server answers", vital: true, run: without_a_guard },
    Step { name: "attach", vital: true, run: attach },
    Step { name: "insider passes", vital: false, run: insider },
    Step { name: "outsider refused", vital: false, run: outsider },
    Step { name: "public passes", vital: false, run: public },
    Step { name: "tagged frame refused", vital: false, run: tagged },
    Step { name: "rules switch live", vital: false, run: switch },
    Step { name: "outlives its process", vital: true, run: restart },
];

/// First and last step of each mode.
const SET: &str = "namespaces";
const TAKE_AWAY: &str = "detach takes all away";

/// All steps in native and in generic mode. Err: it cannot run here at all.
pub fn selftest(now: fn() -> Instant) -> Result<Vec<Proved>, XdpError> {
    if !sys::is_root() {
        return Err(XdpError::new(
            "the self-test makes network namespaces, which only root may",
            "run `sudo gateway doctor --selftest`",
        ));
    }
    let mut all = Vec::new();
    for (mode, name) in [(XdpMode::Native, "native"), (XdpMode::Generic, "generic")] {
        // The thread leaves the host's namespaces, and never comes back.
        let played = std::thread::spawn(move || play(mode, name, now)).join();
        all.extend(played.map_err(|_| wrong("a step of the self-test ended by itself"))?);
    }
    Ok(all)
}

fn play(mode: XdpMode, name: &'static str, now: fn() -> Instant) -> Vec<Proved> {
    let mut all = Vec::new();
    let mut note = |step, begun: Instant, result: Result<String, XdpError>| {
        let took_us = now().duration_since(begun).as_micros() as u64;
        let ok = result.is_ok();
        let (what, mend) = match result {
            Ok(what) => (what, String::new()),
            Err(XdpError { what, mend }) => (what, mend),
        };
        all.push(Proved { mode: name, step, ok, what, mend, took_us });
        ok
    };
    let begun = now();
    let mut stage = match Stage::set(mode) {
        Ok(stage) => stage,
        Err(error) => {
            note(SET, begun, Err(error));
            return all;
        }
    };
    let families = if stage.families == 2 { "IPv4 and IPv6" } else { "IPv4; this host has no IPv6" };
    note(SET, begun, Ok(format!("two, joined by a veth pair, {families}")));
    for step in &STEPS {
        let begun = now();
        let result = (step.run)(&mut stage);
        if !note(step.name, begun, result) && step.vital {
            break;
        }
    }
    if stage.guard.is_some() {
        let begun = now();
        let result = detach(&mut stage);
        note(TAKE_AWAY, begun, result);
    }
    all
}

/// Else its silence would prove nothing.
fn without_a_guard(stage: &mut Stage) -> Result<String, XdpError> {
    stage.is_served(OUTSIDER, PRIVATE)?;
    stage.is_served(INSIDER, PUBLIC)?;
    let plain = stage.answers_tagged(OUTSIDER, PRIVATE)?;
    if !plain {
        return Err(wrong("this kernel does not deliver a frame with a priority tag"));
    }
    Ok("everybody, without the guard".into())
}

fn attach(stage: &mut Stage) -> Result<String, XdpError> {
    stage.attach(&stage.rules(true))?;
    let status = stage.guard()?.status()?;
    let interface = status.interfaces.first().ok_or_else(|| wrong("no interface is attached"))?;
    Ok(format!("program {} in {} mode", interface.program_id, interface.mode))
}

fn insider(stage: &mut Stage) -> Result<String, XdpError> {
    stage.is_served(INSIDER, PRIVATE).map(|()| "a source in the VPC is served by the private listener".into())
}

fn outsider(stage: &mut Stage) -> Result<String, XdpError> {
    stage
        .is_silent(OUTSIDER, PRIVATE)
        .map(|()| "no SYN of a source outside is answered, each is counted".into())
}

fn public(stage: &mut Stage) -> Result<String, XdpError> {
    stage.is_served(OUTSIDER, PUBLIC).map(|()| "the same source is served by the public listener".into())
}

/// The kernel strips such a tag and would deliver the packet.
fn tagged(stage: &mut Stage) -> Result<String, XdpError> {
    if !stage.answers_tagged(INSIDER, PRIVATE)? {
        return Err(wrong("a frame with a priority tag from inside is not answered"));
    }
    if stage.answers_tagged(OUTSIDER, PRIVATE)? {
        return Err(wrong("a frame with a priority tag from outside was answered"));
    }
    Ok("with a priority tag (VLAN 0): answered inside, not outside".into())
}

fn switch(stage: &mut Stage) -> Result<String, XdpError> {
    let (open, private) = (stage.rules(false), stage.rules(true));
    stage.guard()?.apply(&open)?;
    stage.is_served(OUTSIDER, PRIVATE)?;
    stage.guard()?.apply(&private)?;
    stage.is_silent(OUTSIDER, PRIVATE)?;
    stage.is_served(INSIDER, PRIVATE)?;
    Ok("public and private again, without attaching anew".into())
}

/// What a process that died leaves, and the next one finds.
fn restart(stage: &mut Stage) -> Result<String, XdpError> {
    drop(stage.guard.take());
    stage.is_silent(OUTSIDER, PRIVATE)?;
    stage.attach(&stage.rules(true))?;
    stage.is_silent(OUTSIDER, PRIVATE)?;
    Ok("private without it, and adopted by the next one".into())
}

fn detach(stage: &mut Stage) -> Result<String, XdpError> {
    stage.guard()?.detach()?;
    stage.guard = None;
    stage.is_served(OUTSIDER, PRIVATE)?;
    let facts = super::inspect::interface(veth::NEAR)?.1;
    match facts.xdp {
        Some((program, _)) => Err(wrong(format!("program {program} is still there"))),
        None => Ok("no program, no pin, and everybody is served again".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// Root and BPF are needed; `tests/kernel` says it when they are not there.
    #[test]
    fn a_guard_that_does_not_refuse_is_found_out() {
        if crate::xdp::available(Path::new("/sys/fs/bpf/gateway-selftest")).is_err() {
            return;
        }
        let played = std::thread::spawn(|| {
            let mut stage = Stage::set(XdpMode::Generic).unwrap();
            without_a_guard(&mut stage).unwrap();
            let fails = |step: fn(&mut Stage) -> Result<String, XdpError>, stage: &mut Stage| {
                step(stage).unwrap_err().what
            };
            assert!(fails(outsider, &mut stage).contains("was served"), "no guard");
            stage.attach(&stage.rules(false)).unwrap();
            assert!(fails(outsider, &mut stage).contains("was served"), "a guard that is open");
            assert!(fails(tagged, &mut stage).contains("was answered"));
            // Whoever is silent for another reason was not refused by the guard.
            assert!(stage.is_silent(OUTSIDER, 9).unwrap_err().what.contains("connecting"));
            let nobody = stage.rules(true);
            stage.guard().unwrap().apply(&crate::xdp::Rules { vpcs: vec![Vec::new()], ..nobody }).unwrap();
            assert!(fails(insider, &mut stage).contains("gets no answer"), "a guard that is shut");
            assert!(fails(tagged, &mut stage).contains("from inside is not answered"));
        });
        played.join().unwrap();
    }
}
