//! Changes on live workers: the order of the steps, the way back when one fails, and what clients see meanwhile.

use super::*;
use crate::control::change::{apply, set_endpoint};
use crate::control::status;
use crate::control::types::{ApplyRequest, Changed, EndpointRequest, Kind, Problem};
use crate::model::EndpointType::{self, Private, Regional};

const INSIDE: [u8; 4] = [127, 0, 1, 5];
const OUTSIDE: [u8; 4] = [127, 0, 0, 1];

async fn switch(served: &Served, endpoint_type: EndpointType) -> Result<Changed, Problem> {
    set_endpoint(
        &served.node,
        "orders",
        &EndpointRequest { endpoint_type, plan: false, generation: None, confirm_s: None },
    )
    .await
}

async fn reload(served: &Served) -> Result<Changed, Problem> {
    apply(&served.node, &ApplyRequest::default()).await
}

#[test]
fn closing_is_remembered_and_in_the_kernel_before_the_workers_know() {
    let folder = files("REGIONAL");
    block_on(async {
        let served = serve(&folder).await;
        assert_eq!(served.ask("orders", OUTSIDE), 200);
        let changed = switch(&served, Private).await.unwrap();
        assert!(changed.done);
        assert_eq!(served.calls(), 1, "closing leaves nothing to open");
        assert!(served.kernel_private(0, "orders"));
        assert!(served.stored(0).contains("PRIVATE"), "remembered before it is in force");
        assert_eq!(served.ask("orders", OUTSIDE), 403);
        assert_eq!(served.ask("orders", INSIDE), 200);
        assert_eq!(served.ask("public", OUTSIDE), 200, "the other API is not touched");
    });
}

#[test]
fn opening_comes_last_in_the_kernel_and_is_remembered_after_it() {
    let folder = files("PRIVATE");
    block_on(async {
        let served = serve(&folder).await;
        assert_eq!(served.ask("orders", OUTSIDE), 403);
        switch(&served, Regional).await.unwrap();
        assert_eq!(served.calls(), 2);
        assert!(served.kernel_private(0, "orders"), "private until the workers have changed over");
        assert!(!served.kernel_private(1, "orders"));
        assert!(!served.stored(1).contains("REGIONAL"), "a crash before the end leaves it private");
        assert_eq!(served.node.store.remembered().unwrap().endpoint_types["orders"], Regional);
        assert_eq!(served.ask("orders", OUTSIDE), 200);
    });
}

#[test]
fn the_switch_survives_a_restart() {
    let folder = files("REGIONAL");
    block_on(async {
        let served = serve(&folder).await;
        switch(&served, Private).await.unwrap();
        drop(served);
        let served = serve(&folder).await;
        assert_eq!(served.ask("orders", OUTSIDE), 403);
        assert_eq!(served.ask("orders", INSIDE), 200);
    });
}

#[test]
fn drawn_ids_survive_a_restart() {
    let folder = files("REGIONAL");
    let id = |served: &Served| status::api(&served.node, "catalog").unwrap().api.id;
    block_on(async {
        let served = serve(&folder).await;
        let first = id(&served);
        assert_eq!(first.len(), 10);
        drop(served);
        assert_eq!(id(&serve(&folder).await), first);
    });
}

#[test]
fn connections_that_are_no_longer_allowed_are_counted_and_closed() {
    let folder = files("REGIONAL");
    block_on(async {
        let served = serve(&folder).await;
        let mut outsider = connect(served.address("orders"), OUTSIDE.into());
        let mut insider = connect(served.address("orders"), INSIDE.into());
        assert_eq!((status_of(&mut outsider), status_of(&mut insider)), (200, 200));
        let request =
            EndpointRequest { endpoint_type: Private, plan: true, generation: None, confirm_s: None };
        let planned = set_endpoint(&served.node, "orders", &request).await.unwrap();
        assert!(!planned.done);
        assert_eq!(planned.plan.connections_to_close, 1);
        assert_eq!(served.calls(), 0, "a plan changes nothing");
        let changed = switch(&served, Private).await.unwrap();
        assert_eq!(changed.connections_closed, 1);
        assert_eq!(status_of(&mut insider), 200, "entitled clients keep their connection");
        let mut rest = Vec::new();
        // A reset is as good as an end.
        let _ = outsider.read_to_end(&mut rest);
        assert!(!String::from_utf8_lossy(&rest).contains("200 OK"));
    });
}

