//! The rooms of `ARCHITECTURE.md`: which may use which.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// From the ground up: each may use those before it.
const ROOMS: [(&str, &[&str]); 6] = [
    ("text", &[]),
    ("model", &["text"]),
    ("expand", &["text", "model"]),
    ("site", &["text", "model", "expand"]),
    ("check", &["text", "model", "site", "build"]),
    ("serve", &["text", "model", "site", "build"]),
];

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(self::files(&path)),
            false if path.extension().is_some_and(|e| e == "rs") => files.push(path),
            false => {}
        }
    }
    files
}

/// The modules at the top of the crate that some code names: `crate::X`, and each `X` of `crate::{X, …}`.
fn rooms_of(code: &str) -> Vec<&str> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let name = |text: &str| text.find(|c| !is_name(c)).unwrap_or(text.len());
    let mut rooms = Vec::new();
    for (start, _) in code.match_indices("crate::") {
        let rest = &code[start + "crate::".len()..];
        let Some(group) = rest.strip_prefix('{') else {
            rooms.push(&rest[..name(rest)]);
            continue;
        };
        let (mut depth, mut begins) = (0, true);
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' => begins = depth == 0,
                c if begins && is_name(c) => {
                    rooms.push(&group[at..at + name(&group[at..])]);
                    begins = false;
                }
                _ => {}
            }
        }
    }
    rooms
}

#[test]
fn the_names_of_a_group_are_its_first_words() {
    let code = "use crate::{\n    model::{a, b},\n    text::c,\n};\nfn f() { crate::site::g() }";
    assert_eq!(rooms_of(code), ["model", "text", "site"]);
}

#[test]
fn no_room_uses_one_below_it() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (room, may_use) in ROOMS {
        let files = files(&source.join(room));
        assert!(!files.is_empty(), "no room {room}");
        for file in files {
            let code = fs::read_to_string(&file).unwrap();
            let file = file.display();
            for used in rooms_of(&guide::rust_code_only(&code)) {
                let is_allowed = used == room || may_use.contains(&used);
                assert!(is_allowed, "{file}: {room} may not use {used}");
            }
            if ["text", "model", "expand"].contains(&room) {
                assert!(!code.contains("lol_html"), "{file} rewrites rendered pages");
            }
        }
    }
}

#[test]
fn the_document_names_every_room() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let document = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    for (room, _) in ROOMS {
        assert!(document.contains(&format!("| `{room}/` |")), "{room}");
    }
}

#[test]
fn who_only_serves_compiles_no_crate_of_the_editions() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    let manifest: toml::Table = toml::from_str(&manifest).unwrap();
    let of_editions = fs::read_to_string(folder.join("editions/Cargo.toml")).unwrap();
    for name in ["epub-builder", "resvg", "scraper"] {
        assert!(of_editions.contains(name), "{name}");
        assert!(manifest["dependencies"].get(name).is_none(), "{name}");
    }
}
