//! The navigation beside each page: the pages of the reader's part, the other parts by their name. All
//! pages on every page would make the site grow with the square of their number.

use crate::{
    model::{book::Book, program::System},
    text::markup,
};

/// The parts of the book with their pages, in the order of the summary.
pub struct Navigation(Vec<Part>);

/// A part; the pages before the first part have none.
struct Part {
    title: Option<String>,
    /// Address and name of each page.
    pages: Vec<(String, String)>,
}

impl Navigation {
    /// The navigation of a book.
    pub fn of(book: &Book) -> Self {
        let mut parts: Vec<Part> = Vec::new();
        for page in &book.pages {
            let entry = (page.address.to_string(), page.name.clone());
            match parts.last_mut().filter(|part| part.title == page.part) {
                Some(part) => part.pages.push(entry),
                None => parts.push(Part {
                    title: page.part.clone(),
                    pages: vec![entry],
                }),
            }
        }
        Self(parts)
    }

    /// The navigation of the page at `current`, as seen from a page that `to_root` leads out of.
    pub fn html(&self, current: &str, to_root: &str) -> String {
        let parts = self.0.iter().map(|part| part.html(current, to_root));
        parts.collect()
    }
}

impl Part {
    fn html(&self, current: &str, to_root: &str) -> String {
        let is_open = self.title.is_none() || self.pages.iter().any(|(of, _)| of == current);
        let pages = self.pages.iter().map(|(address, name)| {
            let here = match address == current {
                true => r#" aria-current="page""#,
                false => "",
            };
            let name = markup::text(name);
            format!(r#"<li><a href="{to_root}{address}"{here}>{name}</a></li>"#)
        });
        let pages = match is_open {
            true => format!("<ol>{}</ol>", pages.collect::<String>()),
            false => String::new(),
        };
        let Some(title) = &self.title else {
            return pages;
        };
        let title = markup::text(title);
        let class = match self.system() {
            Some(system) => format!(r#" class="{} sq""#, system.name()),
            None => String::new(),
        };
        let (first, _) = &self.pages[0];
        match is_open {
            true => format!("<h2{class}>{title}</h2>{pages}"),
            false => format!(r#"<h2{class}><a href="{to_root}{first}">{title}</a></h2>"#),
        }
    }

    /// The system that the part is about: that of its folder.
    fn system(&self) -> Option<System> {
        System::from_name(self.pages[0].0.split('/').next()?)
    }
}
