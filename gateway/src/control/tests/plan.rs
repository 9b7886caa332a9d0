//! Plans say everything that becomes different, and nothing else.

use super::*;
use crate::control::change::{apply, set_endpoint};
use crate::control::status;
use crate::control::types::{ApplyRequest, EndpointRequest, Plan};
use crate::model::EndpointType;

async fn planned(served: &Served) -> Plan {
    let request = ApplyRequest { plan: true, ..ApplyRequest::default() };
    apply(&served.node, &request).await.unwrap().plan
}

fn lines(plan: &Plan) -> Vec<String> {
    plan.changes.iter().map(|change| format!("{}: {}", change.subject, change.what)).collect()
}

#[test]
fn files_as_they_run_change_nothing() {
    let folder = files("PRIVATE");
    block_on(async {
        let served = serve(&folder).await;
        let plan = planned(&served).await;
        assert_eq!(plan, Plan { generation: 1, files: plan.files.clone(), ..Plan::default() });
    });
}

/// The ARNs of a policy hold both: with them an API opens or closes.
#[test]
fn region_and_account_are_named() {
    let folder = files("PRIVATE");
    block_on(async {
        let served = serve(&folder).await;
        let node = "[node]\nregion = \"eu-west-1\"\naccount = \"111122223333\"";
        folder.write("gateway.toml", &NODE.replace("[node]", node));
        let plan = planned(&served).await;
        let lines = lines(&plan);
        assert!(plan.differs);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].starts_with("node region: ") && lines[0].ends_with(" → eu-west-1"), "{lines:?}");
        assert!(lines[1].starts_with("node account: ") && lines[1].ends_with(" → 111122223333"), "{lines:?}");
    });
}

#[test]
fn a_policy_is_named() {
    let folder = files("REGIONAL");
    block_on(async {
        let served = serve(&folder).await;
        let deny = "x-amazon-apigateway-policy: {Version: \"2012-10-17\", Statement: [{Effect: Deny, \
                    Principal: \"*\", Action: \"execute-api:Invoke\", Resource: \"execute-api:/*\"}]}\n";
        folder.write("catalog.yaml", &format!("{}{deny}", document("catalog", "REGIONAL")));
        let lines = lines(&planned(&served).await);
        assert!(lines.contains(&"api catalog: resource policy added".to_string()), "{lines:?}");
    });
}

#[test]
fn files_that_differ_in_what_no_line_names_are_a_difference() {
    let folder = files("REGIONAL");
    block_on(async {
        let served = serve(&folder).await;
        folder.write("gateway.toml", &NODE.replace("store = \"store\"", "store = \"./store\""));
        let plan = planned(&served).await;
        assert!(plan.differs, "{plan:?}");
    });
}

#[test]
fn a_new_api_gets_the_id_that_its_plan_named() {
    let folder = files("REGIONAL");
    block_on(async {
        let served = serve(&folder).await;
        folder.write("pets.yaml", &document("pets", "REGIONAL"));
        folder.write(
            "gateway.toml",
            &format!("{NODE}\n[[api]]\nname = \"pets\"\nfile = \"pets.yaml\"\nstage = \"prod\"\n"),
        );
        let lines: Vec<Vec<String>> =
            [planned(&served).await, planned(&served).await].iter().map(lines).collect();
        assert_eq!(lines[0], lines[1]);
        let request = ApplyRequest { plan: false, ..ApplyRequest::default() };
        apply(&served.node, &request).await.unwrap();
        let id = status::api(&served.node, "pets").unwrap().api.id;
        let expected = format!("api pets: added: REGIONAL, id {id}, stage prod");
        assert!(lines[0].contains(&expected), "{expected}: {lines:#?}");
    });
}

#[test]
fn every_change_of_the_files_is_said() {
    let folder = files("PRIVATE");
    block_on(async {
        let served = serve(&folder).await;
        let orders = served.address("orders");
        let edited = NODE
            .replace("workers = 2", "workers = 3")
            .replace("127.0.1.0/24", "127.0.2.0/24")
            .replace("apis = [\"catalog\"]", "")
            .replace("id = \"a1b2c3d4e5\"", "id = \"zzzzzzzzzz\"")
            .replace("name = \"public\"", "name = \"front\"");
        folder.write("gateway.toml", &edited);
        folder.write("orders.yaml", &document("orders", "REGIONAL"));
        folder.write("catalog.yaml", &document("catalog", "REGIONAL").replace("/ping", "/pong"));
        let plan = planned(&served).await;
        let lines = lines(&plan);
        for expected in [
            "vpc vpc-main: 127.0.1.0/24 → 127.0.2.0/24",
            "listener front: added: 127.0.0.1:0, serves catalog, orders",
            "listener public: removed: ",
            "api catalog: document or stage variables changed, 1 methods",
            "api orders: endpoint type PRIVATE → REGIONAL",
            "api orders: id a1b2c3d4e5 → zzzzzzzzzz",
        ] {
            assert!(lines.iter().any(|line| line.starts_with(expected)), "{expected}: {lines:#?}");
        }
        assert_eq!(plan.warnings, ["[node] workers changes only with a restart of the gateway"]);
        let kernel = plan.kernel.iter().find(|change| change.address == orders).unwrap();
        assert_eq!((kernel.before.as_str(), kernel.after.as_str()), ("private vpc-main", "pass"));
    });
}

