//! What a build is asked for.

use jiff::{ZonedDateTime, civil::Date};

/// What a build makes beyond the pages.
#[derive(Debug)]
pub struct Options {
    /// Whether it makes the editions: social cards, EPUB and PDF.
    pub editions: bool,
    /// The address of the published site, instead of that in `book.toml`.
    pub site: Option<String>,
    /// The path of the same host from which the pages are told to reload.
    pub live: Option<String>,
    /// The day that counts as today: the site says which sources were read too long before.
    pub today: Date,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            editions: false,
            site: None,
            live: None,
            today: today(),
        }
    }
}

/// The day of this machine.
pub fn today() -> Date {
    ZonedDateTime::now().date()
}
