//! The picture that shows where a page is linked to: 1200 by 630, one for each page.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::Path,
    sync::Arc,
};

use anyhow::{Context, Result, ensure};
use resvg::{
    tiny_skia::{Pixmap, Transform},
    usvg::{Options, Tree, fontdb},
};

use super::Leaf;
use guide::{examples::System, markup};

/// The faces, the first that the system has.
const SERIF: [&str; 4] = ["Noto Serif", "Liberation Serif", "DejaVu Serif", "Georgia"];
const SANS: [&str; 4] = ["Noto Sans", "Liberation Sans", "DejaVu Sans", "Arial"];

/// Letters in a line of the title and of the sentence, for the width that there is.
const TITLE: usize = 32;
const SENTENCE: usize = 66;

/// Makes the cards into the site; those that were made before, from the same content, are kept in
/// `kept`.
///
/// # Errors
/// No font is there, or a file can't be written.
pub(super) fn make(kept: &Path, site: &Path, leaves: &[Leaf<'_>]) -> Result<()> {
    fs::create_dir_all(kept).with_context(|| format!("cannot make {}", kept.display()))?;
    let mut fonts = fontdb::Database::new();
    fonts.load_system_fonts();
    let (serif, sans) = (face(&fonts, &SERIF)?, face(&fonts, &SANS)?);
    let fonts = Arc::new(fonts);
    for leaf in leaves {
        let svg = svg(leaf, serif, sans);
        let mut hasher = DefaultHasher::new();
        svg.hash(&mut hasher);
        let card = kept.join(format!("{:016x}.png", hasher.finish()));
        if !card.is_file() {
            let picture =
                png(&svg, &fonts).with_context(|| format!("the card of {}", leaf.address))?;
            // Whole or not there.
            let draft = card.with_extension("new");
            fs::write(&draft, picture).and_then(|()| fs::rename(&draft, &card))?;
        }
        let target = site.join(leaf.address.card());
        fs::create_dir_all(target.parent().unwrap_or(site))?;
        fs::copy(&card, &target).with_context(|| format!("cannot write {}", target.display()))?;
    }
    Ok(())
}

fn face<'a>(fonts: &fontdb::Database, names: &[&'a str]) -> Result<&'a str> {
    let is_there = |name: &&&str| {
        let families = [fontdb::Family::Name(name)];
        let query = fontdb::Query {
            families: &families,
            ..fontdb::Query::default()
        };
        fonts.query(&query).is_some()
    };
    let found = names.iter().find(is_there).copied();
    found.with_context(|| {
        let names = names.join(", ");
        format!("no font for the cards ({names}); install one: apt-get install fonts-liberation")
    })
}

fn png(svg: &str, fonts: &Arc<fontdb::Database>) -> Result<Vec<u8>> {
    let options = Options {
        fontdb: Arc::clone(fonts),
        ..Options::default()
    };
    let tree = Tree::from_str(svg, &options)?;
    let mut picture = Pixmap::new(1200, 630).context("no memory for a picture")?;
    resvg::render(&tree, Transform::identity(), &mut picture.as_mut());
    let drawn = picture.pixels().iter().filter(|p| p.red() < 0x60).count();
    ensure!(drawn > 100, "the picture is empty");
    Ok(picture.encode_png()?)
}

/// The card as a drawing: ink on paper, the part with its square, the title, the page's sentence.
fn svg(leaf: &Leaf<'_>, serif: &str, sans: &str) -> String {
    let colour = match leaf.system {
        Some(System::Kafka) => "#1f5c99",
        Some(System::RabbitMq) => "#a34a08",
        Some(System::Sqs) => "#1c6b4a",
        Some(System::Sns) => "#8b2f7c",
        _ => "#1b1d20",
    };
    let text = |x: usize, y: usize, size: usize, face: &str, fill: &str, words: &str| {
        let words = markup::text(words);
        format!(
            r#"<text x="{x}" y="{y}" font-family="{face}" font-size="{size}" fill="{fill}">{words}</text>"#
        )
    };
    let mut svg = String::from(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="1200" height="630"><path fill="#fcfcfa" d="M0 0h1200v630H0z"/>"##,
    );
    if let Some(part) = leaf.part {
        svg += &format!(r#"<path fill="{colour}" d="M80 84h24v24H80z"/>"#);
        svg += &text(122, 106, 30, sans, colour, part);
    }
    let mut y = 210;
    for line in wrapped(leaf.name, TITLE, 2) {
        svg += &text(77, y, 76, serif, "#1b1d20", &line);
        y += 84;
    }
    y += 6;
    for line in wrapped(&leaf.description.replace('`', ""), SENTENCE, 4) {
        svg += &text(80, y, 34, serif, "#484d52", &line);
        y += 48;
    }
    svg += r##"<path fill="#d8d8d2" d="M80 528h1040v2H80z"/><path fill="#1f5c99" d="M80 556h14v14H80z"/><path fill="#a34a08" d="M96 556h14v14H96z"/><path fill="#1c6b4a" d="M80 572h14v14H80z"/><path fill="#8b2f7c" d="M96 572h14v14H96z"/>"##;
    svg += &text(128, 582, 28, sans, "#484d52", "Messaging Systems Compared");
    svg + "</svg>"
}

/// A text in lines of about `width` letters; what does not fit into `most` lines is left out.
fn wrapped(text: &str, width: usize, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + word.chars().count() < width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    if lines.len() > most {
        lines.truncate(most);
        lines
            .iter_mut()
            .last()
            .map(|line| line.push('…'))
            .unwrap_or_default();
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_wrapped_and_cut() {
        assert_eq!(wrapped("one two three four", 8, 2), ["one two", "three…"]);
    }
}
