//! Markdown as mdBook reads it.

use pulldown_cmark::Options;

/// The dialect that mdBook reads when `book.toml` says nothing else, without typographic quotes: for those
/// who look for places.
pub fn options() -> Options {
    Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_HEADING_ATTRIBUTES
        | Options::ENABLE_DEFINITION_LIST
        | Options::ENABLE_GFM
}

/// The same, as `book.toml` changes it.
pub fn dialect(smart_punctuation: bool, definition_lists: bool, admonitions: bool) -> Options {
    let mut dialect = options();
    dialect.set(Options::ENABLE_SMART_PUNCTUATION, smart_punctuation);
    dialect.set(Options::ENABLE_DEFINITION_LIST, definition_lists);
    dialect.set(Options::ENABLE_GFM, admonitions);
    dialect
}
