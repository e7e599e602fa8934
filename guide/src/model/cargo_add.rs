//! The `cargo add` line that an empty project needs before a program compiles in it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::LazyLock,
};

use anyhow::{Context, Result};
use regex::Regex;
use serde::Deserialize;

use crate::text::grammar::Grammar;

/// The crates that programs may name, with the versions and features of the workspace.
#[derive(Default)]
pub struct Dependencies {
    known: Vec<Dependency>,
    grammar: Grammar,
}

/// One entry of `[workspace.dependencies]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// The package, as `cargo add` wants it.
    pub name: String,
    /// The version requirement.
    pub version: String,
    /// The features that are switched on.
    pub features: Vec<String>,
    /// Whether the package's default features are on as well.
    pub default_features: bool,
}

#[derive(Deserialize)]
struct Manifest {
    workspace: Workspace,
}

#[derive(Deserialize)]
struct Workspace {
    #[serde(default)]
    dependencies: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Version(String),
    Table(Table),
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Table {
    version: Option<String>,
    #[serde(default)]
    features: Vec<String>,
    #[serde(default = "yes")]
    default_features: bool,
}

fn yes() -> bool {
    true
}

impl Dependencies {
    /// Reads `[workspace.dependencies]` of the manifest in `root`. Entries without a version (path
    /// dependencies) are left out.
    ///
    /// # Errors
    /// When the manifest cannot be read or is no workspace.
    pub fn load(root: &Path) -> Result<Self> {
        let file = root.join("Cargo.toml");
        let text =
            fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let manifest: Manifest =
            toml::from_str(&text).with_context(|| format!("cannot use {}", file.display()))?;
        let entries = manifest.workspace.dependencies.into_iter();
        Ok(Self {
            known: entries.filter_map(dependency).collect(),
            grammar: Grammar::default(),
        })
    }

    /// The same, with a grammar that remembers the programs it has read.
    pub(crate) fn with(self, grammar: Grammar) -> Self {
        Self { grammar, ..self }
    }

    /// The crates that a program names, by package name.
    pub fn used_by(&self, source: &str) -> Vec<&Dependency> {
        let code = self.grammar.rust_code_only(source);
        let roots = path_roots(&code);
        let is_used = |d: &&Dependency| roots.contains(d.name.replace('-', "_").as_str());
        self.known.iter().filter(is_used).collect()
    }

    /// One line that adds every crate a program names to an empty project: `cargo add
    /// anyhow@1.0.105 && cargo add tokio@1.54.1 --features full`. Empty when the program needs the
    /// standard library alone.
    ///
    /// A crate with features has a command of its own: in a common one cargo does not find the crate
    /// of a feature once versions are given.
    pub fn add_line(&self, source: &str) -> String {
        let used = self.used_by(source);
        let (plain, special): (Vec<_>, Vec<_>) = used.into_iter().partition(|d| d.is_plain());
        let plain: Vec<_> = plain.into_iter().map(Dependency::spec).collect();
        let plain = Some(plain.join(" ")).filter(|specs| !specs.is_empty());
        let arguments = plain
            .into_iter()
            .chain(special.into_iter().map(Dependency::arguments));
        let commands: Vec<_> = arguments
            .map(|arguments| format!("cargo add {arguments}"))
            .collect();
        commands.join(" && ")
    }
}

impl Dependency {
    fn is_plain(&self) -> bool {
        self.default_features && self.features.is_empty()
    }

    fn spec(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }

    fn arguments(&self) -> String {
        let defaults = if self.default_features {
            ""
        } else {
            " --no-default-features"
        };
        let features = match self.features.as_slice() {
            [] => String::new(),
            features => format!(" --features {}", features.join(",")),
        };
        format!("{}{defaults}{features}", self.spec())
    }
}

fn dependency((name, entry): (String, Entry)) -> Option<Dependency> {
    let table = match entry {
        Entry::Version(version) => Table {
            version: Some(version),
            features: Vec::new(),
            default_features: true,
        },
        Entry::Table(table) => table,
    };
    Some(Dependency {
        name,
        version: table.version?,
        features: table.features,
        default_features: table.default_features,
    })
}

/// A name at the start of a path or alone in an import: `use tokio::…`, `tokio::spawn`, `use tokio;`.
/// A path that goes on from another name (`crate::tokio::…`) has a colon before it.
static ROOT: LazyLock<Regex> = LazyLock::new(|| {
    let path = r"(?:^|[^A-Za-z0-9_:.])([a-z_][a-z0-9_]*)\s*::";
    let import = r"\buse\s+([a-z_][a-z0-9_]*)\s*(?:;|\bas\b)";
    Regex::new(&format!("{path}|{import}")).expect("a constant pattern")
});

/// The names that paths of some code begin with, crates among them.
fn path_roots(code: &str) -> BTreeSet<&str> {
    let names = ROOT
        .captures_iter(code)
        .filter_map(|found| found.get(1).or(found.get(2)));
    names.map(|name| name.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dependencies() -> Dependencies {
        let of = |name: &str, default_features, features: &[&str]| Dependency {
            name: name.to_owned(),
            version: "1.2.0".to_owned(),
            features: features.iter().map(|f| (*f).to_owned()).collect(),
            default_features,
        };
        let known = vec![
            of("anyhow", true, &[]),
            of("aws-sdk-sqs", false, &["rt-tokio"]),
            of("lapin", false, &["tokio"]),
            of("serde", true, &["derive"]),
            of("tokio", true, &["full"]),
        ];
        Dependencies {
            known,
            grammar: Grammar::default(),
        }
    }

    #[test]
    fn one_line_with_versions_and_features() {
        let source =
            "use anyhow::Result;\nuse aws_sdk_sqs::Client;\n#[tokio::main]\nasync fn main() {}";
        assert_eq!(
            dependencies().add_line(source),
            "cargo add anyhow@1.2.0 && \
             cargo add aws-sdk-sqs@1.2.0 --no-default-features --features rt-tokio && \
             cargo add tokio@1.2.0 --features full"
        );
        assert_eq!(dependencies().add_line("fn main() {}"), "");
    }

    #[test]
    fn only_code_names_a_crate() {
        let source = "//! Not serde::Serialize.\nfn main() { let lapin = \"tokio::spawn\"; \
                      crate::anyhow::x(); println!(\"{lapin}\"); }";
        assert_eq!(dependencies().add_line(source), "");
    }

    #[test]
    fn grouped_imports_name_crates() {
        let source = "use {anyhow::Result, lapin::Connection};\nfn f(x: tokio::time::Instant) {}";
        let names: Vec<_> = dependencies()
            .used_by(source)
            .iter()
            .map(|d| d.name.clone())
            .collect();
        assert_eq!(names, ["anyhow", "lapin", "tokio"]);
    }
}
