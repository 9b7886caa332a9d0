//! Resource policies: `x-amazon-apigateway-policy`, evaluated.

/// A compiled policy. What it cannot evaluate counts against the caller: such a Deny denies, such an Allow does not allow.
#[derive(Debug)]
pub struct Policy {
    _private: (),
}
