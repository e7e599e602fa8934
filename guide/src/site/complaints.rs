//! What mdBook only logs (an HTML tag that is not closed, a footnote that does not exist) becomes an
//! error here: collects warnings and errors while a closure runs.

use std::{
    fmt::{Debug, Write},
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    model::{book::Book, page::Page},
    text::problem::{Problem, cut},
};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
    subscriber,
};

/// What mdBook logged about the pages of a book, as problems of the page that each names.
pub fn located(book: &Book, complaints: Vec<String>) -> Vec<Problem> {
    let located = complaints.into_iter().map(|complaint| {
        let words: Vec<&str> = complaint.split([' ', '`', '\n', ':']).collect();
        let is_named = |page: &&Page| words.contains(&page.address.as_str());
        let page = book.pages.iter().find(is_named);
        // What it is about stands in the first backticks: a tag, a footnote.
        let subject = complaint.split('`').nth(1).unwrap_or_default();
        let line = page.map_or(1, |page| {
            line_of(page, subject, complaint.contains("footnote"))
        });
        let file = page.map_or_else(|| book.source.join("SUMMARY.md"), |page| book.file(page));
        Problem::new(file, line, format!("mdBook says: {}", cut(&complaint)))
    });
    located.collect()
}

/// The line of what a complaint is about; of a footnote its last definition.
fn line_of(page: &Page, subject: &str, is_footnote: bool) -> usize {
    let text = &page.text.text;
    let found = match is_footnote {
        true => text.rfind(&format!("[^{subject}]:")),
        false => text.find(subject.trim_end_matches('>')),
    };
    found.map_or(1, |offset| page.text.line_at(offset))
}

#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<String>>>);

/// Runs `work` and returns with its result what mdBook complained about on this thread.
pub fn during<T>(work: impl FnOnce() -> T) -> (T, Vec<String>) {
    let collector = Collector::default();
    let result = subscriber::with_default(collector.clone(), work);
    let mut complaints = collector.0.lock().unwrap_or_else(PoisonError::into_inner);
    (result, std::mem::take(&mut *complaints))
}

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut message = Message::default();
        event.record(&mut message);
        let mut complaints = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        complaints.push(message.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            // Writing to a string cannot fail.
            let _ = write!(self.0, "{value:?}");
        }
    }
}
