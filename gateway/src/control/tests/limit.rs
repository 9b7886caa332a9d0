//! Limits and dry runs, changed live: what the kernel is told, what is remembered, and who wins over whom.

use super::*;
use crate::control::change::{Terms, apply};
use crate::control::limit::{clear, dry_run, list, set};
use crate::control::orders;
use crate::control::types::{ApplyRequest, Changed, DryRunRequest, Kind, LimitRequest, Problem};

const OUTSIDE: [u8; 4] = [127, 0, 0, 1];

async fn packets(served: &Served, rate: &str) -> Result<Changed, Problem> {
    let request = LimitRequest { packets: Some(rate.into()), ..LimitRequest::default() };
    set(&served.node, "public", &request).await
}

async fn dry(served: &Served, on: bool) -> Changed {
    let request = DryRunRequest { on, ..DryRunRequest::default() };
    dry_run(&served.node, "orders", &request).await.unwrap()
}

/// As the kernel was told last.
fn told(served: &Served, listener: &str) -> (String, bool) {
    let told = served.told.borrow();
    let (rules, _) = told.rules.last().unwrap();
    let rule = rules.listeners.iter().find(|rule| rule.name == listener).unwrap();
    (rule.limits.to_string(), rule.dry_run)
}

fn limited(default: &str) -> Folder {
    let folder = files("PRIVATE");
    folder.write("gateway.toml", &NODE.replace("[node]", &format!("[xdp]\nlimit = {default}\n[node]")));
    folder
}

#[test]
fn a_limit_is_in_the_kernel_and_survives_reload_and_restart() {
    let folder = limited("{ packets = \"20000/s\", connections = \"50/s\" }");
    block_on(async {
        let served = serve(&folder).await;
        let changed = packets(&served, "300/m").await.unwrap();
        assert!(changed.done && changed.connections_closed == 0);
        let lines: Vec<&str> = changed.plan.changes.iter().map(|change| change.what.as_str()).collect();
        assert_eq!(
            lines,
            [
                "limits packets 20000/s, burst 20000; connections 50/s, burst 50 → packets 300/m, burst 5; connections \
                 50/s, burst 50",
                "`xdp limit set` wins over its file from now on",
            ]
        );
        let limits = "packets 300/m, burst 5; connections 50/s, burst 50";
        assert_eq!(told(&served, "public").0, limits);
        folder.write("catalog.yaml", &document("catalog", "EDGE"));
        let applied = apply(&served.node, &ApplyRequest::default()).await.unwrap();
        let overruled: Vec<&str> = applied
            .diagnostics
            .iter()
            .map(|finding| finding.what.as_str())
            .filter(|what| what.contains("overruled"))
            .collect();
        assert_eq!(overruled.len(), 1, "{:?}", applied.diagnostics);
        assert!(overruled[0].contains("listener public") && overruled[0].contains("overruled"));
        assert_eq!(told(&served, "public").0, limits);
        drop(served);
        let served = serve(&folder).await;
        let all = list(&served.node);
        assert_eq!((all[0].limits.to_string().as_str(), all[0].live, all[1].live), (limits, true, false));
        assert!(
            crate::control::status::status(&served.node)
                .warnings
                .iter()
                .any(|w| w.what.contains("overruled"))
        );
    });
}

#[test]
fn what_is_not_named_goes_on_following_the_file() {
    let folder = limited("{ packets = \"20000/s\", connections = \"50/s\" }");
    block_on(async {
        let served = serve(&folder).await;
        packets(&served, "off").await.unwrap();
        assert_eq!(told(&served, "public").0, "connections 50/s, burst 50");
        folder.write(
            "gateway.toml",
            &NODE.replace("[node]", "[xdp]\nlimit = { connections = \"70/s\" }\n[node]"),
        );
        apply(&served.node, &ApplyRequest::default()).await.unwrap();
        assert_eq!(told(&served, "public").0, "connections 70/s, burst 70");
    });
}

#[test]
fn a_choice_that_says_what_the_file_says_is_forgotten() {
    let folder = limited("{ packets = \"20000/s\" }");
    block_on(async {
        let served = serve(&folder).await;
        packets(&served, "10/s").await.unwrap();
        assert!(served.node.store.remembered().unwrap().limits.contains_key("public"));
        packets(&served, "20000/s").await.unwrap();
        assert!(served.node.store.remembered().unwrap().limits.is_empty());
        // An edit that nobody applied would lift at the next start what was just set.
        packets(&served, "10/s").await.unwrap();
        folder.write("gateway.toml", NODE);
        packets(&served, "20000/s").await.unwrap();
        assert!(served.node.store.remembered().unwrap().limits.contains_key("public"));
        let cleared = clear(&served.node, "public", Terms::default()).await.unwrap();
        assert!(cleared.done);
        assert!(served.node.store.remembered().unwrap().limits.is_empty());
        assert!(!clear(&served.node, "public", Terms::default()).await.unwrap().done, "nothing to do");
    });
}

