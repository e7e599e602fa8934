//! What the sandbox says while it works: on stderr, so that the endpoints can be piped.

use crate::broker::Broker;

/// One line about one broker.
pub(crate) fn progress(broker: Broker, message: &str) {
    eprintln!("{broker:>10}: {message}");
}

/// One line about the whole sandbox.
pub(crate) fn note(message: &str) {
    eprintln!("{:>10}: {message}", "sandbox");
}
