//! What a host and its visitors' programs look for: `robots.txt`, `sitemap.xml`, and the page for an
//! address that does not exist.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use lol_html::{RewriteStrSettings, element, html_content::ContentType, rewrite_str};
use mdbook_driver::config::Config;

use crate::model::{
    address::{Address, is_elsewhere},
    settings,
};

/// The page that hosts show for an address that does not exist.
pub const NOT_FOUND: &str = "404.html";

const NOT_FOUND_TEXT: &str = r#"<header class="head wide"><h1>No such page</h1><p class="lead">The address has no page here. Search the guide, or begin at its <a href="index.html">first page</a>.</p></header>"#;

/// Writes the files into the folder of a complete site. `pages` are the addresses of its pages.
///
/// # Errors
/// A file can't be written.
pub fn write<'a>(
    folder: &Path,
    pages: impl Iterator<Item = &'a Address>,
    config: &Config,
) -> Result<()> {
    let site = settings::site(config);
    let write = |name: &str, text: String| {
        fs::write(folder.join(name), text).with_context(|| format!("cannot write {name}"))
    };
    let mut robots = "User-agent: *\nAllow: /\n".to_owned();
    if let Some(site) = &site {
        robots += &format!("Sitemap: {site}sitemap.xml\n");
        write("sitemap.xml", sitemap(pages, site))?;
    }
    write("robots.txt", robots)?;
    let first = fs::read_to_string(folder.join("index.html")).context("no index.html")?;
    write(NOT_FOUND, not_found(&first, &settings::base(config))?)
}

/// Search engines want full addresses. `index.html` is the site's own.
fn sitemap<'a>(pages: impl Iterator<Item = &'a Address>, site: &str) -> String {
    let entries = pages.map(|page| {
        let page = if page.as_str() == "index.html" {
            ""
        } else {
            page.as_str()
        };
        format!("<url><loc>{site}{page}</loc></url>\n")
    });
    let entries: String = entries.collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">\n{entries}</urlset>\n"
    )
}

/// The first page with another text. It shows at any address, so all that it leads to begins at the
/// host, in whose folder `base` the site lies.
fn not_found(first: &str, base: &str) -> Result<String> {
    let at_host = |name: &'static str| {
        let base = base.to_owned();
        move |element: &mut lol_html::html_content::Element<'_, '_>| {
            let target = element.get_attribute(name).unwrap_or_default();
            if !is_elsewhere(&target) && !target.starts_with('#') {
                element.set_attribute(name, &format!("{base}{target}"))?;
            }
            Ok(())
        }
    };
    let settings = RewriteStrSettings::new()
        .append_element_content_handler(element!("main", |main| {
            let text = NOT_FOUND_TEXT.replace("href=\"", &format!("href=\"{base}"));
            main.set_inner_content(&text, ContentType::Html);
            Ok(())
        }))
        .append_element_content_handler(element!("title", |title| {
            title.set_inner_content(
                "No such page - Messaging Systems Compared",
                ContentType::Text,
            );
            Ok(())
        }))
        .append_element_content_handler(element!(
            "link[rel=alternate], link[rel=canonical], meta[property], meta[name^='twitter:'], .end .foot p, .turn a",
            |of_the_first| {
                of_the_first.remove();
                Ok(())
            }
        ))
        .append_element_content_handler(element!("meta[name=description]", |meta| {
            meta.set_attribute("content", "The address has no page here.")?;
            meta.after(
                "\n<meta name=\"robots\" content=\"noindex\">",
                ContentType::Html,
            );
            Ok(())
        }))
        .append_element_content_handler(element!("#nav a[aria-current]", |link| {
            link.remove_attribute("aria-current");
            Ok(())
        }))
        .append_element_content_handler(element!("[href]", at_host("href")))
        .append_element_content_handler(element!("[src]", at_host("src")))
        .append_element_content_handler(element!("[data-search]", at_host("data-search")));
    Ok(rewrite_str(first, settings)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_missing_page_leads_back_from_anywhere() {
        let first = "<head><title>x</title><link rel=\"stylesheet\" href=\"a.css\"></head><body>\
                     <a href=\"#main\">s</a><main>old</main><a href=\"kafka/x.html\">k</a></body>";
        let page = not_found(first, "/of/guide/").unwrap();
        assert!(page.contains("href=\"/of/guide/a.css\""), "{page}");
        assert!(
            page.contains("href=\"/of/guide/index.html\">first page"),
            "{page}"
        );
        assert!(page.contains("href=\"/of/guide/kafka/x.html\""), "{page}");
        assert!(
            page.contains("href=\"#main\"") && !page.contains("old"),
            "{page}"
        );
        assert!(not_found(first, "/").unwrap().contains("href=\"/a.css\""));
    }

    #[test]
    fn the_first_page_is_the_site_itself() {
        let pages = ["index.html", "kafka/x.html"].map(Address::from);
        let sitemap = sitemap(pages.iter(), "https://host/");
        assert!(sitemap.contains("<loc>https://host/</loc>"), "{sitemap}");
        assert!(
            sitemap.contains("<loc>https://host/kafka/x.html</loc>"),
            "{sitemap}"
        );
    }
}