#[test]
fn what_makes_no_sense_changes_nothing() {
    let folder = files("PRIVATE");
    block_on(async {
        let served = serve(&folder).await;
        let burst = LimitRequest { packet_burst: Some(5), ..LimitRequest::default() };
        for (name, request, kind) in [
            (
                "nobody",
                LimitRequest { packets: Some("5/s".into()), ..LimitRequest::default() },
                Kind::Unknown,
            ),
            ("public", LimitRequest::default(), Kind::Request),
            ("public", burst, Kind::Request),
            (
                "public",
                LimitRequest { packets: Some("5/h".into()), ..LimitRequest::default() },
                Kind::Request,
            ),
            (
                "public",
                LimitRequest { packets: Some("5/s".into()), generation: Some(9), ..LimitRequest::default() },
                Kind::Conflict,
            ),
            (
                "public",
                LimitRequest { packets: Some("5/s".into()), confirm_s: Some(4), ..LimitRequest::default() },
                Kind::Request,
            ),
        ] {
            let problem = set(&served.node, name, &request).await.unwrap_err();
            assert_eq!(problem.kind, kind, "{request:?}: {problem}");
            assert!(!problem.mend.is_empty(), "{problem}");
        }
        assert_eq!(served.calls(), 0);
    });
}

#[test]
fn a_dry_run_only_loosens_the_kernel() {
    let folder = files("PRIVATE");
    block_on(async {
        let served = serve(&folder).await;
        assert!(dry(&served, true).await.done);
        assert_eq!(served.calls(), 2, "it is enforced until the workers have changed over");
        assert!(told(&served, "orders").1 && served.kernel_private(1, "orders"));
        assert_eq!(served.ask("orders", OUTSIDE), 403);
        assert_eq!(served.ask("orders", [127, 0, 1, 5]), 200);
        drop(served);
        let served = serve(&folder).await;
        assert!(list(&served.node)[1].dry_run_live, "it survives a restart");
        let outsider = connect(served.address("orders"), OUTSIDE.into());
        let insider = connect(served.address("orders"), [127, 0, 1, 5].into());
        // Until the workers have accepted them.
        assert_eq!(served.ask("orders", OUTSIDE), 403);
        let off = DryRunRequest { on: false, plan: true, ..DryRunRequest::default() };
        let open = async || orders::open_connections(&served.node.workers).await.unwrap().len();
        while open().await < 2 {
            std::thread::yield_now();
        }
        let plan = dry_run(&served.node, "orders", &off).await.unwrap().plan;
        let outsiders = plan.connections_to_close;
        assert!((1..=2).contains(&outsiders), "{plan:?}");
        assert_eq!(plan.kernel[0].after, "private vpc-main");
        let off = dry(&served, false).await;
        assert!(off.done && off.connections_closed >= 1, "{off:?}");
        assert!(!told(&served, "orders").1);
        assert!(served.node.store.remembered().unwrap().dry_runs.is_empty(), "the file says the same");
        drop((outsider, insider));
    });
}

#[test]
fn a_plan_counts_sources_with_more_connections_than_the_burst() {
    let folder = files("PRIVATE");
    block_on(async {
        let served = serve(&folder).await;
        let from = |last: u8| connect(served.address("public"), [127, 0, 0, last].into());
        let held = [from(2), from(2), from(2), from(3), from(3), from(4)];
        let open = async || orders::open_connections(&served.node.workers).await.unwrap().len();
        while open().await < held.len() {
            std::thread::yield_now();
        }
        for (burst, expected) in [(1, 2), (2, 1), (3, 0)] {
            let request = LimitRequest {
                connections: Some("5/s".into()),
                connection_burst: Some(burst),
                plan: true,
                ..LimitRequest::default()
            };
            let plan = set(&served.node, "public", &request).await.unwrap().plan;
            assert_eq!((plan.sources_over_burst, plan.connections_to_close), (expected, 0));
        }
    });
}

#[test]
fn without_xdp_it_is_said_that_nobody_enforces_a_limit() {
    let folder = files("PRIVATE");
    block_on(async {
        let served = serve(&folder).await;
        *served.node.kernel.borrow_mut() = Kernel::Off { why: "no BPF here".into() };
        let plan = packets(&served, "5/s").await.unwrap().plan;
        assert!(plan.warnings[0].contains("nobody enforces the limits of listener public"), "{plan:?}");
        assert!(plan.warnings[0].contains("no BPF here"), "{plan:?}");
    });
}

#[test]
fn an_operators_address_is_trusted_with_his_change() {
    let folder = files("PRIVATE");
    block_on(async {
        let served = serve(&folder).await;
        served.node.peers.note([203, 0, 113, 9].into());
        packets(&served, "5/s").await.unwrap();
        let peer = "203.0.113.9/32".parse().unwrap();
        assert!(served.told.borrow().rules.last().unwrap().0.trusted.contains(&peer));
        // The next plan does not say it again, and the next reload keeps it.
        let plan =
            apply(&served.node, &ApplyRequest { plan: true, ..ApplyRequest::default() }).await.unwrap().plan;
        assert_eq!(plan.changes, []);
        served.node.peers.note([203, 0, 113, 10].into());
        crate::control::change::trust_peers(&served.node).await.unwrap();
        let calls = served.calls();
        crate::control::change::trust_peers(&served.node).await.unwrap();
        assert_eq!(served.calls(), calls, "known already");
        let trusted = served.node.running().snapshot.trusted.clone();
        assert!(
            trusted.contains(&peer) && trusted.contains(&"203.0.113.10/32".parse().unwrap()),
            "{trusted:?}"
        );
    });
}
