//! Part one: nanoseconds per packet in the kernel's test runner, beside an empty program in the same moment.

use crate::code::{self, DROP, PASS, Sources};
use crate::network::{self, Network};
use crate::scenarios::{SCENARIOS, Scenario, bans, rules};
use crate::stats::Spread;
use crate::sys::{self, Program, ProgramArray};
use anyhow::{Context as _, Result, bail};
use gateway::xdp::KernelGuard;
use serde::Serialize;
use std::time::{Duration, SystemTime};

/// Runs of one window: some milliseconds.
const REPEAT: u32 = 100_000;
/// Runs before all: enough to spend the tight budgets of 256 sources.
const WARMING: u32 = 300_000;
/// After this the wide budget of one source has what a window spends.
const REST: Duration = Duration::from_millis(120);
/// The empty program before and after ours must agree within this share, or nanoseconds if that is more.
const DRIFT_MAX: f64 = 0.15;
const DRIFT_MAX_NS: f64 = 1.0;
/// And with its median over the whole run.
const FLOOR_MAX: f64 = 1.25;

#[derive(Debug, Serialize)]
pub(crate) struct Cost {
    pub(crate) name: String,
    pub(crate) family: &'static str,
    /// Nanoseconds per packet: the empty program, ours, the difference; ours as a multiple.
    pub(crate) empty: Spread,
    pub(crate) ours: Spread,
    pub(crate) over: Spread,
    pub(crate) ratio: Spread,
    pub(crate) goal: Option<f64>,
    pub(crate) windows: usize,
    /// Windows that were thrown away, because the empty program's own figure moved.
    pub(crate) disturbed: usize,
}

/// A scenario in one family, ready to run.
struct Case {
    scenario: Scenario,
    family: usize,
    frame: Vec<u8>,
    /// Ours and the empty one, behind the same program that draws sources where there is one.
    ours: Entry,
    empty: Entry,
    windows: Vec<Window>,
}

/// A program, and what it needs to stay loaded.
struct Entry {
    program: Program,
    _array: Option<ProgramArray>,
}

struct Window {
    before: f64,
    ours: f64,
    after: f64,
}

pub(crate) fn measure(rounds: usize, only: &dyn Fn(&str) -> bool) -> Result<Vec<Cost>> {
    let rules = rules()?;
    let attached = network::within(network::RECEIVER, || KernelGuard::attach(&Network::settings(), &rules))?;
    let mut guard = attached.map_err(anyhow::Error::new)?;
    let status = guard.status().map_err(anyhow::Error::new)?;
    let id = status.interfaces.first().context("the guard is on no interface")?.program_id;
    let mut cases = Vec::new();
    for (bans_too, parts) in [(false, "rules"), (true, "rules and bans")] {
        let wanted = |scenario: &Scenario| scenario.bans == bans_too && only(scenario.name);
        let scenarios: Vec<Scenario> = SCENARIOS.into_iter().filter(wanted).collect();
        if bans_too && !scenarios.is_empty() {
            guard.replace_bans(&bans()?, SystemTime::now()).map_err(anyhow::Error::new)?;
        }
        let from = cases.len();
        for scenario in scenarios {
            for family in 0..2 {
                cases.push(Case::new(scenario, family, id)?);
            }
        }
        for round in 0..rounds {
            for case in &mut cases[from..] {
                sys::go_on()?;
                case.window()?;
            }
            eprint!("\rtest runner, {parts}: round {} of {rounds} ", round + 1);
        }
    }
    eprintln!();
    guard.detach().map_err(anyhow::Error::new)?;
    cases.into_iter().map(Case::cost).collect()
}

impl Case {
    fn new(scenario: Scenario, family: usize, id: u32) -> Result<Self> {
        let frame = scenario.frame(family)?;
        let ours = Entry::new(Program::by_id(id)?, &scenario, family)?;
        let floor = code::verdict(scenario.verdict);
        let empty = Entry::new(Program::load("empty", &floor)?, &scenario, family)?;
        for (entry, whose) in [(&ours, "our program"), (&empty, "the empty program")] {
            let run = entry.program.test_run(&frame, WARMING).context("test run")?;
            check(&scenario, whose, run.verdict)?;
        }
        Ok(Self { scenario, family, frame, ours, empty, windows: Vec::new() })
    }

    fn window(&mut self) -> Result<()> {
        let run = |entry: &Entry| -> Result<f64> {
            let run = entry.program.test_run(&self.frame, REPEAT)?;
            check(&self.scenario, "a program", run.verdict)?;
            Ok(f64::from(run.nanoseconds))
        };
        if self.scenario.rests {
            std::thread::sleep(REST);
        }
        let (before, ours, after) = (run(&self.empty)?, run(&self.ours)?, run(&self.empty)?);
        self.windows.push(Window { before, ours, after });
        Ok(())
    }

    fn cost(self) -> Result<Cost> {
        let floors = self.windows.iter().map(Window::empty).collect();
        let usual = Spread::of(floors).context("no windows")?.median;
        let calm: Vec<&Window> = self.windows.iter().filter(|window| window.is_calm(usual)).collect();
        let spread = |of: &dyn Fn(&Window) -> f64| {
            Spread::of(calm.iter().map(|window| of(window)).collect()).with_context(|| {
                format!("{}: every window was disturbed; let the machine rest", self.scenario.name)
            })
        };
        Ok(Cost {
            name: self.scenario.name.to_owned(),
            family: ["IPv4", "IPv6"][self.family],
            empty: spread(&Window::empty)?,
            ours: spread(&|window| window.ours)?,
            over: spread(&|window| window.ours - window.empty())?,
            ratio: spread(&|window| window.ours / window.empty())?,
            goal: self.scenario.goal,
            windows: calm.len(),
            disturbed: self.windows.len() - calm.len(),
        })
    }
}

fn check(scenario: &Scenario, whose: &str, verdict: u32) -> Result<()> {
    let does = match verdict {
        _ if verdict == scenario.verdict => return Ok(()),
        DROP => "drops",
        PASS => "passes",
        _ => "aborts",
    };
    bail!("{}: {whose} {does} it, and should not", scenario.name)
}

impl Entry {
    fn new(program: Program, scenario: &Scenario, family: usize) -> Result<Self> {
        if scenario.sources == Sources::One {
            return Ok(Self { program, _array: None });
        }
        let array = ProgramArray::new()?;
        array.set(&program).context("a tail call to the program")?;
        let code = code::then_tail_call(family == 0, scenario.sources, array.fd());
        Ok(Self { program: Program::load("draw_source", &code)?, _array: Some(array) })
    }
}

impl Window {
    fn empty(&self) -> f64 {
        f64::midpoint(self.before, self.after)
    }

    fn is_calm(&self, usual: f64) -> bool {
        let drift = (self.before - self.after).abs();
        drift <= DRIFT_MAX_NS.max(DRIFT_MAX * usual) && self.empty() <= FLOOR_MAX * usual
    }
}
