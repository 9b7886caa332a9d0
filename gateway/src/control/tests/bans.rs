//! Bans as an operator makes them: on disk, with every worker, all or nothing.

use super::*;
use crate::control::bans::{Bans, add, remove};
use crate::control::confirm::confirm;
use crate::control::types::{BanRequest, ConfirmRequest, Kind, UnbanRequest};
use crate::guard::offence::Offence;
use crate::worker::Offender;

/// Inside the VPC, and outside.
const INSIDE: [u8; 4] = [127, 0, 1, 7];
const OUTSIDE: [u8; 4] = [127, 0, 0, 1];

/// Loopback is trusted otherwise, and all sources of these tests are there.
fn toml() -> String {
    format!("{NODE}[xdp]\ntrust_loopback = false\n")
}

fn regional() -> Folder {
    let folder = files("REGIONAL");
    folder.write("gateway.toml", &toml());
    folder
}

fn request(ranges: &[&str]) -> BanRequest {
    BanRequest { ranges: ranges.iter().map(ToString::to_string).collect(), ..BanRequest::default() }
}

fn lift(ranges: &[&str]) -> UnbanRequest {
    UnbanRequest { ranges: request(ranges).ranges, ..UnbanRequest::default() }
}

/// The bans that a gateway would have that starts now.
fn stored(served: &Served) -> Vec<String> {
    let bans = Bans::load(served.node.store.folder(), &served.node.started_with.document.xdp).unwrap();
    bans.shown(None).bans.into_iter().map(|ban| ban.range.to_string()).collect()
}

/// Closed without a byte: perhaps before the client has noticed that it was connected.
fn is_shut_out(served: &Served, listener: &str, from: [u8; 4]) -> bool {
    let Ok(mut stream) = try_connect(served.address(listener), from.into()) else { return true };
    let _ = stream.write_all(b"GET /prod/ping HTTP/1.1\r\nHost: test\r\n\r\n");
    matches!(stream.read(&mut [0; 64]), Ok(0) | Err(_))
}

fn counted(served: &Served) -> u64 {
    let banned = |worker: &worker::Handle| worker.counters.connections_banned.load(Ordering::Relaxed);
    served.node.workers.iter().map(banned).sum()
}

#[test]
fn a_banned_source_is_cut_and_kept_out_until_the_ban_is_lifted() {
    let folder = regional();
    block_on(async {
        let served = serve(&folder).await;
        let mut open = connect(served.address("orders"), OUTSIDE.into());
        assert_eq!(status_of(&mut open), 200);
        let mut other = connect(served.address("orders"), INSIDE.into());
        assert_eq!(status_of(&mut other), 200);
        let planned = add(&served.node, &BanRequest { plan: true, ..request(&["127.0.0.1"]) }).await.unwrap();
        assert_eq!((planned.done, planned.added, planned.connections, planned.bans), (false, 1, 1, 1));
        assert_eq!((status_of(&mut open), stored(&served).len()), (200, 0), "a plan changes nothing");

        let done = add(&served.node, &request(&["127.0.0.1"])).await.unwrap();
        assert_eq!((done.done, done.connections, done.until), (true, 1, None));
        assert_eq!(stored(&served), ["127.0.0.1/32"], "on disk when it is answered");
        assert_eq!(open.read(&mut [0; 64]).unwrap_or(0), 0, "cut");
        assert!(is_shut_out(&served, "orders", OUTSIDE) && is_shut_out(&served, "public", OUTSIDE));
        assert_eq!(status_of(&mut other), 200, "others notice nothing");
        assert_eq!(counted(&served), 3);

        let lifted = remove(&served.node, &lift(&["127.0.0.1"])).await.unwrap();
        assert_eq!((lifted.done, lifted.removed, lifted.bans), (true, 1, 0));
        assert_eq!((served.ask("orders", OUTSIDE), stored(&served).len()), (200, 0));
    });
}

#[test]
fn a_ban_ends_by_itself() {
    let folder = regional();
    block_on(async {
        let served = serve(&folder).await;
        let done =
            add(&served.node, &BanRequest { for_s: Some(1), ..request(&["127.0.0.0/24"]) }).await.unwrap();
        assert!(done.until.is_some_and(|until| until.ends_with('Z')));
        assert!(is_shut_out(&served, "orders", OUTSIDE));
        let shown = served.node.bans.shown(Some(OUTSIDE.into())).bans;
        assert_eq!((shown.len(), shown[0].remaining_s, shown[0].by.as_str()), (1, Some(0), "operator"));
        while is_shut_out(&served, "orders", OUTSIDE) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(served.node.bans.shown(Some(OUTSIDE.into())).bans.is_empty());
        assert!(stored(&served).is_empty(), "one that is over is not loaded");
    });
}

