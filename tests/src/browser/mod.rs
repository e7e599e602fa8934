//! A real browser for tests: Chromium, driven over the WebDriver protocol, and the guide's own server
//! in front of it.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use tests::browser::{Browser, LIGHT_WIDE, site};
//!
//! let browser = Browser::start()?;
//! let tab = browser.tab(&site()?.address(), LIGHT_WIDE).await?;
//! tab.open("kafka/produce.html").await?;
//! tab.press("Tab").await?;
//! assert_eq!(tab.run("return document.activeElement.className").await?, "skip");
//! assert!(tab.log().await?.complaints.is_empty());
//! tab.close().await
//! # }
//! ```

pub mod axe;
mod driver;
mod fonts;
mod log;
mod site;
mod tab;

pub use driver::Browser;
pub use fonts::{FONTS, Font};
pub use log::{Log, Request};
pub use site::{root_of_site, site};
pub use tab::{
    DARK_NARROW, DARK_WIDE, LIGHT_NARROW, LIGHT_NARROWEST, LIGHT_WIDE, Scheme, Tab, View,
};
