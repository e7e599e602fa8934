//! axe-core, the accessibility checker: got once by Maven, which verifies it, from its makers' own
//! package, and run in a page.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use sandbox::tools;
use serde_json::Value;

use super::Tab;

/// The makers' package that holds the script, and axe's version in it.
const PACKAGE: &str = "com.deque.html.axe-core:playwright:4.11.3";
const PLUGIN: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:unpack";
const SCRIPT: &str = "axe.min.js";

/// What axe looks for. It takes its time, so a page that was looked at as a whole is looked at in other
/// views only for what can differ there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rules {
    /// All default rules, and that of the size of targets.
    All,
    /// Those that look at colours: between two schemes nothing else differs.
    Colours,
    /// Those that depend on the width: colours on another ground, controls that show on a phone alone,
    /// what scrolls there, and the size of targets.
    Narrow,
}

impl Rules {
    /// Its word in the script.
    fn word(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Colours => "colours",
            Self::Narrow => "narrow",
        }
    }
}

const RUN: &str = include_str!("axe.js");

/// The checker's script.
pub struct Axe(String);

impl Axe {
    /// Gets the script; the first call of a workspace downloads it.
    ///
    /// # Errors
    /// Maven is missing and can't be installed, or the download fails.
    pub fn get() -> Result<Self> {
        let version = PACKAGE.rsplit(':').next().unwrap_or_default();
        let (target, _lock) = tools::locked_target("axe", "gets axe-core")?;
        let file = target.join(format!("browser/axe-{version}.js"));
        if !file.is_file() {
            download(&file)
                .context("getting axe-core by Maven failed; it needs the network once")?;
        }
        Ok(Self(fs::read_to_string(&file)?))
    }

    /// What tells this version, and what it is asked, from others.
    pub fn version(&self) -> String {
        format!("{PACKAGE} {RUN}")
    }

    /// The rules that the tab's page breaks, each with the first elements that do.
    ///
    /// # Errors
    /// The script does not run in the page.
    pub async fn violations(&self, tab: &Tab) -> Result<Vec<String>> {
        self.violations_of(tab, Rules::All).await
    }

    /// The same of some rules.
    ///
    /// # Errors
    /// As [`Axe::violations`].
    pub async fn violations_of(&self, tab: &Tab, rules: Rules) -> Result<Vec<String>> {
        if tab.run("return typeof axe").await? != "object" {
            tab.run(&self.0).await?;
        }
        let violations = tab.run_async_with(RUN, vec![rules.word().into()]).await?;
        let violations = violations.as_array().context("axe returns no list")?;
        let text = |violation: &Value| violation.as_str().unwrap_or_default().to_owned();
        Ok(violations.iter().map(text).collect())
    }
}

fn download(file: &Path) -> Result<()> {
    tools::require(&[("mvn", "maven")], "install Maven")?;
    let folder = file.parent().unwrap_or(file);
    fs::create_dir_all(folder)?;
    // Complete or not there: the name comes last.
    let draft: PathBuf = tempfile::tempdir_in(folder)?.keep();
    let mut maven = tools::leashed("mvn");
    maven
        .args(["-C", "-B", "-q", "-ntp", "-Dstyle.color=never", PLUGIN])
        .arg(format!("-Dartifact={PACKAGE}"))
        .arg(format!("-Dmdep.unpack.includes={SCRIPT}"))
        .arg(format!("-DoutputDirectory={}", draft.display()))
        .current_dir(&draft);
    let got = tools::run(&mut maven, &draft.join("maven.log"))
        .and_then(|()| Ok(fs::rename(draft.join(SCRIPT), file)?));
    fs::remove_dir_all(&draft)?;
    got
}
