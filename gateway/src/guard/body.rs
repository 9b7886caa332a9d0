//! Request bodies against the models of their method (validateRequestBody).

use crate::http::RequestHead;
use crate::refusal::Refusal;
use crate::schema::Schema;
use std::sync::Arc;

/// A method's models, by media type.
#[derive(Debug, Default)]
pub struct BodyModels {
    /// Lower case, or `$default`. None: its schema cannot be asked.
    by_type: Vec<(String, Option<Arc<Schema>>)>,
}

impl BodyModels {
    pub fn new(by_type: Vec<(String, Option<Arc<Schema>>)>) -> Self {
        Self { by_type }
    }

    /// The model for the request's media type, which is application/json where it says none. None: nothing is checked,
    /// as in AWS.
    pub fn choose(&self, head: &RequestHead) -> Option<&Option<Arc<Schema>>> {
        let field = head.field("content-type").and_then(|value| std::str::from_utf8(value).ok());
        let media_type = field.and_then(|text| text.split(';').next()).map_or("application/json", str::trim);
        let of = |wanted: &str| self.by_type.iter().find(|(known, _)| known.eq_ignore_ascii_case(wanted));
        of(media_type).or_else(|| of("$default")).map(|(_, model)| model)
    }
}

/// May the whole body pass?
pub fn check_body(model: &Option<Arc<Schema>>, body: &[u8]) -> Result<(), Refusal> {
    match model {
        Some(schema) => schema.check(body).map_err(Refusal::InvalidBody),
        None => Err(Refusal::ApiConfiguration("the model of the request's body cannot be asked".into())),
    }
}
