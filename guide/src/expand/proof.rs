//! The proof panel: `{{#proof NAME}}` and `{{#proof NAME:ANCHOR}}`.

use std::ops::Range;

use crate::{
    model::{
        book::Book,
        program::{Example, Kind},
        record::Recording,
    },
    text::{markup, problem::Complaint},
};

use super::listing;

/// A panel of a page.
pub struct Panel<'a> {
    example: &'a Example,
    /// The anchor of the excerpt that is shown, and the lines of the program between its comments.
    excerpt: Option<(&'a str, Range<usize>)>,
    program: String,
    /// Which panel of the page it is, from 1.
    number: usize,
    /// Whether the page has shown the program before: then only the listing is repeated.
    repeated: bool,
}

impl<'a> Panel<'a> {
    /// Finds the program, the lines between its anchors when the directive names one, and what it
    /// printed, or what is wrong with that.
    ///
    /// # Errors
    /// A message that names the program or anchor that does not exist.
    #[allow(
        clippy::type_complexity,
        reason = "a panel can be shown without what was printed"
    )]
    pub fn find(
        book: &'a Book,
        name: &str,
        anchor: Option<&'a str>,
        earlier: &[String],
    ) -> Result<(Self, Result<&'a Recording, Complaint>), Complaint> {
        let (example, recording) = book.programs.get(name)?;
        let excerpt = match anchor {
            Some(anchor) => Some((anchor, example.excerpt(anchor)?)),
            None => None,
        };
        let panel = Self {
            repeated: earlier.iter().any(|shown| shown == name),
            number: earlier.len() + 1,
            program: example.program(),
            example,
            excerpt,
        };
        Ok((panel, recording))
    }

    fn name(&self) -> &str {
        &self.example.name
    }

    /// The panel as HTML on one line.
    pub fn html(&self, book: &Book, recording: &Recording) -> String {
        let (name, file) = (self.name(), self.example.file_name());
        let system = self.example.system().name();
        if self.repeated {
            let listing = self.listing_html(book);
            return format!(
                r##"<figure class="proof wide {system}" aria-label="From {file}">{listing}<figcaption><a href="#proof-{name}">The whole file and what it printed</a></figcaption></figure>"##
            );
        }
        format!(
            r#"<figure class="proof wide {system}" id="proof-{name}" aria-label="Proof: {file}">{}{}{}{}{}</figure>"#,
            self.listing_html(book),
            self.whole_file_html(book),
            self.commands_html(book),
            printed_html(&file, &recording.output),
            self.caption_html(book, recording),
        )
    }

    /// The panel as ordinary code fences. Without a recording, what was printed is left out.
    pub fn markdown(&self, book: &Book, recording: Option<&Recording>) -> String {
        let mut text = String::new();
        if let Some((_, lines)) = &self.excerpt {
            let excerpt = listing::dedented(&self.program, lines.clone());
            text += &fence(self.fence_info(false), &excerpt);
        }
        if self.repeated {
            return text;
        }
        text += &fence(self.fence_info(true), &self.program);
        let add = self.add_line(book);
        if !add.is_empty() {
            text += &fence("sh", &add);
        }
        text += &fence("sh", &self.example.run_line());
        if let Some(recording) = recording {
            text += &fence("text", &recording.output);
            text += &format!("{}\n", caption(recording));
        }
        text
    }

    /// The commands that give an empty project what the listing needs.
    fn add_line(&self, book: &Book) -> String {
        match self.example.kind {
            Kind::Program | Kind::Test => book.dependencies.add_line(&self.program),
            Kind::Transcript | Kind::Guarantee => String::new(),
        }
    }

    /// What the panel calls the file.
    fn what(&self) -> &'static str {
        match self.example.kind {
            Kind::Program => "Program",
            Kind::Transcript => "Session",
            Kind::Test => "Test",
            Kind::Guarantee => "Experiment",
        }
    }

    fn language(&self) -> &'static str {
        match self.example.kind {
            Kind::Program | Kind::Test | Kind::Guarantee => "rust",
            Kind::Transcript => "sh",
        }
    }

    /// What skeptic is told about a block: it compiles whole programs. Cargo compiles the tests.
    fn fence_info(&self, whole: bool) -> &'static str {
        match (self.example.kind, whole) {
            (Kind::Program, true) => "rust,no_run",
            (Kind::Program, false) | (Kind::Test | Kind::Guarantee, _) => "rust,ignore",
            (Kind::Transcript, _) => "sh",
        }
    }

    fn lines(&self) -> String {
        let whole = self.program.lines().count();
        match &self.excerpt {
            Some((_, lines)) => format!("{} of {whole} lines", lines.len()),
            None => markup::count(whole, "line"),
        }
    }

    fn listing_html(&self, book: &Book) -> String {
        let id = self.program_id();
        let (what, button, label, code) = match &self.excerpt {
            Some((anchor, _)) => (
                "Excerpt",
                copy(&id, "Copy whole file", "Copy whole file"),
                format!("Excerpt {anchor} of {}", self.example.file_name()),
                "<code>".to_owned(),
            ),
            None => (
                self.what(),
                copy(
                    &id,
                    &format!("Copy the {}", self.what().to_lowercase()),
                    "Copy",
                ),
                format!("{} {}", self.what(), self.example.file_name()),
                format!(r#"<code id="{id}">"#),
            ),
        };
        let button = if self.repeated { String::new() } else { button };
        let listing = match &self.excerpt {
            Some((_, lines)) => {
                listing::excerpt(&book.grammar, self.language(), &self.program, lines.clone())
            }
            None => listing::listing(&book.grammar, self.language(), &self.program),
        };
        format!(
            r#"<header><b>{what}</b><code>{}</code><span class="of">{}</span>{button}</header><pre class="program" tabindex="0" role="region" aria-label="{}">{code}{listing}</code></pre>"#,
            markup::path(&self.example.path()),
            self.lines(),
            markup::attribute(&label),
        )
    }

    fn whole_file_html(&self, book: &Book) -> String {
        if self.excerpt.is_none() {
            return String::new();
        }
        let lines = markup::count(self.program.lines().count(), "line");
        format!(
            r#"<details><summary>The whole file, {lines}</summary><pre class="program" tabindex="0" role="region" aria-label="{} {}"><code id="{}">{}</code></pre></details>"#,
            self.what(),
            self.example.file_name(),
            self.program_id(),
            listing::listing(&book.grammar, self.language(), &self.program),
        )
    }

    fn commands_html(&self, book: &Book) -> String {
        let add = self.add_line(book);
        let run = self.example.run_line();
        let commands = [("Add", "a", add.as_str()), ("Run", "c", run.as_str())];
        let commands = commands
            .into_iter()
            .filter(|(_, _, command)| !command.is_empty());
        let header = |(what, suffix, command): (&str, &str, &str)| {
            let id = format!("{}{suffix}", self.program_id());
            let button = copy(
                &id,
                &format!("Copy the {} command", what.to_lowercase()),
                "Copy",
            );
            let command = unbroken(command);
            format!(
                r#"<header><b>{what}</b><code class="cmd" id="{id}">{command}</code>{button}</header>"#
            )
        };
        commands.map(header).collect()
    }

    fn caption_html(&self, book: &Book, recording: &Recording) -> String {
        let text = markup::text(&caption(recording));
        let history = book.repository.as_ref().map(|repository| {
            let file = self.example.output_file("txt");
            let address = markup::attribute(&format!("{repository}/commits/main/{file}"));
            format!(r#"<a href="{address}">Record and history</a>"#)
        });
        let history = history.unwrap_or_default();
        format!(r#"<figcaption><span class="qed">{text}</span>{history}</figcaption>"#)
    }

    fn program_id(&self) -> String {
        format!("p{}", self.number)
    }
}

/// A command whose options and versions do not break at a line's end.
fn unbroken(command: &str) -> String {
    let words = command.split(' ').map(|word| {
        let text = markup::text(word);
        match word.contains("--") || word.contains('@') {
            true => format!(r#"<span class="nw">{text}</span>"#),
            false => text,
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

fn copy(id: &str, label: &str, text: &str) -> String {
    format!(
        r#"<button class="copy js" type="button" aria-controls="{id}" aria-label="{label}">{text}</button>"#
    )
}

fn printed_html(file: &str, output: &str) -> String {
    let output = markup::text(output.trim_end_matches('\n'));
    format!(
        r#"<header><b>Printed</b></header><pre class="printed" tabindex="0" role="region" aria-label="Output of {file}"><samp>{output}</samp></pre>"#
    )
}

/// When and with what the output was recorded, and which lines differ from run to run.
fn caption(recording: &Recording) -> String {
    let record = &recording.record;
    let day = record.day().map(markup::date).unwrap_or_default();
    let broker = record.broker.as_deref().unwrap_or("no broker");
    let recorded = format!("Recorded {day}, {broker}, {}.", record.client);
    let mut lines: Vec<_> = record.varies.iter().map(|varies| varies.line).collect();
    lines.sort_unstable();
    lines.dedup();
    let numbers: Vec<_> = lines.iter().map(usize::to_string).collect();
    match numbers.as_slice() {
        [] => recorded,
        [one] => format!("{recorded} Line {one} differs from run to run."),
        [first @ .., last] => {
            format!(
                "{recorded} Lines {} and {last} differ from run to run.",
                first.join(", ")
            )
        }
    }
}

/// A fenced block whose fence is longer than any in the text.
fn fence(info: &str, text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(3.max(longest + 1));
    let lines: String = text
        .trim_end_matches('\n')
        .lines()
        .map(|line| format!("{line}\n"))
        .collect();
    format!("{fence}{info}\n{lines}{fence}\n\n")
}