/// The kernel refuses the closing rule: nobody is worse off than before.
#[test]
fn a_kernel_that_refuses_to_close_changes_nothing() {
    let folder = files("REGIONAL");
    block_on(async {
        let served = serve(&folder).await;
        served.told.borrow_mut().fail = Some((0, 1));
        let problem = switch(&served, Private).await.unwrap_err();
        assert!(problem.what.contains("the kernel said no; nothing was changed"), "{problem}");
        assert!(served.node.store.remembered().unwrap().endpoint_types.is_empty());
        assert_eq!(served.node.running().snapshot.generation, 1);
        assert!(!served.kernel_private(served.calls() - 1, "orders"));
        assert_eq!(served.ask("orders", OUTSIDE), 200);
        switch(&served, Private).await.unwrap();
        assert_eq!(served.ask("orders", OUTSIDE), 403);
    });
}

/// The kernel refuses to open after the workers changed over: they go back, and it stays private.
#[test]
fn a_kernel_that_refuses_to_open_leaves_it_private() {
    let folder = files("PRIVATE");
    block_on(async {
        let served = serve(&folder).await;
        served.told.borrow_mut().fail = Some((1, 1));
        let problem = switch(&served, Regional).await.unwrap_err();
        assert!(problem.what.contains("nothing was changed"), "{problem}");
        assert!(served.kernel_private(served.calls() - 1, "orders"));
        assert!(served.node.store.remembered().unwrap().endpoint_types.is_empty());
        assert_eq!(served.ask("orders", OUTSIDE), 403);
        assert_eq!(served.ask("orders", INSIDE), 200);
    });
}

#[test]
fn a_way_back_that_fails_is_said() {
    let folder = files("PRIVATE");
    block_on(async {
        let served = serve(&folder).await;
        served.told.borrow_mut().fail = Some((1, 9));
        let problem = switch(&served, Regional).await.unwrap_err();
        assert!(problem.what.contains("the way back failed"), "{problem}");
        assert_eq!(served.ask("orders", OUTSIDE), 403, "the workers refuse all the same");
    });
}

/// The store cannot be written: closing does not begin, opening is taken back.
#[test]
fn what_cannot_be_remembered_is_not_done() {
    for (from, to, status) in [("REGIONAL", Private, 200), ("PRIVATE", Regional, 403)] {
        let folder = files(from);
        block_on(async {
            let served = serve(&folder).await;
            std::fs::create_dir(folder.path("store/state.json.new")).unwrap();
            assert!(switch(&served, to).await.is_err());
            assert_eq!(served.ask("orders", OUTSIDE), status);
            std::fs::remove_dir(folder.path("store/state.json.new")).unwrap();
            switch(&served, to).await.unwrap();
            assert_ne!(served.ask("orders", OUTSIDE), status);
        });
    }
}

#[test]
fn a_plan_of_another_generation_is_refused() {
    let folder = files("REGIONAL");
    block_on(async {
        let served = serve(&folder).await;
        let request =
            EndpointRequest { endpoint_type: Private, plan: false, generation: Some(1), confirm_s: None };
        set_endpoint(&served.node, "orders", &request).await.unwrap();
        let problem = set_endpoint(&served.node, "orders", &request).await.unwrap_err();
        assert_eq!(problem.kind, Kind::Conflict);
        let unknown = set_endpoint(&served.node, "order", &request).await;
        assert!(unknown.is_err());
    });
}

#[test]
fn a_bad_document_changes_nothing_and_status_says_so() {
    let folder = files("REGIONAL");
    block_on(async {
        let served = serve(&folder).await;
        folder.write("catalog.yaml", "swagger: [");
        let problem = reload(&served).await.unwrap_err();
        assert!(!problem.diagnostics.is_empty());
        let status = status::status(&served.node);
        assert!(!status.in_step);
        assert_eq!(status.refused.unwrap().problem.diagnostics, problem.diagnostics);
        assert_eq!(status.generation, 1);
        assert_eq!(served.ask("public", OUTSIDE), 200);
        folder.write("catalog.yaml", &document("catalog", "REGIONAL"));
        assert!(!reload(&served).await.unwrap().done, "the files are what runs again");
        assert!(status::status(&served.node).in_step);
    });
}

#[test]
fn without_a_difference_nothing_is_done_and_nothing_remembered() {
    let folder = files("REGIONAL");
    block_on(async {
        let served = serve(&folder).await;
        for changed in [reload(&served).await.unwrap(), switch(&served, Regional).await.unwrap()] {
            assert!(!changed.done && !changed.plan.differs, "{changed:?}");
            assert_eq!(changed.generation, 1);
        }
        assert_eq!(served.calls(), 0);
        assert!(served.node.store.remembered().unwrap().endpoint_types.is_empty());
    });
}

