//! The decision matrix: `PAGE.toml` beside the page that shows it.

use std::{fs, path::Path};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::{
    model::ledger::{Claim, Ledger},
    model::program::System,
    text::markup,
    text::problem::{Problem, line_at},
};

/// A comparison of the four systems.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    group: Vec<Group>,
}

/// Rows that belong together.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// What they are about.
    pub name: String,
    /// The rows, in their order.
    pub row: Vec<Row>,
}

/// A question with four answers.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Its name in the data; permanent.
    pub id: Spanned<String>,
    /// The question, in a few words.
    pub name: String,
    kafka: Cell,
    rabbitmq: Cell,
    sqs: Cell,
    sns: Cell,
}

/// An answer: statements, of which each is a claim of the ledger.
type Cell = Spanned<Vec<Statement>>;

/// A few words of a cell.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// The words, as inline Markdown.
    pub text: String,
    /// The id of the claim that proves them.
    pub ev: Spanned<String>,
}

/// The decision matrix with the text of its file, for line numbers.
#[derive(Debug)]
pub struct Matrix {
    text: String,
    /// The rows by group.
    pub groups: Vec<Group>,
}

impl Row {
    /// The answer for a system.
    pub fn cell(&self, system: System) -> &[Statement] {
        self.spanned(system).get_ref()
    }

    fn spanned(&self, system: System) -> &Cell {
        match system {
            System::Kafka => &self.kafka,
            System::RabbitMq => &self.rabbitmq,
            System::Sqs => &self.sqs,
            System::Sns => &self.sns,
        }
    }
}

impl Matrix {
    /// Reads the file, which is named `shown` in messages.
    ///
    /// # Errors
    /// What is wrong with it, with its line.
    pub fn load(root: &Path, shown: &Path) -> Result<Self, Problem> {
        let text = fs::read_to_string(root.join(shown))
            .map_err(|e| Problem::new(shown, 1, format!("cannot read it: {e}; write it")))?;
        let file: File = toml::from_str(&text).map_err(|e| {
            let line = e.span().map_or(1, |span| line_at(&text, span.start));
            Problem::new(shown, line, format!("{}; correct it", e.message()))
        })?;
        Ok(Self {
            text,
            groups: file.group,
        })
    }

    /// The line of something that was read.
    pub fn line<T>(&self, of: &Spanned<T>) -> usize {
        line_at(&self.text, of.span().start)
    }

    /// Every row with its group.
    fn grouped(&self) -> impl Iterator<Item = (&Group, &Row)> {
        let groups = self.groups.iter();
        groups.flat_map(|group| group.row.iter().map(move |row| (group, row)))
    }

    /// Every statement.
    pub fn statements(&self) -> impl Iterator<Item = &Statement> {
        let cells = |row| System::ALL.map(|system| Row::cell(row, system));
        self.grouped()
            .flat_map(move |(_, row)| cells(row))
            .flatten()
    }

    /// Lines and messages of what the ledger does not know, of empty cells and of rows with one id.
    pub fn problems(&self, ledger: &Ledger) -> Vec<(usize, String)> {
        let mut problems = Vec::new();
        let mut ids: Vec<&str> = Vec::new();
        for (_, row) in self.grouped() {
            let id = row.id.get_ref();
            if ids.contains(&id.as_str()) {
                let message = format!("a second row has the id `{id}`; rename one");
                problems.push((self.line(&row.id), message));
            }
            ids.push(id);
            for system in System::ALL.into_iter().filter(|s| row.cell(*s).is_empty()) {
                let name = system.name();
                let message = format!("the row `{id}` says nothing of {name}; fill its cell in");
                problems.push((self.line(row.spanned(system)), message));
            }
        }
        for Statement { text, ev } in self.statements() {
            let id = ev.get_ref();
            if text.trim().is_empty() {
                let message = "a statement without words; write them".to_owned();
                problems.push((self.line(ev), message));
            }
            if ledger.get(id).is_none() {
                let message = format!(
                    "unknown claim `{id}`; add [{id}] to a file of book/evidence or correct the id"
                );
                problems.push((self.line(ev), message));
            }
        }
        problems
    }

