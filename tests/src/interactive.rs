//! The interactive parts of `book/interactive` in a browser: what their views print, and what their
//! models do with the cases of the traces.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context, Result, ensure};
use guide::serve::Host;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    browser::{Browser, LIGHT_WIDE, Tab},
    traces::Trace,
};

/// The folder of the parts, below the root.
pub const FOLDER: &str = "book/interactive";

/// The modules as they are in the book, behind a server of their own.
pub struct Workbench {
    tab: Tab,
    _browser: Browser,
    _host: Host,
    _folder: TempDir,
}

impl Workbench {
    /// Opens an empty page beside the modules.
    ///
    /// # Errors
    /// The browser or the server does not start.
    pub async fn open(root: &Path) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        copy(&root.join(FOLDER), &folder.path().join("interactive"))?;
        copy(&root.join("tests/replay"), &folder.path().join("replay"))?;
        let page = "<!DOCTYPE html><title>x</title>";
        fs::write(folder.path().join("index.html"), page)?;
        let host = Host::start(folder.path())?;
        let browser = Browser::start()?;
        let tab = browser.tab(&host.address(), LIGHT_WIDE).await?;
        tab.open("index.html").await?;
        Ok(Self {
            tab,
            _browser: browser,
            _host: host,
            _folder: folder,
        })
    }

    /// Runs the body of an asynchronous function in the page.
    ///
    /// # Errors
    /// It throws; the message is what it threw.
    pub async fn evaluate(&self, body: &str) -> Result<Value> {
        let script = format!(
            "(async () => {{ {body} }})().then((value) => done({{ value }}), (error) => \
             done({{ error: String(error?.stack ?? error) }}))"
        );
        let mut answer = self.tab.run_async(&script).await?;
        let error = answer["error"].as_str().map(str::to_owned);
        match error {
            Some(error) => Err(anyhow::Error::msg(error)),
            None => Ok(answer["value"].take()),
        }
    }

    /// What a part shows before any script runs, as its file holds it.
    ///
    /// # Errors
    /// The view cannot be loaded.
    pub async fn printed(&self, name: &str) -> Result<String> {
        let body = format!(
            r#"const {{ printed }} = await import("/interactive/print.js");
               const view = await import("/interactive/view/{name}.js");
               const table = await import("/interactive/table/{name}.js");
               return JSON.stringify(printed(view, table), null, 1) + "\n";"#
        );
        let printed = self.evaluate(&body).await?;
        Ok(printed.as_str().context("it printed nothing")?.to_owned())
    }

    /// What the model does with each case of a trace.
    ///
    /// # Errors
    /// The model or the trace cannot be loaded, or the model throws.
    pub async fn replayed(&self, trace: &str) -> Result<Vec<Value>> {
        let body = format!(
            r#"const {{ replay }} = await import("/replay/{trace}.js");
               const {{ cases, ...head }} = await (await fetch("/interactive/traces/{trace}.json")).json();
               return cases.map(([input, result]) => replay(input, result, head));"#
        );
        let results = self.evaluate(&body).await?;
        Ok(results.as_array().context("no results")?.clone())
    }
}

/// The names of the parts: each has a view.
///
/// # Errors
/// The folder cannot be read.
pub fn parts(root: &Path) -> Result<Vec<String>> {
    names(&root.join(FOLDER).join("view"))
}

/// The names of all traces.
///
/// # Errors
/// The folder cannot be read.
pub fn traces(root: &Path) -> Result<Vec<String>> {
    names(&root.join(crate::traces::FOLDER))
}

fn names(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        names.extend(stem.map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

/// Prints every part into its file.
///
/// # Errors
/// A view cannot be loaded, or a file not be written.
pub async fn print(root: &Path) -> Result<()> {
    let workbench = Workbench::open(root).await?;
    for name in parts(root)? {
        let file = root.join(FOLDER).join(format!("printed/{name}.json"));
        fs::write(&file, workbench.printed(&name).await?)
            .with_context(|| format!("cannot write {}", file.display()))?;
        eprintln!("printed {name}");
    }
    Ok(())
}

/// Where a model differs from the broker, a name for each case. Of a row with a mark for each message
/// each message is a case of its own.
///
/// # Errors
/// There is not one result for each case.
pub fn differing(trace: &Trace, model: &[Value]) -> Result<BTreeSet<String>> {
    let count = trace.inputs.len();
    ensure!(
        model.len() == count && trace.results.len() == count,
        "{count} cases, {} results of the model",
        model.len()
    );
    let mut names = BTreeSet::new();
    for ((input, real), model) in trace.inputs.iter().zip(&trace.results).zip(model) {
        let messages = &trace.head.get("messages").unwrap_or(&Value::Null);
        let scope = input[0].as_str().unwrap_or_default();
        match (messages[scope].as_array(), real.as_str(), model.as_str()) {
            (Some(messages), Some(real), Some(model)) if real.len() == model.len() => {
                let marks = messages.iter().zip(real.chars().zip(model.chars()));
                let differ = marks.filter(|(_, (real, model))| real != model);
                names.extend(differ.map(|(message, _)| format!("{scope} {} {message}", input[1])));
            }
            _ if real == model => {}
            _ => {
                names.insert(name(input));
            }
        }
    }
    Ok(names)
}

/// A case by its input.
fn name(input: &Value) -> String {
    let Some(parts) = input.as_array() else {
        return input.to_string();
    };
    let text = |part: &Value| part.as_str().map_or(part.to_string(), str::to_owned);
    parts.iter().map(text).collect::<Vec<_>>().join(" ")
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &target)?,
            false => drop(fs::copy(entry.path(), target)?),
        }
    }
    Ok(())
}
