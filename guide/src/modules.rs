//! The script modules of the interactive parts under names with a hash of their content: a browser may
//! keep them for ever, and never mixes two versions.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    hash::{DefaultHasher, Hasher},
    path::Path,
};

use anyhow::{Context, Result};

/// Their folder in the site.
const FOLDER: &str = "interactive/";

/// Addresses of modules with the addresses that pages load them by.
pub type Names = BTreeMap<String, String>;

/// Writes each module of a rendered site once more, under its new name, and adds that to the files. What
/// a module imports is renamed in it: first the kit and the models, which import nothing, then the views.
///
/// # Errors
/// A file cannot be read or written.
pub fn rename(folder: &Path, files: &mut BTreeSet<String>) -> Result<Names> {
    let mut names = Names::new();
    let is_module = |file: &&String| {
        let parts = ["kit.js", "model/", "view/"];
        let inside = file.strip_prefix(FOLDER);
        inside
            .is_some_and(|file| file.ends_with(".js") && parts.iter().any(|p| file.starts_with(p)))
    };
    let modules: Vec<String> = files.iter().filter(is_module).cloned().collect();
    let (views, others): (Vec<_>, Vec<_>) = modules.into_iter().partition(|m| m.contains("/view/"));
    for module in others.into_iter().chain(views) {
        let file = folder.join(&module);
        let text = fs::read_to_string(&file);
        let mut text = text.with_context(|| format!("cannot read {}", file.display()))?;
        for (plain, renamed) in &names {
            let quoted = |name: &String| format!("\"../{}\"", &name[FOLDER.len()..]);
            text = text.replace(&quoted(plain), &quoted(renamed));
        }
        let renamed = format!("{}-{:08x}.js", module.trim_end_matches(".js"), hash(&text));
        let file = folder.join(&renamed);
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        files.insert(renamed.clone());
        names.insert(module, renamed);
    }
    Ok(names)
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

    #[test]
    fn what_a_view_imports_is_renamed_in_it_and_a_change_below_changes_its_name() {
        let view_for = |kit: &str| {
            let folder = tempfile::tempdir().unwrap();
            let mut files = BTreeSet::new();
            for (name, text) in [
                ("interactive/kit.js", kit),
                ("interactive/model/x.js", "export const m = 1;"),
                (
                    "interactive/view/x.js",
                    "import { k } from \"../kit.js\"; import { m } from \"../model/x.js\";",
                ),
                ("interactive/print.js", ""),
            ] {
                let file = folder.path().join(name);
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(file, text).unwrap();
                files.insert(name.to_owned());
            }
            let names = rename(folder.path(), &mut files).unwrap();
            assert_eq!(names.len(), 3);
            let view = names["interactive/view/x.js"].clone();
            let text = fs::read_to_string(folder.path().join(&view)).unwrap();
            for used in ["interactive/kit.js", "interactive/model/x.js"] {
                let renamed = names[used].trim_start_matches(FOLDER);
                assert!(text.contains(&format!("\"../{renamed}\"")), "{text}");
                assert!(files.contains(&names[used]));
            }
            view
        };
        assert_eq!(
            view_for("export const k = 1;"),
            view_for("export const k = 1;")
        );
        assert_ne!(
            view_for("export const k = 1;"),
            view_for("export const k = 2;")
        );
    }
}
