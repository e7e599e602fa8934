//! `{{#ledger}}` counts the claims of the book part by part; `{{#ledger PART}}` lists those of one
//! part, the newest check first.

use super::{Format, PageContent, evidence};
use crate::{
    model::{
        book::Book,
        ledger::{Claim, Kind, Part},
        page::Page,
    },
    text::{markup, problem::Complaint},
};

/// What the directive stands for.
///
/// # Errors
/// A message for a part that does not exist, and for one that has no page.
pub fn expand(content: &PageContent<'_>, part: Option<&str>) -> Result<String, Complaint> {
    let book = content.book;
    let Some(part) = part else {
        return overview(book, content.page);
    };
    let parts = book.ledger.parts();
    let part = parts
        .iter()
        .find(|known| known.name == part)
        .ok_or_else(|| format!("no book/evidence/{part}.toml; correct the name of the part"))?;
    let claims = newest_first(book, part);
    Ok(match content.format {
        Format::Html => list_html(book, content.page, &claims),
        Format::Markdown => list_markdown(book, content.page, &claims),
    })
}

/// How many claims each part has, and what they rest on, with a link to the page that lists them.
fn overview(book: &Book, page: &Page) -> Result<String, Complaint> {
    let mut text = "| Part | Claims | By a run alone | By a source alone | By both |\n".to_owned();
    text += "|---|---:|---:|---:|---:|\n";
    for part in book.parts() {
        let name = &part.name;
        let listed = book.page_that_lists(name).ok_or_else(|| {
            let file = book.source.join("evidence").join(format!("{name}.md"));
            let file = file.display();
            format!(
                "no page lists the part `{name}`; write {file} with {{{{#ledger {name}}}}} and its \
                 line in SUMMARY.md"
            )
        })?;
        let link = format!(
            "{}{}",
            page.address.to_root(),
            markup::slashes(&listed.source)
        );
        let Counts {
            all,
            runs,
            sources,
            both,
            ..
        } = Counts::of(&part.claims);
        let title = book.part_title(name);
        text += &format!("| [{title}]({link}) | {all} | {runs} | {sources} | {both} |\n");
    }
    Ok(format!(
        "{}\n\n{text}",
        Counts::of(book.ledger.claims()).in_words()
    ))
}

/// What some claims rest on.
struct Counts {
    all: usize,
    runs: usize,
    sources: usize,
    both: usize,
    neither: usize,
}

impl Counts {
    fn of<'a>(claims: impl IntoIterator<Item = &'a Claim>) -> Self {
        let claims: Vec<_> = claims.into_iter().collect();
        let neither = claims.iter().filter(|claim| claim.is_unproven()).count();
        let of = |kind| claims.iter().filter(|claim| claim.kind() == kind).count();
        Self {
            all: claims.len(),
            runs: of(Kind::Run),
            sources: of(Kind::Source) - neither,
            both: of(Kind::Both),
            neither,
        }
    }

    fn in_words(&self) -> String {
        let Self {
            runs,
            sources,
            both,
            ..
        } = self;
        let all = markup::count(self.all, "claim");
        let neither = match self.neither {
            0 => "none".to_owned(),
            n => n.to_string(),
        };
        format!(
            "{all}: {runs} proven by a run alone, {sources} read in a source alone, {both} both, \
             {neither} without either."
        )
    }
}

fn newest_first<'a>(book: &Book, part: &'a Part) -> Vec<&'a Claim> {
    let mut claims: Vec<_> = part.claims.iter().collect();
    let day = |claim: &&Claim| {
        book.checked(claim)
            .map(|day| (day.year, day.month, day.day))
    };
    claims.sort_by_key(|claim| std::cmp::Reverse(day(claim)));
    claims
}

fn list_html(book: &Book, page: &Page, claims: &[&Claim]) -> String {
    let counts = Counts::of(claims.iter().copied());
    let boxes = [
        (Kind::Run, "by a run alone", counts.runs),
        (Kind::Source, "by a source alone", counts.sources),
        (Kind::Both, "by both", counts.both),
    ];
    let boxes = boxes.map(|(kind, words, count)| {
        let class = kind.class();
        format!(r#"<label><input type="checkbox" id="by-{class}" checked><span class="ev {class}">{words}, {count}</span></label>"#)
    });
    let entries: String = claims
        .iter()
        .map(|claim| entry_html(book, page, claim))
        .collect();
    format!(
        r#"<div class="ledger-box"><fieldset class="show"><legend>Proven</legend>{}</fieldset><ol class="sources ledger">{entries}</ol></div>"#,
        boxes.concat()
    )
}

fn entry_html(book: &Book, page: &Page, claim: &Claim) -> String {
    let (class, label) = (claim.kind().class(), claim.kind().label());
    let pages = book.pages_that_use(&claim.id).map(|user| {
        let address = markup::attribute(&page.link_to(user));
        let name = markup::text(&user.name);
        // To the claim itself would make the page of a large part a tenth heavier.
        format!(r##"<a href="{address}#sources">{name}</a>"##)
    });
    let pages = pages.collect::<Vec<_>>().join(", ");
    format!(
        r#"<li id="{}" class="{class}"><b>{}</b> <span class="vh">{label}: </span>{}. <span class="of">{} On {pages}.</span></li>"#,
        claim.id,
        markup::inline(&claim.claim),
        evidence::proof_html(book, page, claim),
        checked(book, claim),
    )
}

fn list_markdown(book: &Book, page: &Page, claims: &[&Claim]) -> String {
    let entry = |claim: &&Claim| {
        let pages = book.pages_that_use(&claim.id).map(|user| {
            let source = markup::slashes(&user.source);
            format!("[{}]({}{source})", user.name, page.address.to_root())
        });
        let pages = pages.collect::<Vec<_>>().join(", ");
        let (label, proof) = (claim.kind().label(), evidence::proof_markdown(book, claim));
        let checked = checked(book, claim);
        format!(
            "- {} {label}: {proof}. {checked} On {pages}.\n",
            claim.claim
        )
    };
    claims.iter().map(entry).collect()
}

/// When the claim was looked at last.
fn checked(book: &Book, claim: &Claim) -> String {
    match book.checked(claim) {
        Some(day) => format!("Checked {}.", markup::date(day)),
        None => "Checked by every <code>cargo test</code>.".to_owned(),
    }
}
