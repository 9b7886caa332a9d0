//! By what the request's body would be checked: as a worker chooses it. There is no body here to check.

use crate::guard::Permit;
use crate::http::RequestHead;
use crate::refusal::Refusal;

/// How it goes on.
pub(super) enum Checked {
    /// Bodies of that type are not checked.
    Unchecked(String),
    /// Whether the request passes is the body's to say.
    ByModel(String),
}

/// In words, or why every body is refused. None: the method checks no bodies.
pub(super) fn validation(permit: &Permit<'_>, head: &RequestHead) -> Option<Result<Checked, Refusal>> {
    permit.method.body.as_ref()?;
    let model = match permit.body_model(head) {
        Ok(Some(model)) => model,
        Ok(None) => {
            let told = "no model is for the Content-Type, and none is $default: the body passes unchecked";
            return Some(Ok(Checked::Unchecked(told.into())));
        }
        Err(refusal) => return Some(Err(refusal)),
    };
    let (name, media_type) = (&model.name, &model.media_type);
    let without = match model.check(b"") {
        Err(refusal @ Refusal::ApiConfiguration(_)) => return Some(Err(refusal)),
        Err(_) => "a request without one is refused",
        Ok(()) => "a request without one passes",
    };
    Some(Ok(Checked::ByModel(format!(
        "the body would be checked by the model {name}, which is for {media_type}; explain has no body: whether one \
         fits is not told, and {without}"
    ))))
}
