/// Why a call failed, in the user's words: the input is wrong, or over a limit.
#[derive(Debug)]
pub struct Failure(pub String);
