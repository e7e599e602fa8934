//! `{{#sim NAME START}}`: an interactive part. What it shows before any script runs was printed by its own
//! view; the traces say what its model was held against.

use serde_json::Value;

use crate::{
    model::{
        directive,
        page::Page,
        sim::{Difference, FOLDER, Head, Proven, Sim, Trace},
    },
    text::{markup, problem::Complaint},
};

/// A part as a page shows it.
impl Sim {
    /// The part as HTML on one line. `mark` appends the mark of a claim to a text.
    ///
    /// # Errors
    /// What `mark` complains about.
    pub fn html(&self, page: &Page, proven: &Proven, mark: Mark<'_>) -> Result<String, Complaint> {
        let (start, printed) = (self.start(), &self.printed);
        let folder = format!("{}{FOLDER}", page.address.to_root());
        let (name, element) = (&self.name, &printed.element);
        let body = with_marks(&start.body, str::to_owned, mark)?;
        let table = self.table_html(mark)?;
        Ok(format!(
            r#"<figure class="proof sim wide {system}" aria-label="Try it: {title}"><header><b>{title}</b><span class="of">Try it. What happens is computed by <a href="{folder}/model/{name}.js">this model</a>.</span></header><{element} id="{element}" data-start="{start}">{body}</{element}><header><b>Table</b><span class="of">{caption}; printed by the model</span></header>{table}{proven}<script type="module" src="{folder}/view/{name}.js"></script></figure>"#,
            system = printed.system,
            title = markup::text(&printed.title),
            start = self.start,
            caption = markup::text(&start.caption),
            proven = proven.html(&folder, page),
        ))
    }

    /// What happened, and the table.
    ///
    /// # Errors
    /// What `mark` complains about.
    pub fn markdown(&self, proven: &Proven, mark: Mark<'_>) -> Result<String, Complaint> {
        let start = self.start();
        let row = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let title = &self.printed.title;
        let stop = if title.ends_with(char::is_alphanumeric) {
            "."
        } else {
            ""
        };
        let mut text = format!("*{title}{stop}* {}\n\n", start.said);
        text += &format!("{}:\n\n", start.caption);
        text += &row(&start.head.iter().map(|c| escaped(c)).collect::<Vec<_>>());
        text += &row(&vec!["---".to_owned(); start.head.len()]);
        for cells in &start.rows {
            let cells = cells
                .iter()
                .map(|cell| with_marks(&shown(cell), escaped, mark));
            text += &row(&cells.collect::<Result<Vec<_>, _>>()?);
        }
        for trace in &proven.traces {
            text += &format!("\n{}\n", proven.line(trace));
        }
        Ok(text)
    }

    fn table_html(&self, mark: Mark<'_>) -> Result<String, Complaint> {
        let start = self.start();
        let head: String = start
            .head
            .iter()
            .map(|cell| format!(r#"<th scope="col">{}</th>"#, markup::text(cell)))
            .collect();
        let mut rows = String::new();
        for cells in &start.rows {
            rows += "<tr>";
            for (index, cell) in cells.iter().enumerate() {
                let cell = with_marks(&shown(cell), markup::text, mark)?;
                rows += &match index {
                    0 => format!(r#"<th scope="row">{cell}</th>"#),
                    _ => format!("<td>{cell}</td>"),
                };
            }
            rows += "</tr>";
        }
        let caption = markup::text(&start.caption);
        // What is longer than a word or a number wraps.
        let cells = start.rows.iter().flat_map(|cells| cells.iter().skip(1));
        let is_prose = cells.map(shown).any(|cell| cell.len() > 16);
        let plain = if is_prose { " plain" } else { "" };
        Ok(format!(
            r#"<div class="table-wrapper"><table class="truth{plain}"><caption class="vh">{caption}</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"#
        ))
    }
}

impl Proven {
    fn html(&self, folder: &str, page: &Page) -> String {
        let line = |trace: &Trace| {
            let cases = format!(r#"<a href="{folder}/{}">Its cases</a>"#, trace.file);
            let differing = match self.differing(trace) {
                0 => String::new(),
                _ => format!(
                    r#", <a href="{}evidence.html#where-the-emulator-differs">where it differs</a>"#,
                    page.address.to_root()
                ),
            };
            let text = markup::text(&self.line(trace));
            format!(r#"<span class="qed">{text} <span>{cases}{differing}</span></span>"#)
        };
        match self.traces.iter().map(line).collect::<String>() {
            lines if lines.is_empty() => lines,
            lines => format!("<figcaption>{lines}</figcaption>"),
        }
    }

    /// What the model was held against.
    fn line(&self, trace: &Trace) -> String {
        let Head {
            what,
            broker,
            client,
            recorded,
            ..
        } = &trace.head;
        let cases = trace.head.cases.len() as u64;
        let count = trace.head.count.unwrap_or(cases);
        let differ = match self.differing(trace) {
            0 => "0 differences".to_owned(),
            n => format!(
                "{} not what AWS documents, which the model follows",
                if n == 1 {
                    "1 is".to_owned()
                } else {
                    format!("{n} are")
                }
            ),
        };
        let emulator = match broker.starts_with("LocalStack") {
            true => ", an emulator",
            false => "",
        };
        let day = recorded.parse().ok();
        let day = day
            .and_then(|day: toml::value::Datetime| day.date)
            .map(markup::date);
        format!(
            "{} {what} {broker}{emulator}, {client}, {}: {differ}.",
            thousands(count),
            day.unwrap_or_default(),
        )
    }

    fn differing(&self, trace: &Trace) -> usize {
        let of_trace = self
            .differences
            .iter()
            .filter(|d| trace.file == format!("traces/{}.json", d.trace));
        of_trace.map(|d| d.cases.len()).sum()
    }
}

/// Appends the mark of a claim to a text.
pub type Mark<'a> = &'a mut dyn FnMut(&mut String, &str) -> Result<(), Complaint>;

/// The table of what an emulator does and its maker documents otherwise.
pub fn differences_table(rows: &[Difference]) -> String {
    let mut text = "| The emulator | AWS documents, and the model does | Cases | Source |\n|---|---|---|---|\n".to_owned();
    for row in rows {
        let source = match row.source.address() {
            Some(address) => format!(
                "[{}]({address}), read {}",
                row.source.name(),
                row.source.day()
            ),
            None => format!("{}, read {}", row.source.name(), row.source.day()),
        };
        text += &format!(
            "| {} | {} | {} of `{}` | {source} |\n",
            row.emulator,
            row.documented,
            row.cases.len(),
            row.trace
        );
    }
    text
}

/// A text whose marks are expanded, and whose rest is escaped.
fn with_marks(text: &str, escape: fn(&str) -> String, mark: Mark<'_>) -> Result<String, Complaint> {
    let mut expanded = String::with_capacity(text.len());
    let mut copied = 0;
    for token in directive::outermost(text).filter(|token| token.name == "ev") {
        expanded += &escape(&text[copied..token.range.start]);
        copied = token.range.end;
        mark(&mut expanded, &token.arguments)?;
    }
    Ok(expanded + &escape(&text[copied..]))
}

fn shown(cell: &Value) -> String {
    cell.as_str()
        .map_or_else(|| cell.to_string(), str::to_owned)
}

/// A cell of a Markdown table.
fn escaped(cell: &str) -> String {
    let mut text = String::with_capacity(cell.len());
    for c in cell.chars() {
        if "|*_<`\\[]#".contains(c) {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

fn thousands(n: u64) -> String {
    match n {
        0..1000 => n.to_string(),
        _ => format!("{},{:03}", n / 1000, n % 1000),
    }
}
