//! `gateway status`

use super::output::{self, row};
use super::{End, Global, api, client};
use crate::control::types::{Problem, Status, XdpSummary};

pub(crate) fn run(global: &Global) -> Result<End, Problem> {
    let status: Status = client::get(global, "/status")?;
    if global.json {
        output::json(&status)?;
    } else {
        output::print(&text(&status));
    }
    Ok(End::Done)
}

fn text(status: &Status) -> String {
    let mut text = format!(
        "gateway {} (pid {}), up {}, generation {}, {} on {}\nconfig   {}\nxdp      {}\n",
        status.version,
        status.pid,
        duration(status.uptime_s),
        status.generation,
        output::count(status.workers.len(), "worker"),
        status.io,
        status.config.display(),
        xdp(&status.xdp),
    );
    if let Some(refused) = &status.refused {
        text.push_str(&format!(
            "OUT OF STEP  the change of {} was refused, generation {} goes on serving: {}\n{}",
            refused.at,
            status.generation,
            refused.problem.what,
            output::findings(&refused.problem.diagnostics),
        ));
    } else if !status.in_step {
        let failed = status.apis.iter().any(|api| api.state == "failed");
        let why =
            if failed { "an API failed to load and is not served" } else { "files were edited, see below" };
        text.push_str(&format!("OUT OF STEP  {why}\n"));
    }
    if let Some(waits) = &status.waits {
        text.push_str(&format!("UNCONFIRMED  {}\n", super::confirm::shown(waits)));
    }
    text.push('\n');
    let mut rows = vec![row(["LISTENER", "ADDRESS", "VPC", "SERVES", "KERNEL"])];
    for listener in &status.listeners {
        let vpc = listener.vpc.as_deref().unwrap_or("-");
        let serves: Vec<String> = listener.serves.iter().map(|name| named(status, name)).collect();
        let serves = output::join(&serves);
        rows.push(row([&listener.name, &listener.address.to_string(), vpc, &serves, &listener.kernel]));
    }
    text.push_str(&output::table(&rows));
    text.push('\n');
    text.push_str(&api::table(&status.apis));
    for api in status.apis.iter().filter(|api| !api.diagnostics.is_empty()) {
        text.push_str(&output::findings(&api.diagnostics));
    }
    text.push_str(&totals(status));
    if !status.warnings.is_empty() {
        text.push_str(&format!("\n{}", output::findings(&status.warnings)));
    }
    text
}

/// `pets.prod` for `{id}.prod`, unless another API has the name, too.
fn named(status: &Status, name: &str) -> String {
    let Some(api) = status.apis.iter().find(|api| api.name == *name && api.managed_by == "aws") else {
        return name.to_owned();
    };
    let others = status.apis.iter().any(|other| other.api_name == api.api_name && other.id != api.id);
    if others { name.to_owned() } else { name.replacen(&api.id, &api.api_name, 1) }
}

fn totals(status: &Status) -> String {
    let sum =
        |of: fn(&crate::control::types::WorkerStatus) -> u64| status.workers.iter().map(of).sum::<u64>();
    let dead = status.workers.iter().filter(|worker| !worker.alive).count();
    let mut text = format!(
        "\nconnections {} open, {} accepted, {} refused; requests {}, {} answered by the gateway's refusal\n\
         cache       {} hits, {} misses\n\
         upstream    {} connects, {} reuses, {} retries, {} failures\n",
        sum(|w| w.connections_open),
        sum(|w| w.connections_accepted),
        sum(|w| w.connections_refused),
        sum(|w| w.requests),
        sum(|w| w.refused),
        sum(|w| w.cache_hits),
        sum(|w| w.cache_misses),
        sum(|w| w.upstream_connects),
        sum(|w| w.upstream_reuses),
        sum(|w| w.upstream_retries),
        sum(|w| w.upstream_failures),
    );
    if dead > 0 {
        text.push_str(&format!("DEAD        {}\n", output::count(dead, "worker")));
    }
    text
}

fn xdp(xdp: &XdpSummary) -> String {
    let on: Vec<String> = xdp.interfaces.iter().map(|(name, mode)| format!("{name} ({mode})")).collect();
    match &xdp.off {
        Some(why) if on.is_empty() => format!("off: {why}"),
        Some(why) => format!("{}; {why}", on.join(", ")),
        None if xdp.ends_with_process => format!("{}; rules END WITH the process", on.join(", ")),
        None => {
            format!("{}; rules outlive the process, `gateway xdp detach` removes them", on.join(", "))
        }
    }
}

fn duration(seconds: u64) -> String {
    match (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn durations_are_short() {
        assert_eq!(duration(59), "59 s");
        assert_eq!(duration(3_599), "59 min");
        assert_eq!(duration(3_660), "1 h 1 min");
        assert_eq!(duration(90_000), "1 d 1 h");
    }
}
