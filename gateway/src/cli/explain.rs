//! `gateway explain`

use super::output::{self, row};
use super::{End, Global, client};
use crate::control;
use crate::control::types::{ExplainRequest, Explanation, Problem};
use std::net::IpAddr;

#[derive(clap::Args)]
pub(crate) struct Explain {
    /// The client's address
    #[arg(long, value_name = "ADDR")]
    from: IpAddr,
    /// The listener it connects to, where the URL's address and port do not tell
    #[arg(long, value_name = "NAME")]
    listener: Option<String>,
    /// A header of the request, "Name: value"; may be repeated. A Host goes before the URL's
    #[arg(long = "header", short = 'H', value_name = "HEADER", value_parser = header)]
    headers: Vec<(String, String)>,
    /// GET, POST, ..
    method: String,
    /// http://host:port/path?query
    url: String,
}

impl Explain {
    pub(crate) fn run(&self, global: &Global) -> Result<End, Problem> {
        let request = ExplainRequest {
            from: self.from,
            method: self.method.clone(),
            url: self.url.clone(),
            listener: self.listener.clone(),
            headers: self.headers.clone(),
        };
        let explanation: Explanation = if client::is_running(global) {
            client::post(global, "/explain", &request)?
        } else if global.socket.is_none() && global.config_exists() {
            output::say(&format!("no gateway runs: explained from {}\n", global.config().display()));
            control::explain_offline(&global.config(), &request)?
        } else {
            client::post(global, "/explain", &request)?
        };
        if global.json {
            output::json(&explanation)?;
        } else {
            output::print(&text(&explanation, self));
        }
        Ok(if explanation.allowed { End::Done } else { End::Refused })
    }
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("write it as \"Name: value\"")?;
    Ok((name.trim().to_string(), value.trim().to_string()))
}

fn text(explanation: &Explanation, asked: &Explain) -> String {
    let mut text = format!(
        "{} {} from {} through listener {} ({})\n",
        asked.method, asked.url, asked.from, explanation.listener, explanation.address
    );
    let steps = explanation.steps.iter();
    let rows: Vec<_> = steps
        .map(|step| {
            let mark = match step.verdict.as_str() {
                "pass" => "  pass",
                "refuse" => "  REFUSE",
                _ => "  -",
            };
            row([mark, &step.stage, &step.rule])
        })
        .collect();
    text.push_str(&output::table(&rows));
    let verdict = if explanation.allowed { "allowed" } else { "refused" };
    text.push_str(&format!("{verdict}, decided by {}\n", explanation.decided_by));
    if let Some(answer) = &explanation.answer {
        text.push_str(&format!("the client gets {} {}\n", answer.status, answer.body));
    }
    text
}
