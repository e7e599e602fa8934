//! Interactive parts in `book/interactive`: what a part's own view printed into `printed/NAME.json`, and what
//! its model was held against.

use std::{collections::BTreeMap, fs, path::Path};

use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;

use super::directive;
use crate::{
    model::ledger::Source,
    text::{files, problem::Complaint},
};

/// The folder of the parts, in that of the chapters.
pub const FOLDER: &str = "interactive";

/// What a view printed.
#[derive(Deserialize)]
pub struct Printed {
    pub title: String,
    pub system: String,
    pub element: String,
    pub starts: BTreeMap<String, Start>,
}

/// What it printed for one of its starts.
#[derive(Deserialize)]
pub struct Start {
    /// What happened, a sentence.
    pub said: String,
    /// The part as HTML.
    pub body: String,
    pub caption: String,
    pub head: Vec<String>,
    pub rows: Vec<Vec<Value>>,
}

/// What real brokers did, without the cases.
pub struct Trace {
    pub file: String,
    pub head: Head,
}

/// The head of a file of traces.
#[derive(Deserialize)]
pub struct Head {
    pub model: String,
    pub what: String,
    pub broker: String,
    pub client: String,
    pub recorded: String,
    /// When it is not the number of the cases.
    pub count: Option<u64>,
    #[serde(default)]
    pub cases: Vec<IgnoredAny>,
}

/// Where a broker's emulator differs from what its maker documents.
#[derive(Deserialize)]
pub struct Differences {
    pub difference: Vec<Difference>,
}

#[derive(Deserialize)]
pub struct Difference {
    pub trace: String,
    pub emulator: String,
    pub documented: String,
    pub source: Source,
    pub cases: Vec<String>,
}

/// A part as a page shows it.
pub struct Sim {
    pub name: String,
    pub start: String,
    pub printed: Printed,
}

/// What a part's model was held against.
pub struct Proven {
    pub traces: Vec<Trace>,
    pub differences: Vec<Difference>,
}

impl Sim {
    /// Reads what the part printed.
    ///
    /// # Errors
    /// A message that names the file or the start that does not exist.
    pub fn find(book: &Path, name: &str, start: &str) -> Result<Self, Complaint> {
        let (name, start) = (name.to_owned(), start.to_owned());
        let file = format!("{FOLDER}/printed/{name}.json");
        let text = fs::read_to_string(book.join(&file)).map_err(|_| {
            format!("no {file}; correct the name, or print it with `record printed`")
        })?;
        let printed: Printed = serde_json::from_str(&text)
            .map_err(|error| format!("{file}: {error}; print it anew"))?;
        if !printed.starts.contains_key(&start) {
            let known: Vec<_> = printed.starts.keys().map(String::as_str).collect();
            let known = known.join(", ");
            return Err(format!("{name} has no start `{start}`; known: {known}").into());
        }
        Ok(Self {
            name,
            start,
            printed,
        })
    }

    /// Reads what its model was held against.
    ///
    /// # Errors
    /// A message that names the file that is wrong.
    pub fn proven(&self, book: &Path) -> Result<Proven, Complaint> {
        Ok(Proven {
            traces: traces(book, &self.name)?,
            differences: differences(book)?,
        })
    }

    /// The name of the part, which its element and its drawing have as well.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The claims that the part makes.
    pub fn claims(&self) -> Vec<String> {
        let start = self.start();
        let cells = start.rows.iter().flatten().filter_map(Value::as_str);
        let texts = std::iter::once(start.body.as_str()).chain(cells);
        let marks = texts.flat_map(directive::outermost);
        marks
            .filter(|d| d.name == "ev")
            .map(|d| d.arguments)
            .collect()
    }

    /// What it printed for the start that the page shows.
    pub fn start(&self) -> &Start {
        &self.printed.starts[&self.start]
    }
}

/// Where emulators differ.
///
/// # Errors
/// The file cannot be read.
pub fn differences(book: &Path) -> Result<Vec<Difference>, Complaint> {
    let file = format!("{FOLDER}/differences.toml");
    match fs::read_to_string(book.join(&file)) {
        Ok(text) => match toml::from_str::<Differences>(&text) {
            Ok(read) => Ok(read.difference),
            Err(error) => Err(format!("{file}: {}; correct it", error.message()).into()),
        },
        Err(_) => Ok(Vec::new()),
    }
}

fn traces(book: &Path, model: &str) -> Result<Vec<Trace>, Complaint> {
    let mut traces = Vec::new();
    for path in files::entries(&book.join(FOLDER).join("traces")) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let read = || {
            let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
            serde_json::from_str(&text).map_err(|error| error.to_string())
        };
        let head: Head = read()
            .map_err(|error: String| format!("{FOLDER}/traces/{name}: {error}; record it anew"))?;
        if head.model == model {
            traces.push(Trace {
                file: format!("traces/{name}"),
                head,
            });
        }
    }
    Ok(traces)
}
