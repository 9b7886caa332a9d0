//! Changes that somebody must confirm: kept, rolled back, and what is remembered meanwhile.

use super::*;
use crate::control::change::{apply, set_endpoint};
use crate::control::confirm::{at_the_end, confirm, expire};
use crate::control::limit::set;
use crate::control::status;
use crate::control::types::{
    ApplyRequest, Changed, ConfirmRequest, EndpointRequest, Kind, LimitRequest, Problem,
};
use crate::model::EndpointType::{self, Private, Regional};

const OUTSIDE: [u8; 4] = [127, 0, 0, 1];

async fn switch(served: &Served, endpoint_type: EndpointType, confirm_s: u64) -> Changed {
    let confirm_s = Some(confirm_s);
    let request = EndpointRequest { endpoint_type, plan: false, generation: None, confirm_s };
    set_endpoint(&served.node, "orders", &request).await.unwrap()
}

async fn limit(served: &Served) -> Result<Changed, Problem> {
    let request = LimitRequest { packets: Some("5/s".into()), ..LimitRequest::default() };
    set(&served.node, "public", &request).await
}

fn stored(served: &Served) -> Option<EndpointType> {
    served.node.store.remembered().unwrap().endpoint_types.get("orders").copied()
}

#[test]
fn what_is_confirmed_is_kept() {
    let folder = files("REGIONAL");
    block_on(async {
        let served = serve(&folder).await;
        let changed = switch(&served, Private, 60).await;
        let waits = changed.waits.unwrap();
        assert_eq!((waits.id, waits.what.as_str()), (1, "orders is PRIVATE now"));
        assert!((58..=60).contains(&waits.seconds_left));
        assert_eq!(served.ask("orders", OUTSIDE), 403, "it is in force at once");
        assert_eq!(stored(&served), None, "and not kept yet");
        assert_eq!(status::status(&served.node).waits.unwrap().id, 1);
        let wrong = ConfirmRequest { id: Some(7), rollback: false };
        assert_eq!(confirm(&served.node, &wrong).await.unwrap_err().kind, Kind::Conflict);
        let confirmed = confirm(&served.node, &ConfirmRequest::default()).await.unwrap();
        assert!(confirmed.kept);
        assert_eq!(stored(&served), Some(Private));
        assert_eq!(status::status(&served.node).waits, None);
        expire(&served.node).await;
        assert_eq!(served.ask("orders", OUTSIDE), 403);
        let nothing = confirm(&served.node, &ConfirmRequest::default()).await.unwrap_err();
        assert_eq!(nothing.kind, Kind::Unknown);
    });
}

/// In the order in which such a change is always made: the kernel opens last.
#[test]
fn what_nobody_confirms_in_time_is_rolled_back() {
    let folder = files("REGIONAL");
    block_on(async {
        let served = Rc::new(serve(&folder).await);
        switch(&served, Private, 5).await;
        expire(&served.node).await;
        assert_eq!(served.ask("orders", OUTSIDE), 403, "not before its time");
        let deadline = tokio::time::Instant::now() + Duration::from_secs(8);
        while status::status(&served.node).waits.is_some() {
            assert!(tokio::time::Instant::now() < deadline);
            tokio::time::sleep(Duration::from_millis(50)).await;
            expire(&served.node).await;
        }
        assert_eq!(served.ask("orders", OUTSIDE), 200);
        assert_eq!(stored(&served), None);
        assert_eq!(served.calls(), 3, "closed, strictest of both, open");
        assert!(served.kernel_private(1, "orders") && !served.kernel_private(2, "orders"));
        assert!(limit(&served).await.unwrap().done, "nothing waits any more");
    });
}

#[test]
fn while_one_waits_no_other_change_begins() {
    let folder = files("REGIONAL");
    block_on(async {
        let served = serve(&folder).await;
        switch(&served, Private, 60).await;
        let limited = limit(&served).await.unwrap_err();
        let applied = apply(&served.node, &ApplyRequest::default()).await.unwrap_err();
        for problem in [limited, applied] {
            assert_eq!(problem.kind, Kind::Conflict);
            assert!(problem.what.contains("change 1 (orders is PRIVATE now)"), "{problem}");
            assert!(problem.mend.contains("gateway confirm"), "{problem}");
        }
        let plan = ApplyRequest { plan: true, ..ApplyRequest::default() };
        assert!(apply(&served.node, &plan).await.is_ok(), "a plan changes nothing");
        let rolled = confirm(&served.node, &ConfirmRequest { id: Some(1), rollback: true }).await.unwrap();
        assert!(!rolled.kept);
        assert_eq!(served.ask("orders", OUTSIDE), 200);
        assert!(limit(&served).await.unwrap().done);
    });
}

#[test]
fn a_gateway_that_ends_takes_it_back_and_one_that_dies_starts_with_what_was_before() {
    let folder = files("REGIONAL");
    block_on(async {
        let served = serve(&folder).await;
        switch(&served, Private, 60).await;
        at_the_end(&served.node).await;
        assert_eq!(served.ask("orders", OUTSIDE), 200);
        switch(&served, Private, 60).await;
        drop(served);
        let served = serve(&folder).await;
        assert_eq!(served.ask("orders", OUTSIDE), 200);
        assert_eq!(status::status(&served.node).waits, None);
    });
}

#[test]
fn after_a_rollback_of_apply_it_is_told_that_the_files_say_something_else() {
    let folder = files("REGIONAL");
    block_on(async {
        let served = serve(&folder).await;
        folder.write("orders.yaml", &document("orders", "PRIVATE"));
        let request = ApplyRequest { confirm_s: Some(60), ..ApplyRequest::default() };
        assert!(apply(&served.node, &request).await.unwrap().waits.is_some());
        assert!(status::status(&served.node).in_step);
        confirm(&served.node, &ConfirmRequest { id: None, rollback: true }).await.unwrap();
        assert_eq!(served.ask("orders", OUTSIDE), 200);
        let told = status::status(&served.node);
        assert!(!told.in_step);
        assert!(told.refused.unwrap().problem.what.contains("the files say what does not run"));
    });
}

/// The unconfirmed change is never kept by accident: the way back is tried until it goes.
#[test]
fn a_way_back_that_fails_is_tried_again() {
    let folder = files("PRIVATE");
    block_on(async {
        let served = serve(&folder).await;
        switch(&served, Regional, 60).await;
        let calls = served.calls();
        served.told.borrow_mut().fail = Some((calls, 1));
        let back = ConfirmRequest { id: None, rollback: true };
        assert!(confirm(&served.node, &back).await.is_err());
        let waits = status::status(&served.node).waits.unwrap();
        assert!(waits.failed.unwrap().contains("the kernel said no") && waits.seconds_left <= 5);
        confirm(&served.node, &back).await.unwrap();
        assert_eq!(served.ask("orders", OUTSIDE), 403);
        assert_eq!(stored(&served), None);
    });
}
