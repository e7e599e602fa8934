//! Chromium and its driver: found or installed, started on a free port, ended with the test.

use std::{
    fs,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use fantoccini::{Client, ClientBuilder, wd::Capabilities};
use hyper_util::client::legacy::connect::HttpConnector;
use sandbox::tools::{self, Leashed, leashed};
use serde_json::json;
use tempfile::TempDir;

use super::{Tab, View, fonts};

/// Programs with the Debian packages that have them.
const NEEDED: [(&str, &str); 1] = [("chromedriver", "chromium-driver")];

/// The browser that the driver starts; other systems name it otherwise.
const BROWSERS: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

/// How long the driver may take to listen.
const READY: Duration = Duration::from_secs(30);

/// A running driver. Each tab has a browser of its own behind it.
pub struct Browser {
    driver: Leashed,
    address: String,
    browser: PathBuf,
    folder: TempDir,
}

impl Browser {
    /// Starts the driver; as root on Debian it installs what is missing first.
    ///
    /// # Errors
    /// No browser can be had, or the driver does not start; the message says what to do.
    pub fn start() -> Result<Self> {
        let browser = browser()?;
        let folder = tempfile::tempdir()?;
        let log = folder.path().join("chromedriver.log");
        let mut command = leashed("chromedriver");
        // What Chromium puts into a temporary folder goes with ours.
        let mut driver =
            Leashed::spawn(command.arg("--port=0").env("TMPDIR", folder.path()), &log)?;
        let deadline = Instant::now() + READY;
        loop {
            let said = fs::read_to_string(&log).unwrap_or_default();
            if let Some(port) = port_in(&said) {
                return Ok(Self {
                    driver,
                    address: format!("http://127.0.0.1:{port}"),
                    browser,
                    folder,
                });
            }
            if let Some(status) = driver.exited()? {
                bail!("chromedriver ended, {status}: {}", said.trim());
            }
            if Instant::now() > deadline {
                bail!("chromedriver names no port in {} s", READY.as_secs());
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// A new tab that shows the site at `address`.
    ///
    /// # Errors
    /// The browser does not start.
    pub async fn tab(&self, address: &str, view: View) -> Result<Tab> {
        let client = self.session().await.with_context(|| {
            let browser = self.browser.display();
            format!("{browser} does not start; its driver must have the same version")
        })?;
        Tab::new(client, address, view).await
    }

    async fn session(&self) -> Result<Client> {
        let mut arguments = vec![
            "--headless=new",
            "--window-size=1280,900",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--disable-breakpad",
            // A page that was left would be kept with its process, and each next one gets a new one.
            "--disable-features=BackForwardCache",
        ];
        if tools::is_root() {
            arguments.push("--no-sandbox");
        }
        let capabilities = json!({
            // axe takes its time on a long page when the machine is busy.
            "timeouts": { "script": 180_000 },
            "goog:chromeOptions": {
                "binary": self.browser,
                "args": arguments,
                "perfLoggingPrefs": { "enableNetwork": true, "enablePage": false },
            },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        });
        let capabilities: Capabilities = serde_json::from_value(capabilities)?;
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let client = builder.capabilities(capabilities).connect(&self.address);
        Ok(client.await?)
    }

    /// The same for layouts: a tab of a browser that really has each font of [`super::FONTS`].
    ///
    /// # Errors
    /// The browser does not start, or draws with other fonts.
    pub async fn tab_with_fonts(&self, address: &str, view: View) -> Result<Tab> {
        let tab = self.tab(address, view).await?;
        fonts::verify(&tab).await?;
        Ok(tab)
    }

    /// The process that the browsers belong to.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.driver.exited()?.is_none() && self.folder.path().is_dir())
    }
}

fn browser() -> Result<PathBuf> {
    const OTHERWISE: &str =
        "install Chrome or Chromium and the chromedriver of the same version, both on the PATH";
    let mut needed = NEEDED.to_vec();
    if tools::find(&BROWSERS).is_none() {
        needed.push((BROWSERS[0], "chromium"));
    }
    tools::require(&needed, OTHERWISE).context("the pages are tested in a browser")?;
    fonts::require()?;
    tools::find(&BROWSERS).context("no browser on the PATH; install chromium")
}

/// The port in `ChromeDriver was started successfully on port 41235.`
fn port_in(said: &str) -> Option<u16> {
    let after = said.split_once("successfully on port ")?.1;
    after.split_once('.')?.0.parse().ok()
}
