//! Pingora as a plain reverse proxy of one thread, as its own examples set one up: whatever comes goes to one backend
//! over kept connections. Run it as `bench-pingora LISTEN BACKEND`.

use async_trait::async_trait;
use pingora::prelude::{HttpPeer, Result, Server, http_proxy_service};
use pingora::proxy::{ProxyHttp, Session};
use pingora::server::configuration::ServerConf;
use std::net::SocketAddr;
use std::process::ExitCode;

/// The allocator that the gateway has: it is not to be the difference.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Idle connections to the backend that are kept.
const KEPT_MAX: usize = 1024;

struct ToBackend(SocketAddr);

#[async_trait]
impl ProxyHttp for ToBackend {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _: &mut Session, _: &mut ()) -> Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.0, false, String::new())))
    }
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<SocketAddr>());
    let (Some(Ok(listen)), Some(Ok(backend))) = (arguments.next(), arguments.next()) else {
        eprintln!("bench-pingora LISTEN BACKEND: two addresses, like 127.0.0.1:8080");
        return ExitCode::FAILURE;
    };
    let configuration = ServerConf {
        threads: 1,
        work_stealing: false,
        upstream_keepalive_pool_size: KEPT_MAX,
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(0),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, configuration);
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, ToBackend(backend));
    service.add_tcp(&listen.to_string());
    server.add_service(service);
    server.run_forever()
}
