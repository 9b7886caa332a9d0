//! Operations of the AWS API through the operator's socket, and where clients are told to call.

use super::*;
use crate::control::aws::operate;
use crate::control::status::invoke_urls;
use crate::control::types::{Kind, OperationRequest};
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

/// Of the stage that the files say.
fn asked(path: &str) -> OperationRequest {
    OperationRequest {
        method: "GET".into(),
        path: format!("/restapis/a1b2c3d4e5/stages/prod/{path}"),
        region: None,
        body: serde_json::Value::Null,
    }
}

/// It takes time, in which others are answered.
#[test]
fn clients_are_generated_aside() {
    let folder = files("REGIONAL");
    block_on(async {
        let served = serve(&folder).await;
        // The thread for it does something else until it is told to go on.
        let (go_on, told) = std::sync::mpsc::channel();
        let mut busy = pin!(served.node.aside.run(move || told.recv()));
        assert!(poll_fn(|cx| Poll::Ready(busy.as_mut().poll(cx))).await.is_pending());
        let client = asked("sdks/javascript");
        let mut client = pin!(operate(&served.node, &client));
        assert!(
            poll_fn(|cx| Poll::Ready(client.as_mut().poll(cx))).await.is_pending(),
            "generated where it was asked for"
        );
        operate(&served.node, &asked("exports/oas30")).await.unwrap();
        go_on.send(()).unwrap();
        busy.await.unwrap().unwrap();
        let made = client.await.unwrap_err();
        assert!(made.to_string().contains(".zip is no text"), "{made}");
    });
}

#[test]
fn a_file_of_bytes_is_not_told_as_text() {
    let folder = files("REGIONAL");
    block_on(async {
        let served = serve(&folder).await;
        let export = operate(&served.node, &asked("exports/oas30")).await.unwrap();
        assert!(export.body.as_str().is_some_and(|text| text.starts_with('{')), "{:?}", export.body);
        let problem = operate(&served.node, &asked("sdks/javascript")).await.unwrap_err();
        assert_eq!(problem.kind, Kind::Request, "{problem}");
        assert!(problem.to_string().contains(".zip is no text"), "{problem}");
    });
}

/// What ends when another API is made is not among the URLs of a client.
#[test]
fn clients_are_told_urls_that_last() {
    let folder = files("REGIONAL");
    block_on(async {
        let served = serve(&folder).await;
        let address = served.address("orders");
        let urls = |api, stage| invoke_urls(&served.node.running(), api, stage);
        let told = urls("a1b2c3d4e5", "prod");
        let expected = format!("http://{address}/restapis/a1b2c3d4e5/prod/_user_request_");
        assert!(told.contains(&expected), "{told:?}");
        assert!(!told.iter().any(|url| url.ends_with("/prod") || url.contains('<')), "{told:?}");
        assert!(urls("a1b2c3d4e5", "beta").is_empty() && urls("a", "prod").is_empty());
        let id = "id = \"a1b2c3d4e5\"";
        folder.write("gateway.toml", &NODE.replace(id, &format!("{id}\nhost = [\"orders.example.com\"]")));
        crate::control::change::apply(&served.node, &Default::default()).await.unwrap();
        let told = urls("a1b2c3d4e5", "prod");
        assert_eq!(told[0], format!("http://orders.example.com:{}", address.port()), "{told:?}");
        assert!(told.contains(&expected), "{told:?}");
    });
}
