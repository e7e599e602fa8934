//! The script of an interactive part: one file, its view with the model and the kit that it imports, under
//! a name with a hash of its content. A browser may keep it for ever, and never mixes two versions.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    hash::{DefaultHasher, Hasher},
    path::Path,
    sync::LazyLock,
};

use anyhow::{Context, Result, ensure};
use regex::Regex;

use crate::model::address::Address;

/// Their folder in the site.
const FOLDER: &str = "interactive/";

static IMPORT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"import (\{[^}]*\}) from "\.\./([a-z/]+\.js)";"#).expect("a constant pattern")
});
static EXPORT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?m)^export ").expect("a constant pattern"));
static AS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(\w+) as (\w+)").expect("a constant pattern"));

/// Addresses of modules with the addresses that pages load them by.
pub type Names = BTreeMap<Address, Address>;

/// Writes each view of a rendered site once more, with what it imports and under a new name, and adds
/// that to the files.
///
/// # Errors
/// A file cannot be read or written.
pub fn rename(folder: &Path, files: &mut BTreeSet<Address>) -> Result<Names> {
    let mut names = Names::new();
    let is_view = |file: &&Address| {
        let name = file
            .as_str()
            .strip_prefix(FOLDER)
            .and_then(|file| file.strip_prefix("view/"));
        name.is_some_and(|name| name.ends_with(".js"))
    };
    let views: Vec<Address> = files.iter().filter(is_view).cloned().collect();
    for view in views {
        let text = joined(&read(folder, view.as_str())?, |module| {
            read(folder, &format!("{FOLDER}{module}"))
        })
        .with_context(|| format!("cannot join {view} with what it imports"))?;
        let renamed = format!(
            "{}-{:08x}.js",
            view.as_str().trim_end_matches(".js"),
            hash(&text)
        );
        let file = folder.join(&renamed);
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        files.insert(renamed.as_str().into());
        names.insert(view, renamed.into());
    }
    Ok(names)
}

fn read(folder: &Path, module: &str) -> Result<String> {
    let file = folder.join(module);
    fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))
}

/// A view with modules in place of their imports: each in a function, so that no name of one meets that
/// of another.
fn joined(view: &str, module: impl Fn(&str) -> Result<String>) -> Result<String> {
    let mut text = view.to_owned();
    for import in IMPORT.captures_iter(view) {
        let (whole, names) = (&import[0], &import[1]);
        let module = module(&import[2])?;
        let module = EXPORT.replace_all(&module, "");
        let (given, taken) = (AS.replace_all(names, "$1"), AS.replace_all(names, "$1: $2"));
        let function = format!("const {taken} = (() => {{\n{module}\nreturn {given};\n}})();");
        text = text.replacen(whole, &function, 1);
    }
    let left = text.lines().find(|line| line.starts_with("import "));
    ensure!(left.is_none(), "it keeps {}", left.unwrap_or_default());
    Ok(text)
}

/// The same for the same text; what it is makes no difference.
fn hash(text: &str) -> u32 {
    let mut hasher = DefaultHasher::new();
    hasher.write(text.as_bytes());
    (hasher.finish() >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The part of a small site: its address and its text.
    fn part(kit: &str, model: &str) -> (String, String) {
        let folder = tempfile::tempdir().unwrap();
        let mut files = BTreeSet::new();
        let view = "import { m } from \"../model/x.js\";\nimport { k, j as i } from \"../kit.js\";\nk(m, i);";
        for (name, text) in [
            ("interactive/kit.js", kit),
            ("interactive/model/x.js", model),
            ("interactive/view/x.js", view),
            ("interactive/print.js", ""),
        ] {
            let file = folder.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
            files.insert(name.into());
        }
        let names = rename(folder.path(), &mut files).unwrap();
        assert_eq!(names.len(), 1);
        let part = names["interactive/view/x.js"].clone();
        assert!(files.contains(&part));
        let text = fs::read_to_string(folder.path().join(&part)).unwrap();
        (part.to_string(), text)
    }

    #[test]
    fn an_import_that_cannot_be_joined_is_named() {
        let view = "import kit from \"../kit.js\";\nkit();";
        let error = joined(view, |_| Ok(String::new())).unwrap_err();
        assert_eq!(error.to_string(), "it keeps import kit from \"../kit.js\";");
    }

    #[test]
    fn a_part_takes_with_it_what_it_imports_and_a_change_below_changes_its_name() {
        let kit = "export const k = 1, j = 2;";
        let (same, text) = part(kit, "export const m = 1;");
        assert_eq!(
            text,
            "const { m } = (() => {\nconst m = 1;\nreturn { m };\n})();\n\
             const { k, j: i } = (() => {\nconst k = 1, j = 2;\nreturn { k, j };\n})();\nk(m, i);"
        );
        assert_eq!(same, part(kit, "export const m = 1;").0);
        assert_ne!(same, part(kit, "export const m = 2;").0);
        assert_ne!(same, part("export const k = 2;", "export const m = 1;").0);
    }
}