/// The kernel was left stricter than what runs: the same files again put it right.
#[test]
fn after_a_way_back_that_failed_the_same_again_is_something_to_do() {
    let folder = files("PRIVATE");
    block_on(async {
        let served = serve(&folder).await;
        served.told.borrow_mut().fail = Some((1, 2));
        assert!(switch(&served, Regional).await.is_err());
        served.told.borrow_mut().fail = None;
        assert!(reload(&served).await.unwrap().done);
        assert!(!reload(&served).await.unwrap().done);
    });
}

#[test]
fn files_that_changed_since_the_plan_are_refused() {
    let folder = files("PRIVATE");
    block_on(async {
        let served = serve(&folder).await;
        folder.write("catalog.yaml", &document("catalog", "EDGE"));
        let request = ApplyRequest { plan: true, ..ApplyRequest::default() };
        let plan = apply(&served.node, &request).await.unwrap().plan;
        let request = ApplyRequest {
            plan: false,
            generation: Some(plan.generation),
            files: Some(plan.files),
            confirm_s: None,
        };
        folder.write("orders.yaml", &document("orders", "REGIONAL"));
        let problem = apply(&served.node, &request).await.unwrap_err();
        assert_eq!(problem.kind, Kind::Conflict);
        assert!(problem.what.contains("the files changed"), "{problem}");
        assert_eq!(served.ask("orders", OUTSIDE), 403);
        folder.write("orders.yaml", &document("orders", "PRIVATE"));
        assert!(apply(&served.node, &request).await.unwrap().done);
    });
}

#[test]
fn listeners_that_stay_keep_their_port_and_new_ones_come_and_go() {
    let folder = files("REGIONAL");
    block_on(async {
        let served = serve(&folder).await;
        let public = served.address("public");
        let second = "[[listener]]\nname = \"second\"\naddress = \"127.0.0.1:0\"\napis = [\"catalog\"]\n";
        folder.write("gateway.toml", &format!("{NODE}{second}"));
        reload(&served).await.unwrap();
        assert_eq!(served.address("public"), public);
        assert_eq!(served.ask("second", OUTSIDE), 200);
        let second = served.address("second");
        folder.write("gateway.toml", NODE);
        reload(&served).await.unwrap();
        assert_eq!(served.ask("public", OUTSIDE), 200);
        let refused = (0..100).any(|_| {
            std::thread::sleep(Duration::from_millis(20)); // the worker's task closes the socket on its next turn
            TcpStream::connect(second).is_err()
        });
        assert!(refused, "a listener that is gone closes");
    });
}

#[test]
fn a_port_in_use_refuses_the_whole_change() {
    let folder = files("REGIONAL");
    block_on(async {
        let served = serve(&folder).await;
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let second = format!(
            "[[listener]]\nname = \"second\"\naddress = \"{}\"\napis = [\"catalog\"]\n",
            taken.local_addr().unwrap()
        );
        folder.write("gateway.toml", &format!("{NODE}{second}"));
        let problem = reload(&served).await.unwrap_err();
        assert!(problem.what.contains("listener second"), "{problem}");
        assert!(status::status(&served.node).refused.is_some());
        assert_eq!(served.calls(), 0);
        assert_eq!(served.ask("public", OUTSIDE), 200);
    });
}

/// At the start a broken API is no hostage-taker; a reload that breaks one is refused.
#[test]
fn an_api_with_errors_is_left_out_at_the_start() {
    let folder = files("PRIVATE");
    folder.write("orders.yaml", "swagger: [");
    block_on(async {
        let served = serve(&folder).await;
        assert_eq!(served.ask("public", OUTSIDE), 200);
        assert_eq!(served.ask("orders", INSIDE), 403);
        let status = status::status(&served.node);
        assert!(!status.in_step);
        let orders = status.apis.iter().find(|api| api.name == "orders").unwrap();
        assert_eq!((orders.state.as_str(), orders.diagnostics.is_empty()), ("failed", false));
        assert_eq!(switch(&served, Private).await.unwrap_err().kind, Kind::Conflict);
        folder.write("orders.yaml", &document("orders", "PRIVATE"));
        reload(&served).await.unwrap();
        assert_eq!(served.ask("orders", INSIDE), 200);
        assert!(status::status(&served.node).in_step);
    });
}

/// The file calms its reader, the switch rules: said aloud.
#[test]
fn a_switch_that_overrules_the_file_is_a_warning() {
    let folder = files("PRIVATE");
    block_on(async {
        let served = serve(&folder).await;
        let changed = switch(&served, Regional).await.unwrap();
        assert_eq!(changed.diagnostics, vec![], "who has just asked for it is not told");
        let reloaded = reload(&served).await.unwrap();
        assert!(reloaded.diagnostics.iter().any(|finding| finding.what.contains("is overruled")));
        assert!(status::status(&served.node).warnings.iter().any(|w| w.what.contains("is overruled")));
        switch(&served, Private).await.unwrap();
        assert_eq!(status::status(&served.node).warnings, vec![]);
    });
}

