//! What a browser reports: complaints of the page's console, and requests.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::Value;

/// What happened in a tab since the last look.
#[derive(Debug, Default)]
pub struct Log {
    /// Errors and warnings of the console: uncaught errors, refused and failed requests, deprecations.
    pub complaints: Vec<String>,
    /// The requests in the order in which they began.
    pub requests: Vec<Request>,
}

/// A request of a page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// Its full address.
    pub address: String,
    /// Bytes that came over the network, headers included; 0 when it did not end well.
    pub bytes: u64,
}

impl Log {
    /// Reads what the driver kept of the console and of the network.
    ///
    /// # Errors
    /// The driver answers something else than entries.
    pub fn read(console: &Value, network: &Value) -> Result<Self> {
        let complaint = |entry: &Value| {
            let level = entry["level"].as_str().unwrap_or_default();
            let message = entry["message"].as_str().unwrap_or_default();
            matches!(level, "SEVERE" | "WARNING").then(|| format!("{level}: {message}"))
        };
        let entries = |log: &Value| log.as_array().cloned().context("the driver has no log");
        Ok(Self {
            complaints: entries(console)?.iter().filter_map(complaint).collect(),
            requests: requests(&entries(network)?)?,
        })
    }

    /// Bytes over the network.
    pub fn bytes(&self) -> u64 {
        self.requests.iter().map(|request| request.bytes).sum()
    }

    /// The requests that went elsewhere than to `site`.
    pub fn foreign(&self, site: &str) -> Vec<&str> {
        let addresses = self.requests.iter().map(|request| request.address.as_str());
        addresses
            .filter(|address| !address.starts_with(site))
            .collect()
    }
}

fn requests(events: &[Value]) -> Result<Vec<Request>> {
    let mut requests: Vec<Request> = Vec::new();
    let mut places = BTreeMap::new();
    for event in events {
        let message = event["message"].as_str().unwrap_or_default();
        let event: Value = serde_json::from_str(message)?;
        let (method, of) = (&event["message"]["method"], &event["message"]["params"]);
        let id = of["requestId"].as_str().unwrap_or_default().to_owned();
        match method.as_str().unwrap_or_default() {
            "Network.requestWillBeSent" => {
                let address = of["request"]["url"].as_str().unwrap_or_default();
                if is_of_the_browser(address) {
                    continue;
                }
                places.insert(id, requests.len());
                requests.push(Request {
                    address: address.to_owned(),
                    bytes: 0,
                });
            }
            "Network.loadingFinished" => {
                let place = places.get(&id).and_then(|place| requests.get_mut(*place));
                if let Some(request) = place {
                    request.bytes = of["encodedDataLength"].as_f64().unwrap_or_default() as u64;
                }
            }
            _ => {}
        }
    }
    Ok(requests)
}

/// What the browser shows from within itself: its empty page, an image inside a page.
fn is_of_the_browser(address: &str) -> bool {
    ["data:", "about:", "blob:", "chrome:"]
        .iter()
        .any(|scheme| address.starts_with(scheme))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn complaints_and_foreign_requests_are_read() -> Result<()> {
        let console = json!([
            { "level": "INFO", "message": "hello" },
            { "level": "SEVERE", "message": "Uncaught x" },
        ]);
        let sent = |id: &str, url: &str| {
            let event = json!({ "message": { "method": "Network.requestWillBeSent",
                "params": { "requestId": id, "request": { "url": url } } } });
            json!({ "message": event.to_string() })
        };
        let ended = json!({ "message": { "method": "Network.loadingFinished",
            "params": { "requestId": "1", "encodedDataLength": 99 } } });
        let network = json!([
            sent("1", "http://127.0.0.1:1/a"),
            sent("2", "https://example.org/b"),
            sent("3", "data:image/png;base64,x"),
            { "message": ended.to_string() },
        ]);
        let log = Log::read(&console, &network)?;
        assert_eq!(log.complaints, ["SEVERE: Uncaught x"]);
        assert_eq!((log.requests.len(), log.bytes()), (2, 99));
        assert_eq!(
            log.foreign("http://127.0.0.1:1/"),
            ["https://example.org/b"]
        );
        Ok(())
    }
}
