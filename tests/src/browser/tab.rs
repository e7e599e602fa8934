//! One page at a time, in a given scheme and width, with scripts on or off.

use std::{future::Future, path::Path, time::Duration};

use anyhow::{Context, Result, anyhow, bail};
// The crate `http` itself is not listed: programs would seem to need it.
use axum::http::Method;
use fantoccini::{Client, wd::WebDriverCompatibleCommand};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::Log;

/// How long the driver may take for one answer, and a condition to come true.
const PATIENCE: Duration = Duration::from_secs(30);

/// Light or dark, as the system asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    Light,
    Dark,
}

/// How a page is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    pub scheme: Scheme,
    /// In CSS pixels.
    pub width: u32,
    /// How large the reader has set text, in per cent.
    pub text: u32,
    /// Whether the page's scripts run.
    pub scripts: bool,
}

pub const LIGHT_WIDE: View = View::new(Scheme::Light, 1280);
pub const LIGHT_NARROW: View = View::new(Scheme::Light, 360);
pub const DARK_WIDE: View = View::new(Scheme::Dark, 1280);
pub const DARK_NARROW: View = View::new(Scheme::Dark, 360);
/// The narrowest screen that a page has to fit without scrolling sideways (WCAG 1.4.10).
pub const LIGHT_NARROWEST: View = View::new(Scheme::Light, 320);

impl View {
    const fn new(scheme: Scheme, width: u32) -> Self {
        Self {
            scheme,
            width,
            text: 100,
            scripts: true,
        }
    }

    /// The same with text twice as large, as the browser's settings have it.
    pub const fn with_large_text(self) -> Self {
        Self { text: 200, ..self }
    }

    /// The same with scripts off.
    pub const fn without_scripts(self) -> Self {
        Self {
            scripts: false,
            ..self
        }
    }
}

impl std::fmt::Display for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = match self.scheme {
            Scheme::Light => "light",
            Scheme::Dark => "dark",
        };
        let text = match self.text {
            100 => String::new(),
            text => format!(", text at {text} %"),
        };
        let scripts = if self.scripts { "" } else { ", scripts off" };
        write!(f, "{scheme}, {} px{text}{scripts}", self.width)
    }
}

/// A tab of a browser of its own.
pub struct Tab {
    client: Client,
    site: String,
}

impl Tab {
    pub(super) async fn new(client: Client, site: &str, view: View) -> Result<Self> {
        let tab = Self {
            client,
            site: site.to_owned(),
        };
        // Each page comes as to a reader who opens it first.
        tab.devtools("Network.enable", json!({})).await?;
        tab.devtools("Network.setCacheDisabled", json!({ "cacheDisabled": true }))
            .await?;
        tab.look(view).await?;
        Ok(tab)
    }

    /// Changes how pages are looked at; what scripts there are is decided when a page opens.
    ///
    /// # Errors
    /// The browser is gone.
    pub async fn look(&self, view: View) -> Result<()> {
        let scheme = match view.scheme {
            Scheme::Light => "light",
            Scheme::Dark => "dark",
        };
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" }] });
        self.devtools("Emulation.setEmulatedMedia", media).await?;
        // A phone's scroll bars take no room.
        let size = json!({ "width": view.width, "height": 800, "deviceScaleFactor": 1,
            "mobile": view.width < 768 });
        self.devtools("Emulation.setDeviceMetricsOverride", size)
            .await?;
        // What a page calls 1rem, and what its media queries call 1em.
        let sizes = json!({ "standard": 16 * view.text / 100, "fixed": 13 * view.text / 100 });
        self.devtools("Page.setFontSizes", json!({ "fontSizes": sizes }))
            .await?;
        let off = json!({ "value": !view.scripts });
        self.devtools("Emulation.setScriptExecutionDisabled", off)
            .await?;
        Ok(())
    }

    /// Opens a page by its address relative to the site and waits until it is loaded.
    ///
    /// # Errors
    /// The page does not load.
    pub async fn open(&self, page: &str) -> Result<()> {
        let address = format!("{}{page}", self.site);
        let opened = tokio::time::timeout(PATIENCE, self.client.goto(&address)).await;
        opened
            .with_context(|| format!("{page} is not loaded in {} s", PATIENCE.as_secs()))?
            .with_context(|| format!("cannot open {page}"))
    }

    /// Opens a page as a file, without a server.
    ///
    /// # Errors
    /// The path is not a whole one, or the page does not load.
    pub async fn open_file(&self, page: &Path) -> Result<()> {
        let address = url::Url::from_file_path(page);
        let address = address.map_err(|()| anyhow!("{} is no whole path", page.display()))?;
        self.client.goto(address.as_str()).await?;
        Ok(())
    }

    /// Leaves the page: its timers and requests end.
    ///
    /// # Errors
    /// The browser is gone.
    pub async fn open_blank(&self) -> Result<()> {
        Ok(self.client.goto("about:blank").await?)
    }

    /// Runs a script in the page: the body of a function, which returns a value.
    ///
    /// # Errors
    /// The script throws.
    pub async fn run(&self, script: &str) -> Result<Value> {
        self.run_with(script, Vec::new()).await
    }

    /// The same with arguments.
    ///
    /// # Errors
    /// The script throws.
    pub async fn run_with(&self, script: &str, arguments: Vec<Value>) -> Result<Value> {
        Ok(self.client.execute(script, arguments).await?)
    }

