//! Where things lie in the site.

use std::{borrow::Borrow, fmt, path::Path};

use crate::text::problem::Complaint;

/// The names of the EPUB and the PDF.
pub const EPUB: &str = "messaging-systems-compared.epub";
pub const PDF: &str = "messaging-systems-compared.pdf";

/// Where a file lies in the site, relative to its root and with slashes: `kafka/produce.html`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(String);

impl Address {
    /// The address of a file, by its path from the site's root.
    pub fn of(file: &Path) -> Self {
        Self(file.to_string_lossy().replace('\\', "/"))
    }

    /// The address of the page that a chapter becomes, by its file in the folder of the chapters. A
    /// `README.md` is the page of its folder.
    pub fn of_page(source: &Path) -> Self {
        let stem = source.file_stem().unwrap_or_default();
        let page = match stem.eq_ignore_ascii_case("readme") {
            true => source.with_file_name("index.html"),
            false => source.with_extension("html"),
        };
        Self::of(&page)
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is that of a page.
    pub fn is_page(&self) -> bool {
        self.0.ends_with(".html")
    }

    /// The same name with another extension.
    fn with(&self, extension: &str) -> Self {
        let stem = self.0.strip_suffix(".html").unwrap_or(&self.0);
        Self(format!("{stem}.{extension}"))
    }

    /// The Markdown twin of a page: `kafka/produce.md` of `kafka/produce.html`.
    pub fn twin(&self) -> Self {
        match self.is_page() {
            true => self.with("md"),
            false => self.clone(),
        }
    }

    /// Data of a page: `compare/matrix.csv` of `compare/matrix.html`.
    pub fn data(&self, extension: &str) -> Self {
        self.with(extension)
    }

    /// The card of a page.
    pub fn card(&self) -> Self {
        Self(format!("cards/{}", self.with("png")))
    }

    /// The name of the file in its folder.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// The way from its folder to the site's root: `../`, or nothing.
    pub fn to_root(&self) -> String {
        "../".repeat(self.0.matches('/').count())
    }

    /// File and fragment that a link of this page leads to; nothing for another site.
    ///
    /// # Errors
    /// A message for a link that begins at the host or leaves the site.
    pub fn resolve(&self, link: &str) -> Result<Option<(Self, String)>, Complaint> {
        if is_elsewhere(link) {
            return Ok(None);
        }
        if link.starts_with('/') {
            let message = format!("the link `{link}` begins at the host; write it from this page");
            return Err(message.into());
        }
        let (path, fragment) = link.split_once('#').unwrap_or((link, ""));
        let path = path.split('?').next().unwrap_or_default();
        let mut parts: Vec<&str> = self.0.split('/').collect();
        if !path.is_empty() {
            parts.pop();
        }
        for part in path
            .split('/')
            .filter(|part| !part.is_empty() && *part != ".")
        {
            match part {
                ".." if parts.pop().is_none() => {
                    let message =
                        format!("the link `{link}` leaves the guide; write the full address");
                    return Err(message.into());
                }
                ".." => {}
                part => parts.push(part),
            }
        }
        let mut file = parts.join("/");
        if path.ends_with('/') {
            file += "/index.html";
        }
        let decode = |text: &str| text.replace("%20", " ");
        Ok(Some((Self(decode(&file)), decode(fragment))))
    }
}

impl From<&str> for Address {
    fn from(address: &str) -> Self {
        Self(address.to_owned())
    }
}

impl From<String> for Address {
    fn from(address: String) -> Self {
        Self(address)
    }
}

impl Borrow<str> for Address {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<Path> for Address {
    fn as_ref(&self) -> &Path {
        Path::new(&self.0)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether an address leaves the site, or is no file at all: `https:`, `//host`, `mailto:`, `data:`.
pub fn is_elsewhere(link: &str) -> bool {
    let scheme = link.split_once(':').map(|(scheme, _)| scheme.trim());
    link.trim().starts_with("//")
        || scheme.is_some_and(|s| !s.is_empty() && s.chars().all(|c| c.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_relative_to_the_page() {
        let to = |link| Address::from("kafka/produce.html").resolve(link).unwrap();
        let file = |file: &str, id: &str| Some((Address::from(file), id.to_owned()));
        assert_eq!(to("consume.html#a"), file("kafka/consume.html", "a"));
        assert_eq!(to("../index.html"), file("index.html", ""));
        assert_eq!(to("#here"), file("kafka/produce.html", "here"));
        assert_eq!(to("https://example.org/x"), None);
        assert!(Address::from("index.html").resolve("../x").is_err());
        assert!(Address::from("index.html").resolve("/x").is_err());
    }

    #[test]
    fn a_readme_is_the_page_of_its_folder() {
        let of = |file: &str| Address::of_page(Path::new(file)).to_string();
        assert_eq!(of("sub/README.md"), "sub/index.html");
        assert_eq!(of("sub/page.md"), "sub/page.html");
        assert_eq!(Address::from("a/b.html").card().as_str(), "cards/a/b.png");
        assert_eq!(Address::from("a/b.html").twin().to_root(), "../");
    }
}
