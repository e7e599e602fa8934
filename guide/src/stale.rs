//! The sources that should be read again.

use crate::{
    ledger::{Claim, Source},
    markup,
    site::Site,
};

/// A line for each source that was read more than `days` days ago, the oldest first; one line that
/// says so when there is none.
pub fn lines(site: &Site, days: i32) -> Vec<String> {
    let mut stale: Vec<(i32, String)> = Vec::new();
    for part in site.ledger.parts() {
        for claim in &part.claims {
            for source in &claim.sources {
                let Some(age) = source.age(site.today).filter(|age| *age > days) else {
                    continue;
                };
                stale.push((age, line(site, &part.name, claim, source, age)));
            }
        }
    }
    if stale.is_empty() {
        let today = site.today;
        return vec![format!(
            "none: no source was read more than {days} days before {today}"
        )];
    }
    // Of one age they stay in the order of the ledger.
    stale.sort_by_key(|(age, _)| -age);
    stale.into_iter().map(|(_, line)| line).collect()
}

fn line(site: &Site, part: &str, claim: &Claim, source: &Source, age: i32) -> String {
    let (id, name) = (&claim.id, source.name());
    let read = source.read;
    let pages = site
        .pages_that_use(id)
        .map(|page| markup::slashes(&site.file(page)));
    let pages = pages.collect::<Vec<_>>().join(", ");
    format!("{part}: {id}: {name}, read {read}, {age} days ago; {pages}")
}
