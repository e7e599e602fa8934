//! Small HTTP requests to this machine.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use ureq::Agent;

/// A client that never asks a proxy and gives up after `limit`.
pub(crate) fn agent(limit: Duration) -> Agent {
    Agent::config_builder()
        .proxy(None)
        .timeout_global(Some(limit))
        .http_status_as_error(false)
        .build()
        .new_agent()
}

/// GETs a JSON document; any status but success is an error.
pub(crate) fn get_json(agent: &Agent, url: &str, authorization: Option<&str>) -> Result<Value> {
    let mut request = agent.get(url);
    if let Some(value) = authorization {
        request = request.header("Authorization", value);
    }
    let mut response = request.call().with_context(|| format!("GET {url}"))?;
    ensure!(
        response.status().is_success(),
        "GET {url}: {}",
        response.status()
    );
    response
        .body_mut()
        .read_json()
        .with_context(|| format!("GET {url}: no JSON"))
}