#[test]
fn what_fails_bans_nobody() {
    let folder = regional();
    block_on(async {
        let served = serve(&folder).await;
        add(&served.node, &request(&["203.0.113.7"])).await.unwrap();
        for (ranges, kind) in [
            (&["127.0.0.1", "nobody"][..], Kind::Request),
            (&["127.0.0.1", "10.0.0.1/8"], Kind::Request),
            (&[], Kind::Request),
        ] {
            assert_eq!(add(&served.node, &request(ranges)).await.unwrap_err().kind, kind, "{ranges:?}");
        }
        let long = BanRequest { reason: "x\ny".into(), ..request(&["127.0.0.1"]) };
        assert_eq!(add(&served.node, &long).await.unwrap_err().kind, Kind::Request);
        for seconds in [0, i64::MAX as u64, u64::MAX] {
            let odd = BanRequest { for_s: Some(seconds), ..request(&["127.0.0.1"]) };
            assert_eq!(add(&served.node, &odd).await.unwrap_err().kind, Kind::Request, "{seconds}");
        }
        // The new file cannot be made.
        std::fs::create_dir(folder.path("store/bans.json.new")).unwrap();
        let problem = add(&served.node, &request(&["127.0.0.1", "203.0.113.7"])).await.unwrap_err();
        assert!(problem.what.contains("nothing was changed"), "{problem}");
        assert!(remove(&served.node, &lift(&["203.0.113.7"])).await.is_err());
        std::fs::remove_dir(folder.path("store/bans.json.new")).unwrap();
        assert_eq!(
            (served.ask("orders", OUTSIDE), stored(&served)),
            (200, vec!["203.0.113.7/32".to_string()])
        );
        assert_eq!(served.node.bans.shown(None).bans.len(), 1);
    });
}

#[test]
fn only_bans_that_are_there_are_lifted() {
    let folder = regional();
    block_on(async {
        let served = serve(&folder).await;
        add(&served.node, &request(&["203.0.113.0/24", "10.0.0.0/8"])).await.unwrap();
        let problem = remove(&served.node, &lift(&["10.0.0.0/8", "203.0.113.7"])).await.unwrap_err();
        assert_eq!(problem.kind, Kind::Unknown);
        assert!(problem.what.contains("no ban of 203.0.113.7"), "{problem}");
        assert!(problem.mend.contains("203.0.113.0/24"), "{problem}");
        assert_eq!(stored(&served).len(), 2, "all or nothing");
        let all = UnbanRequest { all: true, ..UnbanRequest::default() };
        let planned = remove(&served.node, &UnbanRequest { plan: true, ..all.clone() }).await.unwrap();
        assert_eq!((planned.done, planned.removed, stored(&served).len()), (false, 2, 2));
        assert_eq!(remove(&served.node, &all).await.unwrap().removed, 2);
        assert!(stored(&served).is_empty());
    });
}

#[test]
fn bans_are_in_force_when_a_new_snapshot_serves() {
    let folder = regional();
    block_on(async {
        let served = serve(&folder).await;
        add(&served.node, &request(&["127.0.0.1"])).await.unwrap();
        folder.write("orders.yaml", &document("other", "REGIONAL"));
        crate::control::change::apply(&served.node, &Default::default()).await.unwrap();
        assert!(is_shut_out(&served, "orders", OUTSIDE));
    });
}

#[test]
fn trusted_sources_stay_served_and_are_told() {
    let folder = files("REGIONAL");
    folder.write("gateway.toml", &format!("{}trusted = [\"127.0.1.0/24\", \"203.0.113.0/24\"]\n", toml()));
    block_on(async {
        let served = serve(&folder).await;
        let mut inside = connect(served.address("orders"), INSIDE.into());
        assert_eq!(status_of(&mut inside), 200);
        let done = add(&served.node, &request(&["127.0.0.0/16", "198.51.100.0/24"])).await.unwrap();
        assert_eq!((done.done, done.connections), (true, 0));
        let exempt: Vec<_> =
            done.exempt.iter().map(|exempt| (exempt.range.to_string(), exempt.why.as_str())).collect();
        assert_eq!(exempt, [("127.0.1.0/24".to_string(), "[xdp] trusted")]);
        assert_eq!((status_of(&mut inside), served.ask("orders", INSIDE)), (200, 200));
        assert!(is_shut_out(&served, "orders", OUTSIDE), "the rest of the range is banned");
        folder.write("gateway.toml", &toml());
        crate::control::change::apply(&served.node, &Default::default()).await.unwrap();
        assert!(is_shut_out(&served, "orders", INSIDE), "trusted no more");
        assert_eq!(inside.read(&mut [0; 64]).unwrap_or(0), 0, "nor is what was open");
    });
}

