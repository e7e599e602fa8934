//! Evidence in a page: the marks, and the list of sources at its end.

use crate::{
    model::{
        book::Book,
        ledger::{Claim, FRESH_DAYS, Run, Source},
        page::Page,
    },
    text::markup,
};

use super::Format;

const CLOSE: &str = "</span>";

/// Appends a mark to the text before it. The last letter and its marks never part at a line's end.
pub fn push_mark(text: &mut String, number: usize, claim: &Claim, format: Format) {
    let mark = match format {
        Format::Markdown => {
            trim_end(text);
            text.push_str(&format!(" [{} {number}]", claim.kind().word()));
            return;
        }
        Format::Html => mark(number, claim),
    };
    trim_end(text);
    if text.ends_with("</a></span>") && text.rfind(r#"<span class="nw">"#) > text.rfind('\n') {
        text.truncate(text.len() - CLOSE.len());
        text.push_str(&format!("&nbsp;{mark}{CLOSE}"));
        return;
    }
    let letter = last_letter(text);
    text.truncate(text.len() - letter.len());
    text.push_str(&format!(r#"<span class="nw">{letter}&nbsp;{mark}{CLOSE}"#));
}

fn mark(number: usize, claim: &Claim) -> String {
    let (class, word) = (claim.kind().class(), claim.kind().word());
    let id = &claim.id;
    format!(
        r##"<a class="ev {class}" href="#e-{id}" data-n="{number}" aria-label="Proof {number}: {word}">{word}</a>"##
    )
}

/// Removes the blanks, or the one line break, between a sentence and its mark.
fn trim_end(text: &mut String) {
    text.truncate(text.trim_end_matches([' ', '\t']).len());
    if text.ends_with('\n') && !text.ends_with("\n\n") {
        text.truncate(text.trim_end().len());
    }
}

/// The letter or full stop at the end, or nothing when it may belong to markup.
fn last_letter(text: &str) -> String {
    let mut letters = text.chars().rev();
    let last = letters.next();
    let is_plain = |c: char| c.is_alphanumeric() || ".,:!?".contains(c);
    let is_escaped = letters.next() == Some('\\');
    match last {
        Some(c) if is_plain(c) && !is_escaped => c.to_string(),
        _ => String::new(),
    }
}

/// The section at the end of a page that lists what its claims rest on.
pub fn sources(book: &Book, page: &Page, claims: &[&Claim], format: Format) -> String {
    if claims.is_empty() {
        return String::new();
    }
    let mut text = "\n\n## Sources\n\n".to_owned();
    if format == Format::Markdown {
        for (index, claim) in claims.iter().enumerate() {
            let label = claim.kind().label();
            text += &format!("{}. {label}: {}\n", index + 1, proof_markdown(book, claim));
        }
        return text;
    }
    text += r#"<ol class="sources">"#;
    for claim in claims {
        let (class, label) = (claim.kind().class(), claim.kind().label());
        let proof = proof_html(book, page, claim);
        text += &format!(
            r#"<li id="e-{}" class="{class}"><span class="vh">{label}: </span>{proof}</li>"#,
            claim.id,
        );
    }
    text + "</ol>\n"
}

/// What a claim rests on, as Markdown.
pub fn proof_markdown(book: &Book, claim: &Claim) -> String {
    let runs = claim.runs.chunk_by(|one, next| one.name() == next.name());
    let runs = runs.map(runs_markdown);
    let sources = claim
        .sources
        .iter()
        .map(|source| source_markdown(book, source));
    runs.chain(sources).collect::<Vec<_>>().join("; ")
}

/// One program, and each line of its output.
fn runs_markdown(runs: &[Run]) -> String {
    let name = markup::code(runs[0].name());
    let shown: Vec<_> = shown(runs).map(markup::code).collect();
    match shown.as_slice() {
        [] => format!("test {name}"),
        shown => format!("{name} printed {}", shown.join(", ")),
    }
}

fn shown(runs: &[Run]) -> impl Iterator<Item = &str> {
    runs.iter().filter_map(|run| run.shows.as_deref())
}

fn source_markdown(book: &Book, source: &Source) -> String {
    let name = match source.address() {
        Some(address) => format!("[{}]({address})", source.name().replace(['[', ']'], "")),
        None => source.name(),
    };
    let (at, stale) = (publisher(source), stale(book, source));
    format!("{name}{at}, read {}{stale}", source.day())
}

/// The words behind a source that should be read again.
fn stale(book: &Book, source: &Source) -> String {
    match source.is_stale(book.today) {
        true => format!(" (read more than {FRESH_DAYS} days ago)"),
        false => String::new(),
    }
}

/// Where a source is, when its address does not say so.
fn publisher(source: &Source) -> String {
    match source.at.starts_with("https://") {
        true => String::new(),
        false => format!(", {}", source.at),
    }
}

/// What a claim rests on, as HTML.
pub fn proof_html(book: &Book, page: &Page, claim: &Claim) -> String {
    let runs = claim.runs.chunk_by(|one, next| one.name() == next.name());
    let runs = runs.map(|runs| runs_html(book, page, runs));
    let sources = claim.sources.iter().map(|source| source_html(book, source));
    runs.chain(sources).collect::<Vec<_>>().join("; ")
}

/// One program, and each line of its output.
fn runs_html(book: &Book, page: &Page, runs: &[Run]) -> String {
    let run = &runs[0];
    let name = run.name();
    let code = format!("<code>{}</code>", markup::text(name));
    let shown_on = run
        .recorded()
        .and_then(|name| book.page_that_shows(name, page));
    let code = match shown_on {
        Some(other) if other.source == page.source => {
            format!(r##"<a href="#proof-{name}">{code}</a>"##)
        }
        Some(other) => {
            let address = markup::attribute(&page.link_to(other));
            format!(r##"<a href="{address}#proof-{name}">{code}</a>"##)
        }
        None if run.test.is_some() => format!("test {code}"),
        None => code,
    };
    let shown = shown(runs).map(|line| format!("<samp>{}</samp>", markup::text(line)));
    match shown.collect::<Vec<_>>().as_slice() {
        [] => code,
        shown => format!("{code}: {}", shown.join(", ")),
    }
}

fn source_html(book: &Book, source: &Source) -> String {
    let name = markup::text(&source.name());
    let name = match source.address() {
        Some(address) => format!(r#"<a href="{}">{name}</a>"#, markup::attribute(&address)),
        None => name,
    };
    let at = markup::text(&publisher(source));
    let stale = match stale(book, source) {
        words if words.is_empty() => words,
        words => format!(r#"<span class="stale">{words}</span>"#),
    };
    format!("{name}{at}, read {}{stale}", source.day())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(shows: &str) -> Claim {
        Claim {
            id: "x".to_owned(),
            file: "book/evidence/kafka.toml".into(),
            line: 1,
            claim: "X.".to_owned(),
            runs: vec![Run {
                example: Some("kafka_x".to_owned()),
                transcript: None,
                guarantee: None,
                test: None,
                shows: Some(shows.to_owned()),
            }],
            sources: Vec::new(),
            counter: None,
            judged: None,
        }
    }

    fn marked(before: &str) -> String {
        let mut text = before.to_owned();
        push_mark(&mut text, 1, &claim("a"), Format::Html);
        text
    }

    const MARK: &str =
        "<a class=\"ev run\" href=\"#e-x\" data-n=\"1\" aria-label=\"Proof 1: run\">run</a>";

    #[test]
    fn a_mark_holds_on_to_the_full_stop() {
        let nw = |letter: &str| format!("<span class=\"nw\">{letter}&nbsp;{MARK}</span>");
        assert_eq!(marked("It waits. "), format!("It waits{}", nw(".")));
        assert_eq!(marked("It waits.\n"), format!("It waits{}", nw(".")));
        assert_eq!(marked("| `a` "), format!("| `a`{}", nw("")));
        assert_eq!(marked("End.\n\n"), format!("End.\n\n{}", nw("")));
    }

    #[test]
    fn two_marks_share_a_span() {
        let mut text = "Done. ".to_owned();
        push_mark(&mut text, 1, &claim("a"), Format::Html);
        text.push(' ');
        push_mark(&mut text, 2, &claim("b"), Format::Html);
        assert_eq!(text.matches("<span").count(), 1);
        assert_eq!(text.matches("<a ").count(), 2);
    }
}
