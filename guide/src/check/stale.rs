//! The sources that should be read again.

use crate::model::{
    address::Address,
    book::Book,
    ledger::{Claim, Source},
};

/// A line for each source that was read more than `days` days ago, the oldest first; one line that
/// says so when there is none.
pub fn lines(book: &Book, days: i32) -> Vec<String> {
    let mut stale: Vec<(i32, String)> = Vec::new();
    for part in book.ledger.parts() {
        for claim in &part.claims {
            for source in &claim.sources {
                let Some(age) = source.age(book.today).filter(|age| *age > days) else {
                    continue;
                };
                stale.push((age, line(book, &part.name, claim, source, age)));
            }
        }
    }
    if stale.is_empty() {
        let today = book.today;
        return vec![format!(
            "none: no source was read more than {days} days before {today}"
        )];
    }
    // Of one age they stay in the order of the ledger.
    stale.sort_by_key(|(age, _)| -age);
    stale.into_iter().map(|(_, line)| line).collect()
}

fn line(book: &Book, part: &str, claim: &Claim, source: &Source, age: i32) -> String {
    let (id, name) = (&claim.id, source.name());
    let read = source.read;
    let pages = book
        .pages_that_use(id)
        .map(|page| Address::of(&book.file(page)).to_string());
    let pages = pages.collect::<Vec<_>>().join(", ");
    format!("{part}: {id}: {name}, read {read}, {age} days ago; {pages}")
}