#[test]
fn a_switch_to_what_the_file_says_is_forgotten() {
    for (file, away, back) in [("PRIVATE", Regional, Private), ("REGIONAL", Private, Regional)] {
        let folder = files(file);
        block_on(async {
            let served = serve(&folder).await;
            let stored = || served.node.store.remembered().unwrap().endpoint_types;
            switch(&served, away).await.unwrap();
            assert_eq!(stored()["orders"], away);
            let calls = served.calls();
            assert!(switch(&served, back).await.unwrap().done);
            assert!(stored().is_empty(), "{file}");
            // In front of the kernel where it closes, behind it where it opens: a crash leaves it private.
            assert_eq!(
                served.stored(calls).contains("PRIVATE"),
                back == Regional,
                "{}",
                served.stored(calls)
            );
            assert!(!served.stored(calls).contains("REGIONAL"));
            assert!(served.kernel_private(calls, "orders"));
            folder.write(
                "orders.yaml",
                &document("orders", if back == Private { "REGIONAL" } else { "PRIVATE" }),
            );
            reload(&served).await.unwrap();
            assert_eq!(
                served.ask("orders", OUTSIDE),
                if back == Private { 200 } else { 403 },
                "the file rules"
            );
        });
    }
}

/// Whoever closes an API must not find it open after a restart, by an edit that was never applied.
#[test]
fn an_edit_that_was_not_applied_keeps_the_switch() {
    let folder = files("PRIVATE");
    block_on(async {
        let served = serve(&folder).await;
        switch(&served, Regional).await.unwrap();
        folder.write("orders.yaml", &document("orders", "REGIONAL"));
        switch(&served, Private).await.unwrap();
        drop(served);
        assert_eq!(serve(&folder).await.ask("orders", OUTSIDE), 403);
    });
}

#[test]
fn what_nobody_serves_by_any_more_is_freed_aside_and_nothing_before() {
    block_on(async {
        let folder = files("REGIONAL");
        let served = serve(&folder).await;
        let (node, first) = (&served.node, served.node.running());
        let watched = Arc::downgrade(&first.snapshot);
        // As a worker does while a request is under way.
        let in_use = first.snapshot.clone();
        drop(first);
        folder.write("catalog.yaml", &document("catalog", "REGIONAL").replace("ping", "pong"));
        assert!(apply(node, &ApplyRequest::default()).await.unwrap().done);
        assert_eq!(Arc::strong_count(&in_use), 2, "control keeps it");
        let kept = |at: usize| Arc::ptr_eq(&in_use.apis[at], &node.running().snapshot.apis[at]);
        assert_eq!([kept(0), kept(1)], [false, true], "only what changed is compiled again");
        drop(in_use);
        node.bury();
        // Jobs are done in their order.
        node.aside.run(|| ()).await.unwrap();
        assert_eq!(watched.strong_count(), 0);
    });
}

/// Whoever edits a file and forgets it is told, with the time; what is said otherwise and means the same is no edit.
#[test]
fn files_that_were_edited_and_not_applied_are_out_of_step() {
    let folder = files("REGIONAL");
    block_on(async {
        let served = serve(&folder).await;
        let edited = async || {
            let status = status::with_edits(&served.node).await;
            let edits =
                status.warnings.into_iter().filter(|found| found.what.starts_with("was changed at 2"));
            let names = edits.map(|found| found.file.file_name().unwrap().to_str().unwrap().to_owned());
            (status.in_step, names.collect::<Vec<_>>())
        };
        let all = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        assert_eq!(edited().await, (true, vec![]));
        folder.write("gateway.toml", &format!("{NODE}# the same\n"));
        assert_eq!(edited().await, (true, vec![]));
        folder.write("catalog.yaml", &document("shop", "REGIONAL"));
        assert_eq!(edited().await, (false, all(&["catalog.yaml"])));
        folder.write("gateway.toml", &NODE.replace("[node]", "[node]\nregion = \"eu-west-1\""));
        assert_eq!(edited().await, (false, all(&["gateway.toml", "catalog.yaml"])));
        reload(&served).await.unwrap();
        assert_eq!(edited().await, (true, vec![]));
        folder.write("gateway.toml", "[node");
        assert_eq!(edited().await, (false, all(&["gateway.toml"])));
    });
}