/// Who may call how often, and never a key's value.
#[test]
fn keys_plans_and_throttles_are_named() {
    const VALUE: &str = "0123456789abcdefghij";
    let limited = |key: &str, plan: &str, setting: &str, node: &str| {
        let api = "file = \"catalog.yaml\"";
        NODE.replace("[node]", &format!("[node]\n{node}"))
            .replace(api, &format!("{api}\nmethod_settings.\"ping/GET\" = {{ {setting} }}"))
            + &format!("\n{key}\n{plan}\n")
    };
    let key =
        |name: &str, more: &str| format!("[[api_key]]\nname = \"{name}\"\nvalue = \"{VALUE}{name}\"\n{more}");
    let plan = |more: &str| format!("[[usage_plan]]\nname = \"gold\"\n{more}");
    let folder = files("REGIONAL");
    let first = limited(
        &format!("{}\n{}", key("one", ""), key("two", "")),
        &plan("apis = [\"catalog\"]\nkeys = [\"one\"]\nquota_limit = 5\nquota_period = \"DAY\""),
        "throttling_rate_limit = 5",
        "",
    );
    folder.write("gateway.toml", &first);
    block_on(async {
        let served = serve(&folder).await;
        assert_eq!(lines(&planned(&served).await), Vec::<String>::new());
        let throttled = "[usage_plan.method_throttles.catalog.\"ping/GET\"]\nthrottling_rate_limit = 2";
        let second = limited(
            &format!("{}\n{}", key("one", "enabled = false").replace("0123", "3210"), key("three", "")),
            &plan(&format!(
                "apis = [\"catalog\", \"orders\"]\nkeys = [\"one\", \"three\"]\nthrottling_rate_limit = 1\n\
                 quota_limit = 6\nquota_period = \"WEEK\"\nquota_offset = 1\n{throttled}\n\
                 [[usage_plan]]\nname = \"iron\"\nkeys = [\"three\"]"
            )),
            "throttling_rate_limit = 7, caching_enabled = true",
            "throttling_rate_limit = 50",
        );
        folder.write("gateway.toml", &second);
        let plan = planned(&served).await;
        assert_eq!(
            lines(&plan),
            [
                "node throttling: no limit → 50 a second, 50 at once",
                "api_key one: another value: whoever calls with the old one is refused",
                "api_key one: enabled → disabled",
                "api_key three: added, enabled",
                "api_key two: removed: whoever calls with it is refused",
                "usage_plan gold: apis [catalog] → [catalog, orders]",
                "usage_plan gold: keys [one] → [one, three]",
                "usage_plan gold: throttle of each key no limit → 1 a second, 1 at once",
                "usage_plan gold: quota of each key 5 a day → 6 a week from its day 1 on",
                "usage_plan gold: throttle of catalog ping/GET no limit → 2 a second, 2 at once",
                "usage_plan iron: added",
                "usage_plan iron: keys [] → [three]",
                "api catalog: settings of ping/GET changed",
                "api catalog: throttle of ping/GET 5 a second, 5 at once → 7 a second, 7 at once",
            ]
        );
        let told = serde_json::to_string(&plan).unwrap();
        assert!(!told.contains("456789abcdefghij"), "{told}");
    });
}

#[test]
fn the_plan_of_a_switch_says_who_will_be_kept_away_by_whom() {
    let shared = NODE.replace("apis = [\"orders\"]", "apis = [\"orders\", \"catalog\"]");
    let folder = files("REGIONAL");
    folder.write("gateway.toml", &shared);
    block_on(async {
        let served = serve(&folder).await;
        let request = EndpointRequest {
            endpoint_type: EndpointType::Private,
            plan: true,
            generation: None,
            confirm_s: None,
        };
        let plan = set_endpoint(&served.node, "orders", &request).await.unwrap().plan;
        let switched = "api orders: `set-endpoint` wins over its file from now on";
        assert_eq!(lines(&plan), ["api orders: endpoint type REGIONAL → PRIVATE", switched]);
        assert_eq!(plan.kernel, []);
        assert_eq!(plan.warnings.len(), 1, "{:?}", plan.warnings);
        assert!(plan.warnings[0].contains("listener orders also serves APIs that are not private"));
    });
}

