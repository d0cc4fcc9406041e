/// Why a call failed; the numbers of `attune_text.h`.
#[derive(Debug)]
pub enum Failure {
    Invalid(String),
    Limit(String),
}

impl Failure {
    pub fn code(&self) -> i32 {
        match self {
            Failure::Invalid(_) => 1,
            Failure::Limit(_) => 2,
        }
    }

    pub fn message(self) -> String {
        match self {
            Failure::Invalid(message) | Failure::Limit(message) => message,
        }
    }
}