    /// Runs a script of asynchronous work: it calls `done(value)` at its end.
    ///
    /// # Errors
    /// The script throws, or is not done in 180 s.
    pub async fn run_async(&self, script: &str) -> Result<Value> {
        let script = format!("const done = arguments[arguments.length - 1];\n{script}");
        self.run_async_with(&script, Vec::new()).await
    }

    /// The same with arguments; `done` is the last of them.
    ///
    /// # Errors
    /// As [`Tab::run_async`].
    pub async fn run_async_with(&self, script: &str, arguments: Vec<Value>) -> Result<Value> {
        Ok(self.client.execute_async(script, arguments).await?)
    }

    /// Waits until a script returns something true.
    ///
    /// # Errors
    /// It does not in 30 s.
    pub async fn wait_until(&self, script: &str) -> Result<()> {
        self.wait_for(script, || async {
            Ok(self.run(script).await?.as_bool() == Some(true))
        })
        .await
    }

    async fn wait_for<F: Future<Output = Result<bool>>>(
        &self,
        what: &str,
        holds: impl Fn() -> F,
    ) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !holds().await? {
            if Instant::now() > deadline {
                bail!("not true in {} s: {what}", PATIENCE.as_secs());
            }
            sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Presses a key as a reader does, by its name (`Tab`, `Shift+Tab`, `Control+k`, `ArrowDown`), and
    /// waits until the page has handled it.
    ///
    /// # Errors
    /// The browser is gone.
    pub async fn press(&self, keys: &str) -> Result<()> {
        let (modifiers, key) = modifiers(keys);
        let text = match key {
            "Enter" => Some("\r"),
            key if key.chars().count() == 1 && modifiers == 0 => Some(key),
            _ => None,
        };
        let mut down = json!({ "type": "keyDown", "key": key, "modifiers": modifiers,
            "windowsVirtualKeyCode": key_code(key) });
        if let Some(text) = text {
            down["text"] = text.into();
        }
        self.devtools("Input.dispatchKeyEvent", down).await?;
        let up = json!({ "type": "keyUp", "key": key, "modifiers": modifiers });
        self.devtools("Input.dispatchKeyEvent", up).await?;
        Ok(())
    }

    /// Types a text into what has the focus.
    ///
    /// # Errors
    /// The browser is gone.
    pub async fn type_text(&self, text: &str) -> Result<()> {
        self.devtools("Input.insertText", json!({ "text": text }))
            .await?;
        Ok(())
    }

    /// What the console and the network reported since the last call.
    ///
    /// # Errors
    /// The browser is gone.
    pub async fn log(&self) -> Result<Log> {
        let console = self.issue("se/log", json!({ "type": "browser" })).await?;
        let network = self
            .issue("se/log", json!({ "type": "performance" }))
            .await?;
        Log::read(&console, &network)
    }

    /// Sends a command of the Chrome DevTools protocol.
    ///
    /// # Errors
    /// The browser refuses it.
    pub async fn devtools(&self, command: &str, parameters: Value) -> Result<Value> {
        let body = json!({ "cmd": command, "params": parameters });
        self.issue("goog/cdp/execute", body).await
    }

    /// The WebDriver client, for what the tab itself does not have.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Closes the tab and its browser.
    ///
    /// # Errors
    /// The browser is gone already.
    pub async fn close(self) -> Result<()> {
        Ok(self.client.close().await?)
    }

    async fn issue(&self, path: &'static str, body: Value) -> Result<Value> {
        let command = Command {
            path,
            body: body.to_string(),
        };
        let answer = tokio::time::timeout(PATIENCE, self.client.issue_cmd(command)).await;
        let answer = answer.with_context(|| format!("the browser does not answer: {body}"))?;
        answer.with_context(|| format!("the browser refuses {body}"))
    }
}

/// A command of Chromium's driver beyond the standard.
#[derive(Debug)]
struct Command {
    path: &'static str,
    body: String,
}

impl WebDriverCompatibleCommand for Command {
    fn endpoint(
        &self,
        base: &url::Url,
        session: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        let session = session.unwrap_or_default();
        base.join(&format!("session/{session}/{}", self.path))
    }

    fn method_and_body(&self, _: &url::Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.clone()))
    }
}

/// `Control+Shift+k` as the protocol's bits and the key.
fn modifiers(keys: &str) -> (u8, &str) {
    let mut bits = 0;
    let mut rest = keys;
    while let Some((modifier, key)) = rest.split_once('+').filter(|(_, key)| !key.is_empty()) {
        bits |= match modifier {
            "Alt" => 1,
            "Control" => 2,
            "Meta" => 4,
            "Shift" => 8,
            _ => 0,
        };
        rest = key;
    }
    (bits, rest)
}

/// What Chromium needs to give a key its own effect: to move the focus, to press a button.
fn key_code(key: &str) -> u32 {
    match key {
        "Tab" => 9,
        "Enter" => 13,
        "Escape" => 27,
        " " => 32,
        "End" => 35,
        "Home" => 36,
        "ArrowLeft" => 37,
        "ArrowUp" => 38,
        "ArrowRight" => 39,
        "ArrowDown" => 40,
        key => key.to_uppercase().bytes().next().map_or(0, u32::from),
    }
}
