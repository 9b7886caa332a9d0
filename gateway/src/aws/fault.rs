//! What AWS's control plane answers instead of doing: its error types, their status and their exact messages.

/// An error answer: `x-amzn-ErrorType: {code}` and `{"message": ...}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub status: u16,
    pub code: &'static str,
    pub message: String,
}

impl Fault {
    fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequestException", message)
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(404, "NotFoundException", message)
    }

    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(409, "ConflictException", message)
    }

    /// A quota of this gateway.
    pub fn limit(what: &str) -> Self {
        Self::new(429, "LimitExceededException", format!("Maximum number of {what} has been reached"))
    }

    pub fn serialization(message: impl Into<String>) -> Self {
        Self::new(400, "SerializationException", message)
    }

    pub fn forbidden(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(403, code, message)
    }

    pub fn too_large() -> Self {
        Self::new(413, "RequestEntityTooLargeException", "Request Too Long")
    }

    /// The store or the data plane does not do what it should.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(503, "ServiceUnavailableException", message)
    }

    /// AWS has it, this gateway does not, yet. 400, because clients repeat what is answered with 5xx.
    pub fn not_yet(what: &str) -> Self {
        Self::bad_request(format!("{what} is not supported by this gateway yet"))
    }

    /// ... and what to do until then, if that is known.
    pub fn instead(self, instead: &str) -> Self {
        match instead {
            "" => self,
            instead => Self { message: format!("{}: {instead}", self.message), ..self },
        }
    }

    pub fn concurrent() -> Self {
        Self::conflict("Unable to complete operation due to concurrent modification. Please try again later.")
    }

    pub fn body(&self) -> Vec<u8> {
        serde_json::json!({ "message": self.message }).to_string().into_bytes()
    }
}

impl From<crate::store::Failed> for Fault {
    fn from(failed: crate::store::Failed) -> Self {
        Self::unavailable(format!("the store of this gateway fails: {failed}"))
    }
}

/// Members of an input that the framework refuses before the service sees them; several make one answer.
#[derive(Debug, Default)]
pub(crate) struct Violations(Vec<String>);

impl Violations {
    /// `path`: `putIntegrationInput.type`. `set` in AWS's order, which follows no rule.
    pub(crate) fn one_of(&mut self, value: Option<&str>, path: &str, set: &[&str]) {
        let Some(value) = value.filter(|value| !set.contains(value)) else { return };
        self.0.push(format!(
            "Value '{value}' at '{path}' failed to satisfy constraint: Member must satisfy enum value set: [{}]",
            set.join(", ")
        ));
    }

    /// The member must be there.
    pub(crate) fn required<T>(&mut self, value: Option<&T>, path: &str) {
        if value.is_none() {
            self.0.push(format!(
                "Value null at '{path}' failed to satisfy constraint: Member must not be null"
            ));
        }
    }

    pub(crate) fn status_code(&mut self, value: &str, path: &str) {
        let valid = value.len() == 3
            && value.bytes().all(|byte| byte.is_ascii_digit())
            && (b'1'..=b'5').contains(&value.as_bytes()[0]);
        if !valid {
            self.0.push(format!(
                "Value '{value}' at '{path}' failed to satisfy constraint: Member must satisfy regular expression \
                 pattern: [1-5]\\d\\d"
            ));
        }
    }

    pub(crate) fn endpoint_types(&mut self, values: &[String], path: &str) {
        let set = ["PRIVATE", "EDGE", "REGIONAL"];
        if values.iter().all(|value| set.contains(&value.as_str())) {
            return;
        }
        self.0.push(format!(
            "Value '[{}]' at '{path}' failed to satisfy constraint: Member must satisfy constraint: [Member must \
             satisfy enum value set: [{}]]",
            values.join(", "),
            set.join(", ")
        ));
    }

    pub(crate) fn finish(self) -> Result<(), Fault> {
        let errors = if self.0.len() == 1 { "error" } else { "errors" };
        match self.0.len() {
            0 => Ok(()),
            count => Err(Fault::new(
                400,
                "ValidationException",
                format!("{count} validation {errors} detected: {}", self.0.join("; ")),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_violations_are_one_answer_in_the_words_of_aws() {
        let mut violations = Violations::default();
        violations.one_of(
            Some("HTTPS"),
            "putIntegrationInput.type",
            &["HTTP", "MOCK", "AWS_PROXY", "HTTP_PROXY", "AWS"],
        );
        violations.status_code("700", "putMethodResponseInput.statusCode");
        violations.one_of(Some("HTTP"), "x", &["HTTP"]);
        let fault = violations.finish().unwrap_err();
        assert_eq!((fault.status, fault.code), (400, "ValidationException"));
        assert_eq!(
            fault.message,
            "2 validation errors detected: Value 'HTTPS' at 'putIntegrationInput.type' failed to satisfy constraint: \
             Member must satisfy enum value set: [HTTP, MOCK, AWS_PROXY, HTTP_PROXY, AWS]; Value '700' at \
             'putMethodResponseInput.statusCode' failed to satisfy constraint: Member must satisfy regular expression \
             pattern: [1-5]\\d\\d"
        );
    }
}
