//! The preprocessor `guide` of stock mdBook: the same pages, as text that mdBook's own preprocessors read next.

use anyhow::Result;
use jiff::civil::Date;
use mdbook_driver::book::Book;
use mdbook_preprocessor::{Preprocessor, PreprocessorContext};

use crate::{
    build::{proofs, with_texts},
    expand::{Expander, Format},
    model,
    text::{grammar::Grammar, problem::Problems},
};

/// The preprocessor.
pub struct Guide {
    today: Date,
}

impl Guide {
    /// Expands a book on a day, which decides what is read too long ago.
    pub fn new(today: Date) -> Self {
        Self { today }
    }
}

impl Preprocessor for Guide {
    fn name(&self) -> &str {
        "guide"
    }

    fn run(&self, context: &PreprocessorContext, chapters: Book) -> Result<Book> {
        let (root, config) = (&context.root, &context.config);
        let book =
            model::book::Book::survey(root, config, &chapters, self.today, Grammar::default())?;
        let format = match context.renderer.as_str() {
            "html" => Format::Html,
            _ => Format::Markdown,
        };
        let mut pages = Expander::new(&book, config).pages(format);
        if format == Format::Html {
            let mut problems = proofs(&book);
            problems.extend(pages.iter().flat_map(|page| page.problems.clone()));
            Problems::check(problems)?;
        }
        for (page, expanded) in book.pages.iter().zip(&mut pages) {
            expanded.text = shielded(&expanded.text);
            if let Some(title) = &page.text.title {
                expanded.text += &format!("\n\n{{{{#title {title}}}}}\n");
            }
        }
        Ok(with_texts(chapters, &book, &pages))
    }
}

/// A text in which mdBook's own preprocessor finds no directive. Of what stands behind a backslash on one
/// line it takes the first backslash away.
fn shielded(text: &str) -> String {
    let lines = text
        .split_inclusive('\n')
        .map(|line| match line.split_once("{{#") {
            Some((before, after)) if after.contains("}}") => format!("{before}\\{{{{#{after}"),
            _ => line.to_owned(),
        });
    lines.collect()
}
