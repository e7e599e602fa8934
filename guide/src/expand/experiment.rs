//! `{{#guarantee NAME …}}`: what fault experiments counted, as a table. `{{#stalls NAME … | caption}}`:
//! their longest stalls side by side.

use std::fmt::Display;

use crate::{
    model::{
        book::Book,
        experiment::{Case, Counts, Guarantee},
        page::Page,
        program::System,
    },
    text::{markup, problem::Complaint},
};

use super::Format;

/// The table of experiments: one row for each case. With more than one experiment, each row names
/// its own and leads to its proof.
///
/// # Errors
/// A message that names the experiment that does not exist.
pub fn table(
    book: &Book,
    page: &Page,
    names: &[String],
    format: Format,
) -> Result<String, Complaint> {
    let guarantees = load(book, names)?;
    let is_one = guarantees.len() == 1;
    let first = if is_one { "Setting" } else { "What breaks" };
    let columns = "Lost | Repeated | Reordered | Longest stall | Sent | Confirmed | Received";
    let numbers = "|--:".repeat(7);
    let mut text = format!("| {first} | {columns} |\n|---{numbers}|\n");
    for (name, guarantee) in &guarantees {
        let title = match format {
            Format::Html => link(book, page, name, &guarantee.title),
            Format::Markdown => guarantee.title.clone(),
        };
        for case in &guarantee.cases {
            let label = match guarantee.cases.as_slice() {
                _ if is_one => case.name.clone(),
                [_] => title.clone(),
                _ => format!("{title}, {}", case.name),
            };
            text += &row(&label, case);
        }
    }
    Ok(text)
}

fn row(label: &str, case: &Case) -> String {
    let count = |value: fn(&Counts) -> usize| {
        let values = case.runs.iter().map(value);
        each(values.map(grouped))
    };
    let stalls = case.runs.iter().map(|run| run.stall);
    let stalls = stalls.collect::<Option<Vec<_>>>();
    let cells = [
        label.to_owned(),
        harm(count(|run| run.lost)),
        harm(count(|run| run.repeated)),
        harm(count(|run| run.reordered)),
        stalls.map_or_else(|| "–".to_owned(), seconds),
        count(|run| run.sent),
        count(|run| run.confirmed),
        count(|run| run.received),
    ];
    format!("| {} |\n", cells.join(" | "))
}

/// A count that should be 0, and stands out when it is not.
fn harm(count: String) -> String {
    match count.as_str() {
        "0" => count,
        _ => format!("**{count}**"),
    }
}

/// `12,345`
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn load<'a>(book: &Book, names: &'a [String]) -> Result<Vec<(&'a str, Guarantee)>, Complaint> {
    let names = names.iter().map(String::as_str);
    let guarantees = names.map(|name| Ok((name, Guarantee::load(&book.root, name)?)));
    let guarantees: Vec<_> = guarantees.collect::<Result<_, Complaint>>()?;
    match guarantees.is_empty() {
        true => Err("no guarantee named; write {{#guarantee NAME}}".into()),
        false => Ok(guarantees),
    }
}

fn link(book: &Book, page: &Page, name: &str, title: &str) -> String {
    match book.page_that_shows(name, page) {
        Some(other) if other.source == page.source => format!("[{title}](#proof-{name})"),
        Some(other) => format!("[{title}]({}#proof-{name})", page.link_to(other)),
        None => title.to_owned(),
    }
}

/// The value of each run, on one line; one value when all are the same.
fn each<T: PartialEq + Display>(values: impl Iterator<Item = T>) -> String {
    let mut values: Vec<T> = values.collect();
    values.dedup();
    let values: Vec<_> = values.iter().map(T::to_string).collect();
    values.join("\u{a0}/\u{a0}")
}

fn seconds(values: Vec<f64>) -> String {
    each(values.into_iter().map(|value| format!("{value:.1}"))) + "\u{a0}s"
}

/// The longest stalls of some experiments.
pub struct Stalls(Vec<Bar>);

struct Bar {
    system: System,
    label: String,
    /// In seconds, one of each run.
    runs: Vec<f64>,
}

/// Units of the drawing: a bar with its label above it.
const ROW: f64 = 31.0;
const WIDTH: f64 = 340.0;
/// Where the longest bar ends, so that its number has room.
const LONGEST: f64 = 260.0;

