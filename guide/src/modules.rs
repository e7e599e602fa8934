//! The script modules of the interactive parts under names with a hash of their content: a browser may
//! keep them for ever, and never mixes two versions.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    hash::{DefaultHasher, Hasher},
    path::Path,
    sync::LazyLock,
};

use anyhow::{Context, Result};
use regex::Regex;

/// Their folder in the site.
const FOLDER: &str = "interactive/";
/// What all views share.
const KIT: &str = "interactive/kit.js";

static IMPORT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"import (\{[^}]*\}) from "\.\./model/[a-z]+\.js";"#).expect("a constant pattern")
});
static EXPORT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?m)^export ").expect("a constant pattern"));

/// Addresses of modules with the addresses that pages load them by.
pub type Names = BTreeMap<String, String>;

/// Writes the kit and each view of a rendered site once more, under a new name, and adds that to the
/// files. A view takes its model with it, so that a page asks for two files: the kit, which it may have
/// kept from another page, and its part.
///
/// # Errors
/// A file cannot be read or written.
pub fn rename(folder: &Path, files: &mut BTreeSet<String>) -> Result<Names> {
    let mut names = Names::new();
    let is_view = |file: &&String| {
        let name = file
            .strip_prefix(FOLDER)
            .and_then(|file| file.strip_prefix("view/"));
        name.is_some_and(|name| name.ends_with(".js"))
    };
    let views: Vec<String> = files.iter().filter(is_view).cloned().collect();
    let kit = files.contains(KIT).then(|| KIT.to_owned());
    for module in kit.into_iter().chain(views) {
        let mut text = read(folder, &module)?;
        if let Some(kit) = names.get(KIT) {
            text = text.replace("\"../kit.js\"", &format!("\"../{}\"", &kit[FOLDER.len()..]));
        }
        let model = module.replace("/view/", "/model/");
        if model != module && files.contains(&model) {
            text = joined(&text, &read(folder, &model)?)
                .with_context(|| format!("{module} does not import names from its model"))?;
        }
        let renamed = format!("{}-{:08x}.js", module.trim_end_matches(".js"), hash(&text));
        let file = folder.join(&renamed);
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        files.insert(renamed.clone());
        names.insert(module, renamed);
    }
    Ok(names)
}

fn read(folder: &Path, module: &str) -> Result<String> {
    let file = folder.join(module);
    fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))
}

/// A view with its model in place of the import: in a function, so that no name of the model meets one
/// of the view.
fn joined(view: &str, model: &str) -> Option<String> {
    let import = IMPORT.captures(view)?;
    let (whole, names) = (import.get(0)?, &import[1]);
    let model = EXPORT.replace_all(model, "");
    let (before, after) = (&view[..whole.start()], &view[whole.end()..]);
    Some(format!(
        "{before}const {names} = (() => {{\n{model}\nreturn {names};\n}})();{after}"
    ))
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
        let view = "import { m } from \"../model/x.js\";\nimport { k } from \"../kit.js\";\nk(m);";
        for (name, text) in [
            ("interactive/kit.js", kit),
            ("interactive/model/x.js", model),
            ("interactive/view/x.js", view),
            ("interactive/print.js", ""),
        ] {
            let file = folder.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
            files.insert(name.to_owned());
        }
        let names = rename(folder.path(), &mut files).unwrap();
        assert_eq!(names.len(), 2);
        let part = names["interactive/view/x.js"].clone();
        assert!(files.contains(&part) && files.contains(&names[KIT]));
        let text = fs::read_to_string(folder.path().join(&part)).unwrap();
        let kit = names[KIT].trim_start_matches(FOLDER);
        assert!(text.contains(&format!("\"../{kit}\"")), "{text}");
        (part, text)
    }

    #[test]
    fn a_part_takes_its_model_with_it_and_a_change_below_changes_its_name() {
        let (same, text) = part("1", "export const m = 1;");
        assert!(text.contains("const { m } = (() => {\nconst m = 1;\nreturn { m };\n})();"));
        assert_eq!(same, part("1", "export const m = 1;").0);
        assert_ne!(same, part("1", "export const m = 2;").0);
        assert_ne!(same, part("2", "export const m = 1;").0);
    }
}