    /// The matrix as CSV: a line for each statement, with the claim that proves it.
    ///
    /// # Errors
    /// When the text cannot be made.
    pub fn csv(&self, ledger: &Ledger) -> anyhow::Result<String> {
        let mut csv = csv::Writer::from_writer(Vec::new());
        csv.write_record([
            "group",
            "id",
            "row",
            "system",
            "statement",
            "claim",
            "proven by",
            "proof",
        ])?;
        for (group, row) in self.grouped() {
            for system in System::ALL {
                for statement in row.cell(system) {
                    let claim = ledger.get(statement.ev.get_ref());
                    csv.write_record([
                        group.name.as_str(),
                        row.id.get_ref(),
                        &row.name,
                        system.name(),
                        &markup::plain(&statement.text),
                        statement.ev.get_ref(),
                        claim.map_or("", |claim| claim.kind().class()),
                        &claim.map(Claim::proof).unwrap_or_default(),
                    ])?;
                }
            }
        }
        String::from_utf8(csv.into_inner()?).context("the matrix is no UTF-8")
    }

    /// The matrix as JSON.
    ///
    /// # Errors
    /// When the text cannot be made.
    pub fn json(&self, ledger: &Ledger) -> anyhow::Result<String> {
        let rows = self.grouped();
        let rows = rows.map(|(group, row)| row_json(group, row, ledger));
        let mut json = serde_json::to_string_pretty(&rows.collect::<Vec<_>>())?;
        json.push('\n');
        Ok(json)
    }
}

#[derive(Serialize)]
struct JsonRow<'a> {
    id: &'a str,
    name: &'a str,
    group: &'a str,
    kafka: Vec<JsonStatement<'a>>,
    rabbitmq: Vec<JsonStatement<'a>>,
    sqs: Vec<JsonStatement<'a>>,
    sns: Vec<JsonStatement<'a>>,
}

#[derive(Serialize)]
struct JsonStatement<'a> {
    text: String,
    claim: &'a str,
    says: &'a str,
    proven_by: &'a str,
    runs: Vec<JsonRun<'a>>,
    sources: Vec<JsonSource<'a>>,
}

#[derive(Serialize)]
struct JsonRun<'a> {
    program: &'a str,
    printed: Option<&'a str>,
}

#[derive(Serialize)]
struct JsonSource<'a> {
    title: &'a str,
    at: &'a str,
    version: Option<&'a str>,
    url: Option<String>,
    read: String,
}

fn row_json<'a>(group: &'a Group, row: &'a Row, ledger: &'a Ledger) -> JsonRow<'a> {
    let cell = |system| {
        let statements = row.cell(system).iter();
        statements
            .filter_map(|s| statement_json(s, ledger))
            .collect()
    };
    JsonRow {
        id: row.id.get_ref(),
        name: &row.name,
        group: &group.name,
        kafka: cell(System::Kafka),
        rabbitmq: cell(System::RabbitMq),
        sqs: cell(System::Sqs),
        sns: cell(System::Sns),
    }
}

fn statement_json<'a>(statement: &'a Statement, ledger: &'a Ledger) -> Option<JsonStatement<'a>> {
    let claim = ledger.get(statement.ev.get_ref())?;
    let runs = claim.runs.iter().map(|run| JsonRun {
        program: run.name(),
        printed: run.shows.as_deref(),
    });
    let sources = claim.sources.iter().map(|source| JsonSource {
        title: &source.title,
        at: &source.at,
        version: source.version.as_deref(),
        url: source.address(),
        read: source.read.to_string(),
    });
    Some(JsonStatement {
        text: markup::plain(&statement.text),
        claim: &claim.id,
        says: &claim.claim,
        proven_by: claim.kind().class(),
        runs: runs.collect(),
        sources: sources.collect(),
    })
}