impl Stalls {
    /// Reads the experiments of these names.
    ///
    /// # Errors
    /// A message that names the experiment that does not exist or has no stall.
    pub fn load(book: &Book, names: &[String]) -> Result<Self, Complaint> {
        let mut bars = Vec::new();
        for (name, guarantee) in load(book, names)? {
            let prefix = name.split('_').next().unwrap_or_default();
            let system = System::from_name(prefix)
                .ok_or_else(|| format!("`{name}` begins with no system's name; rename it"))?;
            let before = bars.len();
            for case in &guarantee.cases {
                let stalls = case.runs.iter().map(|run| run.stall);
                let Some(runs) = stalls.collect::<Option<Vec<_>>>() else {
                    continue;
                };
                // What has one case only needs no more than its title; a long label has no room.
                let label = match guarantee.cases.as_slice() {
                    [_] => guarantee.title.clone(),
                    _ => format!("{}, {}", guarantee.title, case.name),
                };
                bars.push(Bar {
                    system,
                    label,
                    runs,
                });
            }
            if bars.len() == before {
                return Err(format!("`{name}` has no stall; remove it from the chart").into());
            }
        }
        Ok(Self(bars))
    }

    /// The figure as HTML on one line. `caption` is inline Markdown with its marks expanded.
    pub fn html(&self, caption: &str) -> String {
        let most = self.0.iter().map(Bar::longest).fold(0.1, f64::max);
        let height = ROW * self.0.len() as f64 + 4.0;
        let bars = self.0.iter().enumerate();
        let bars: String = bars
            .map(|(index, bar)| bar.svg(ROW * index as f64, LONGEST / most))
            .collect();
        let caption = markup::inline(caption);
        let (shown_width, shown_height) = (WIDTH * 1.2, height * 1.2);
        format!(
            r#"<figure class="fig wide"><svg class="drawing" width="{shown_width:.0}" height="{shown_height:.0}" viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="stalls-title stalls-desc" fill="currentColor" font-family="system-ui,sans-serif" font-size="10.5"><title id="stalls-title">Longest stalls</title><desc id="stalls-desc">{}</desc>{bars}</svg><figcaption>{caption}</figcaption></figure>"#,
            markup::text(&self.description()),
        )
    }

    /// The bars and the caption as Markdown.
    pub fn markdown(&self, caption: &str) -> String {
        format!(
            "*Drawing: Longest stalls.* {}\n\n{caption}",
            self.description()
        )
    }

    fn description(&self) -> String {
        let bars = self.0.iter();
        let bars = bars.map(|bar| format!("{}: {}.", bar.label, seconds(bar.runs.clone())));
        bars.collect::<Vec<_>>().join(" ")
    }
}

impl Bar {
    fn longest(&self) -> f64 {
        self.runs.iter().copied().fold(0.0, f64::max)
    }

    fn svg(&self, top: f64, scale: f64) -> String {
        let width = (self.longest() * scale).max(1.0);
        let colour = match self.system {
            System::Kafka => "var(--kafka,#1f5c99)",
            System::RabbitMq => "var(--rabbitmq,#a34a08)",
            System::Sqs => "var(--sqs,#1c6b4a)",
            System::Sns => "var(--sns,#8b2f7c)",
        };
        let label = markup::text(&self.label);
        let value = seconds(self.runs.clone());
        let (text, bar, end, number) = (top + 11.0, top + 15.0, width + 5.0, top + 24.0);
        format!(
            r#"<text x="0" y="{text}">{label}</text><path fill="{colour}" d="M0 {bar}h{width:.1}v11h-{width:.1}z"/><text x="{end:.1}" y="{number}">{value}</text>"#
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_agree_are_one_number() {
        assert_eq!(each([1000, 1000].into_iter().map(grouped)), "1,000");
        assert_eq!(
            [0, 999, 50_010, 1_000_000].map(grouped),
            ["0", "999", "50,010", "1,000,000"]
        );
        assert_eq!(each([23, 31].into_iter()), "23\u{a0}/\u{a0}31");
        assert_eq!(seconds(vec![5.0, 5.1]), "5.0\u{a0}/\u{a0}5.1\u{a0}s");
    }

    #[test]
    fn the_longest_bar_fills_the_drawing() {
        let bar = |runs: &[f64]| Bar {
            system: System::Kafka,
            label: "a < b".to_owned(),
            runs: runs.to_vec(),
        };
        let html = Stalls(vec![bar(&[10.0, 5.0]), bar(&[2.5])]).html("Caption.");
        assert!(html.contains("h260.0v11"), "{html}");
        assert!(html.contains("h65.0v11"), "{html}");
        assert!(html.contains("a &lt; b") && !html.contains('\n'), "{html}");
    }
}
