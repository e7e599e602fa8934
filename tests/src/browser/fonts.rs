//! The fonts in which every page has to hold. The theme names none that every system has, so the
//! page's own faces are what the system offers: a wide one (DejaVu) on most Linux desktops, a narrow
//! one (Liberation, with the widths of Arial and Times) where offices are, Noto on Android.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sandbox::tools;
use serde_json::{Value, json};

use super::Tab;

/// A family of fonts, with a face for each of the theme's three.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Font {
    pub name: &'static str,
    serif: &'static str,
    sans: &'static str,
    mono: &'static str,
    /// The files of its faces, each with the Debian package that has it.
    files: [(&'static str, &'static str); 3],
}

pub const FONTS: [Font; 3] = [
    Font {
        name: "DejaVu",
        serif: "DejaVu Serif",
        sans: "DejaVu Sans",
        mono: "DejaVu Sans Mono",
        files: [
            ("DejaVuSerif.ttf", "fonts-dejavu-core"),
            ("DejaVuSans.ttf", "fonts-dejavu-core"),
            ("DejaVuSansMono.ttf", "fonts-dejavu-core"),
        ],
    },
    Font {
        name: "Liberation",
        serif: "Liberation Serif",
        sans: "Liberation Sans",
        mono: "Liberation Mono",
        files: [
            ("LiberationSerif-Regular.ttf", "fonts-liberation"),
            ("LiberationSans-Regular.ttf", "fonts-liberation"),
            ("LiberationMono-Regular.ttf", "fonts-liberation"),
        ],
    },
    Font {
        name: "Noto",
        serif: "Noto Serif",
        sans: "Noto Sans",
        mono: "Noto Sans Mono",
        files: [
            ("NotoSerif-Regular.ttf", "fonts-noto-core"),
            ("NotoSans-Regular.ttf", "fonts-noto-core"),
            ("NotoSansMono-Regular.ttf", "fonts-noto-mono"),
        ],
    },
];

impl Font {
    /// The rule that sets a page in this font.
    pub fn css(&self) -> String {
        let Self {
            serif, sans, mono, ..
        } = self;
        format!(r#":root {{ --serif: "{serif}"; --sans: "{sans}"; --mono: "{mono}"; }}"#)
    }

    /// What scripts in a page need to set it and to see that it is set.
    pub fn to_json(self) -> Value {
        json!({ "name": self.name, "css": self.css(),
            "faces": { "body": self.serif, ".bar": self.sans, "code": self.mono } })
    }
}

/// Makes sure that the fonts are installed.
///
/// # Errors
/// One is missing and can't be installed.
pub(super) fn require() -> Result<()> {
    let files: Vec<_> = FONTS.iter().flat_map(|font| font.files).collect();
    tools::require_fonts(
        &files,
        "install the fonts DejaVu, Liberation and Noto (sans, serif and mono)",
    )
    .context("the pages are tested in three fonts")
}

/// Asks the browser with which fonts it draws a text in each face. A family that is not there is
/// replaced in silence, and a page would pass in the font of another.
///
/// # Errors
/// It draws with others.
pub(super) async fn verify(tab: &Tab) -> Result<()> {
    const TEXT: &str = "Hamburgefonstiv 0123456789";
    let faces = FONTS.iter().flat_map(|f| [f.serif, f.sans, f.mono]);
    let faces: Vec<_> = faces.collect();
    let lines = format!(
        "document.body.replaceChildren(...{}.map((face) => {{
           const line = document.createElement('p');
           line.style.fontFamily = `\"${{face}}\"`;
           line.textContent = '{TEXT}';
           return line;
         }}))",
        json!(faces)
    );
    tab.open_blank().await?;
    tab.run(&lines).await?;
    tab.devtools("DOM.enable", json!({})).await?;
    tab.devtools("CSS.enable", json!({})).await?;
    let document = tab.devtools("DOM.getDocument", json!({})).await?;
    let all = json!({ "nodeId": document["root"]["nodeId"], "selector": "p" });
    let nodes = tab.devtools("DOM.querySelectorAll", all).await?;
    let nodes = nodes["nodeIds"].as_array().cloned().unwrap_or_default();
    ensure!(nodes.len() == faces.len(), "no line for each font");
    for (node, face) in nodes.iter().zip(faces) {
        let used = drawn_with(tab, node).await?;
        ensure!(
            used == [face],
            "the browser has no font {face}: it draws with {used:?}"
        );
    }
    tab.devtools("CSS.disable", json!({})).await?;
    tab.devtools("DOM.disable", json!({})).await?;
    Ok(())
}

/// The families that a line of text is drawn with. None is known before the page has been drawn, which a
/// busy machine does later.
async fn drawn_with(tab: &Tab, node: &Value) -> Result<Vec<String>> {
    let deadline = Instant::now() + sandbox::machine::scaled(Duration::from_secs(10));
    loop {
        let asked = json!({ "nodeId": node });
        let used = tab.devtools("CSS.getPlatformFontsForNode", asked).await?;
        let used = used["fonts"].as_array().cloned().unwrap_or_default();
        if !used.is_empty() || Instant::now() > deadline {
            let names = used.iter().filter_map(|font| font["familyName"].as_str());
            return Ok(names.map(str::to_owned).collect());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