#[test]
fn without_xdp_the_plan_of_a_switch_says_so() {
    let folder = files("REGIONAL");
    block_on(async {
        let served = serve(&folder).await;
        *served.node.kernel.borrow_mut() = Kernel::Off { why: "no BPF here".into() };
        let request = EndpointRequest {
            endpoint_type: EndpointType::Private,
            plan: true,
            generation: None,
            confirm_s: None,
        };
        let plan = set_endpoint(&served.node, "orders", &request).await.unwrap().plan;
        assert!(plan.warnings[0].contains("the workers alone keep outsiders away from orders"), "{plan:?}");
        assert!(plan.warnings[0].contains("no BPF here"), "{plan:?}");
    });
}

#[test]
fn limits_dry_run_and_trusted_sources_are_named_as_the_kernel_will_have_them() {
    let folder = files("PRIVATE");
    block_on(async {
        let served = serve(&folder).await;
        let orders = served.address("orders");
        let xdp =
            "[xdp]\ntrusted = [\"192.0.2.0/24\"]\nsource_v6 = 56\nlimit = { packets = \"2000/s\" }\n[node]";
        let dry = "apis = [\"orders\"]\ndry_run = true";
        folder.write("gateway.toml", &NODE.replace("[node]", xdp).replace("apis = [\"orders\"]", dry));
        let plan = planned(&served).await;
        assert_eq!(
            lines(&plan),
            [
                "xdp trusted: 127.0.0.0/8, ::1/128 → 127.0.0.0/8, ::1/128, 192.0.2.0/24",
                "listener public: limits none → packets 2000/s, burst 2000",
                "listener orders: limits none → packets 2000/s, burst 2000",
                "listener orders: dry run off → on",
            ]
        );
        let kernel = plan.kernel.iter().find(|change| change.address == orders).unwrap();
        assert_eq!(kernel.before, "private vpc-main");
        assert_eq!(kernel.after, "private vpc-main; packets 2000/s, burst 2000; dry run");
        assert_eq!(plan.warnings, ["[xdp] source_v6 changes only with a restart of the gateway"]);
        apply(&served.node, &ApplyRequest::default()).await.unwrap();
        let told = served.told.borrow();
        let (rules, _) = told.rules.last().unwrap();
        assert!(rules.listeners[1].dry_run && !rules.listeners[0].dry_run);
        assert_eq!(rules.listeners[0].limits.to_string(), "packets 2000/s, burst 2000");
        assert_eq!(rules.trusted.len(), 3);
    });
}

#[test]
fn a_switch_to_private_on_a_listener_in_a_dry_run_says_that_xdp_only_counts() {
    let folder = files("REGIONAL");
    folder.write("gateway.toml", &NODE.replace("apis = [\"orders\"]", "apis = [\"orders\"]\ndry_run = true"));
    block_on(async {
        let served = serve(&folder).await;
        let endpoint_type = EndpointType::Private;
        let request = EndpointRequest { endpoint_type, plan: true, generation: None, confirm_s: None };
        let plan = set_endpoint(&served.node, "orders", &request).await.unwrap().plan;
        assert_eq!(plan.kernel[0].after, "private vpc-main; dry run");
        assert_eq!(plan.warnings.len(), 1, "{:?}", plan.warnings);
        assert!(plan.warnings[0].contains("listener orders is in a dry run: XDP only counts"));
    });
}

/// `/{stage}/` without a host means an API only as long as its listener serves no other.
#[test]
fn that_a_second_api_ends_the_first_one_s_short_url_is_said() {
    let folder = files("REGIONAL");
    block_on(async {
        let served = serve(&folder).await;
        let address = served.address("orders");
        let shared = NODE.replace("apis = [\"orders\"]", "apis = [\"orders\", \"catalog\"]");
        folder.write("gateway.toml", &shared);
        let warnings = planned(&served).await.warnings;
        let [lost] = &warnings[..] else { panic!("{warnings:?}") };
        let what = format!("listener orders: http://{address}/prod/ means orders no longer");
        let instead = format!("call http://{address}/restapis/a1b2c3d4e5/prod/_user_request_/ or");
        assert!(lost.starts_with(&what) && lost.contains(&instead), "{lost}");
        apply(&served.node, &ApplyRequest::default()).await.unwrap();
        folder.write("catalog.yaml", &document("shop", "REGIONAL"));
        assert_eq!(planned(&served).await.warnings, Vec::<String>::new(), "there is none to lose any more");
    });
}