#[test]
fn the_kernel_is_told_each_change_and_a_kernel_that_refuses_bans_nobody() {
    let folder = regional();
    block_on(async {
        let served = serve(&folder).await;
        add(&served.node, &request(&["203.0.113.7", "198.51.100.0/24"])).await.unwrap();
        remove(&served.node, &lift(&["198.51.100.0/24"])).await.unwrap();
        let told = served.told.borrow_mut().bans.split_off(0);
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].starts_with("ban ") && told[0].contains("203.0.113.7/32"), "{told:?}");
        assert_eq!(told[1], "unban [198.51.100.0/24]");

        served.told.borrow_mut().fail_bans = true;
        let problem = add(&served.node, &request(&["127.0.0.1", "203.0.113.7"])).await.unwrap_err();
        assert!(problem.what.contains("the kernel said no"), "{problem}");
        assert!(problem.what.contains("the way back failed"), "it goes on refusing: {problem}");
        assert_eq!(
            (served.ask("orders", OUTSIDE), stored(&served)),
            (200, vec!["203.0.113.7/32".to_string()])
        );
        let told = served.told.borrow_mut().bans.split_off(0);
        assert!(told[0].contains("127.0.0.1/32") && told[1].contains("203.0.113.7/32"), "{told:?}");
        assert!(!told[1].contains("127.0.0.1"), "put back as it was: {told:?}");
    });
}

#[test]
fn who_offends_too_often_is_banned_but_for_trusted_and_banned_sources() {
    let folder = files("REGIONAL");
    let rules = "trusted = [\"127.0.1.0/24\"]\n[bans]\nautomatic = true\nmalformed = \"2/m\"\nfor = \"1h\"\n";
    folder.write("gateway.toml", &format!("{}{rules}", toml()));
    block_on(async {
        let served = serve(&folder).await;
        let offender = |source: [u8; 4]| Offender { source: source.into(), offence: Offence::Malformed };
        let offenders = [OUTSIDE, INSIDE, [203, 0, 113, 7], OUTSIDE].map(offender);
        let operators = BanRequest { for_s: Some(60), ..request(&["203.0.113.0/24"]) };
        add(&served.node, &operators).await.unwrap();
        let mut open = connect(served.address("orders"), OUTSIDE.into());
        assert_eq!(status_of(&mut open), 200);
        crate::control::bans::ban_offenders(&served.node, &offenders).await;
        assert!(is_shut_out(&served, "orders", OUTSIDE));
        assert_eq!(open.read(&mut [0; 64]).unwrap_or(0), 0, "cut");
        assert_eq!(served.ask("orders", INSIDE), 200, "trusted");
        let list = served.node.bans.shown(None).bans;
        let shown: Vec<_> = list.iter().map(|ban| (ban.range.to_string(), ban.by.as_str())).collect();
        assert_eq!(shown, [("127.0.0.1/32".into(), "rule"), ("203.0.113.0/24".to_string(), "operator")]);
        assert_eq!((list[0].rule.as_deref(), list[0].remaining_s), (Some("malformed"), Some(3599)));
        assert_eq!(list[0].reason, "more than 2/m malformed requests");
        assert!(
            served.told.borrow().bans.iter().any(|told| told.contains("127.0.0.1/32")),
            "the kernel, too"
        );
        assert_eq!(stored(&served), ["203.0.113.0/24"], "not written yet");
        crate::control::bans::write_down(&served.node).unwrap();
        assert_eq!(stored(&served), ["127.0.0.1/32", "203.0.113.0/24"]);
        // An operator's word replaces a rule's.
        add(&served.node, &request(&["127.0.0.1"])).await.unwrap();
        crate::control::bans::ban_offenders(&served.node, &offenders).await;
        assert_eq!(served.node.bans.shown(Some(OUTSIDE.into())).bans[0].by, "operator");
    });
}

