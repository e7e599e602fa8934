//! What a style sheet makes the browser load.

use std::sync::LazyLock;

use regex::Regex;

use crate::text::problem::line_at;

static COMMENT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?s)/\*.*?(?:\*/|$)").expect("a constant pattern"));

/// `url(x)`, `url("x")`, `@import "x"`.
static LOAD: LazyLock<Regex> = LazyLock::new(|| {
    let url = r#"(?i)\burl\(\s*(?:"([^"]*)"|'([^']*)'|([^)\s]*))\s*\)"#;
    let import = r#"@import\s+(?:"([^"]*)"|'([^']*)')"#;
    Regex::new(&format!("{url}|{import}")).expect("a constant pattern")
});

/// The targets in a style sheet with their lines; those within the page (`url(#id)`) are left out.
pub fn loads(css: &str) -> Vec<(usize, String)> {
    let blank = |found: &regex::Captures<'_>| found[0].replace(|c| c != '\n', " ");
    let code = COMMENT.replace_all(css, blank);
    let target = |found: regex::Captures<'_>| {
        let target = found.iter().skip(1).flatten().next()?;
        let line = line_at(&code, target.start());
        Some((line, target.as_str().to_owned()))
    };
    let targets = LOAD.captures_iter(&code).filter_map(target);
    targets
        .filter(|(_, target)| !target.starts_with('#'))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_imports_are_found_and_comments_are_not() {
        let css = "@import 'a.css';\n/* url(b) */ x { y: url( c.svg ), URL(\"d e\") url(#f); }\n\
                   @import url(https://g/h);";
        let expected = [(1, "a.css"), (2, "c.svg"), (2, "d e"), (3, "https://g/h")];
        assert_eq!(
            loads(css),
            expected.map(|(line, target)| (line, target.to_owned()))
        );
    }
}
