//! Clients that GetSdk generates, run by node and Java (`scripts/install-test-tools.sh`): `tests/aws/sdk.py`.

use crate::aws::{empty, run};

#[test]
fn generated_clients_call_the_gateway() {
    run(&empty(), "sdk.py", &[]);
}