#[test]
fn a_rule_that_is_off_bans_nobody() {
    let folder = regional();
    block_on(async {
        let served = serve(&folder).await;
        let offender = Offender { source: OUTSIDE.into(), offence: Offence::Malformed };
        crate::control::bans::ban_offenders(&served.node, &[offender]).await;
        assert!(served.node.bans.shown(None).bans.is_empty());
        assert_eq!(served.ask("orders", OUTSIDE), 200);
        let on = format!("{}[bans]\nautomatic = true\nthrottled = \"off\"\n", toml());
        folder.write("gateway.toml", &on);
        let changed = crate::control::change::apply(&served.node, &Default::default()).await.unwrap();
        let what: Vec<_> = changed.plan.changes.iter().map(|change| change.what.as_str()).collect();
        assert_eq!(what, ["off → malformed 30/m, unauthorized 60/m, no_route 120/m, throttled off, for 10m"]);
        crate::control::bans::ban_offenders(&served.node, &[offender]).await;
        assert_eq!(served.node.bans.shown(None).bans.len(), 1, "from the apply on");
    });
}

#[test]
fn what_nobody_confirms_is_taken_back_and_was_never_written() {
    let folder = regional();
    block_on(async {
        let served = serve(&folder).await;
        add(&served.node, &request(&["203.0.113.7"])).await.unwrap();
        let waiting = BanRequest { confirm_s: Some(60), ..request(&["127.0.0.1", "203.0.113.7"]) };
        let done = add(&served.node, &BanRequest { for_s: Some(600), ..waiting.clone() }).await.unwrap();
        assert!(done.waits.is_some_and(|waits| waits.what.contains("127.0.0.1, 203.0.113.7 banned")));
        assert!(is_shut_out(&served, "orders", OUTSIDE), "in force at once");
        for problem in [
            add(&served.node, &waiting).await.unwrap_err(),
            add(&served.node, &request(&["198.51.100.1"])).await.unwrap_err(),
            remove(&served.node, &lift(&["203.0.113.7"])).await.unwrap_err(),
        ] {
            assert_eq!(problem.kind, Kind::Conflict, "{problem}");
        }
        let plan = BanRequest { plan: true, ..request(&["198.51.100.1"]) };
        assert_eq!(add(&served.node, &plan).await.unwrap().added, 1, "a plan is told all the same");
        served.node.bans.set_unwritten();
        crate::control::bans::write_down(&served.node).unwrap();
        assert_eq!(stored(&served), ["203.0.113.7/32"], "not kept, whoever else writes");
        let back = ConfirmRequest { id: None, rollback: true };
        assert!(!confirm(&served.node, &back).await.unwrap().kept);
        assert_eq!(served.ask("orders", OUTSIDE), 200);
        let list = served.node.bans.shown(None).bans;
        assert_eq!((list.len(), &list[0].until), (1, &None), "as it was before");
        assert!(served.told.borrow().bans.last().is_some_and(|told| told == "unban [127.0.0.1/32]"));

        add(&served.node, &waiting).await.unwrap();
        assert!(confirm(&served.node, &ConfirmRequest::default()).await.unwrap().kept);
        assert_eq!(stored(&served), ["127.0.0.1/32", "203.0.113.7/32"]);
        let lifted = UnbanRequest { confirm_s: Some(60), ..lift(&["127.0.0.1"]) };
        remove(&served.node, &lifted).await.unwrap();
        assert_eq!((served.ask("orders", OUTSIDE), stored(&served).len()), (200, 2));
        confirm(&served.node, &back).await.unwrap();
        assert!(is_shut_out(&served, "orders", OUTSIDE), "banned again");
    });
}

#[test]
fn where_a_worker_is_gone_what_waits_for_its_confirmation_does_not_stand() {
    let folder = regional();
    block_on(async {
        let served = serve(&folder).await;
        let gone = &served.node.workers[1];
        assert!(gone.mail.send(worker::Order::Drain { within: Duration::ZERO }).is_ok());
        while !gone.thread.is_finished() {
            std::thread::yield_now();
        }
        let waiting = BanRequest { confirm_s: Some(60), ..request(&["203.0.113.7"]) };
        add(&served.node, &waiting).await.unwrap_err();
        assert!(served.node.bans.shown(None).bans.is_empty(), "nobody could confirm it");
        assert!(served.node.confirm.shown().is_none());
        assert!(served.told.borrow().bans.last().is_some_and(|told| told == "unban [203.0.113.7/32]"));
        let problem = add(&served.node, &request(&["203.0.113.7"])).await.unwrap_err();
        assert!(problem.what.contains("stands on disk and in the kernel"), "{problem}");
        assert_eq!(stored(&served), ["203.0.113.7/32"]);
    });
}
