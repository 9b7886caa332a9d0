//! Which of several domain names that a host fits goes first, and what a private one hides.

use super::*;

/// Exact before wildcard, and of two alike the one that is private to the listener; a private name that is another
/// listener's serves nobody, and lets no public one that is less exact serve in its place.
#[test]
fn the_more_exact_domain_name_goes_first_whoever_has_it() {
    const LISTENERS: usize = 3;
    let door = |id: &str| ApiDoor {
        id: id.to_owned(),
        stage: "prod".to_owned(),
        hosts: Vec::new(),
        default_endpoint: true,
        hidden: false,
        tree: Arc::new(Tree::default().pack()),
    };
    // By its index: the API that the name means.
    let names = [
        ("a.x.org", None),
        ("a.x.org", Some(1)),
        ("*.x.org", None),
        ("*.x.org", Some(1)),
        ("*.x.org", Some(2)),
    ];
    let listeners: Vec<Listener> = (0..LISTENERS).map(|at| listener((at > 0).then_some(0), None)).collect();
    for there in 0_usize..32 {
        let is_there = |at: usize| there & (1 << at) != 0;
        let doors: Vec<ApiDoor> = (0..names.len()).map(|at| door(&at.to_string())).collect();
        let ids: Vec<String> = (0..names.len()).map(|at| at.to_string()).collect();
        let domain = |at: usize| Domain {
            host: names[at].0,
            base_paths: vec![Meaning { path: "", api: &ids[at], stage: Some("prod") }],
            private: names[at].1.map(|listener| Private { listeners: vec![listener], policy: at }),
        };
        let domains: Vec<Domain<'_>> = (0..names.len()).filter(|at| is_there(*at)).map(domain).collect();
        let table = Table::new(doors, &listeners, &[None; LISTENERS]).with_domains(&domains);
        for at in 0..LISTENERS {
            let serves = |name: usize| names[name].1.is_none_or(|listener| listener == at);
            // A name again, where it is to hide those behind it.
            let order = [1, 0, 3, 4, 1, 2];
            let first = order
                .into_iter()
                .enumerate()
                .find(|(place, name)| is_there(*name) && (serves(*name) || *place == 4));
            let expected =
                first.map(|(_, name)| name).filter(|name| serves(*name)).map(|api| (api, "/x".to_owned()));
            assert_eq!(reach(&table, at, "a.x.org", "/x", None), expected, "{there:04b} on {at}");
            let asked =
                Asked { listener: at, host: "a.x.org", path: "/x", method: Method::Get, api_id: None };
            if let Ok(reached) = table.reach(&asked) {
                let own = names[reached.api].1;
                let policy = own.map(|_| reached.api);
                assert_eq!(reached.policy, policy, "a private name is never served without its policy");
                assert!(own.is_none_or(|listener| listener == at), "nor through another listener");
            }
        }
    }
}
