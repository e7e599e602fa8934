//! LocalStack: SQS and SNS, from PyPI in a virtual environment.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::broker::{Broker, LOCALSTACK_VERSION};
use crate::http;
use crate::layout::Layout;
use crate::ports::PortPlan;
use crate::prepare::Prepared;
use crate::prerequisites::{find_program, has_writable_home};
use crate::process::{Leashed, isolated, leashed, remove_folder, run};
use crate::progress::progress;

const REQUIREMENTS: &str = include_str!("../recipes/localstack.requirements.txt");

/// Installs the requirements in seconds; pip takes a minute.
const UV: &str = "uv==0.13.9";

/// The services that the guide uses.
const SERVICES: [&str; 2] = ["sqs", "sns"];

fn environment(layout: &Layout) -> Prepared {
    Prepared::new(
        layout,
        &format!("localstack-{LOCALSTACK_VERSION}"),
        REQUIREMENTS,
    )
}

fn python(folder: &Path) -> PathBuf {
    folder.join("venv/bin/python")
}

pub(crate) fn is_prepared(layout: &Layout) -> bool {
    let environment = environment(layout);
    // The environment's Python is a link to the system's, which may be gone.
    environment.is_complete() && python(&environment.folder).exists()
}

pub(crate) fn prepare(layout: &Layout) -> Result<()> {
    let environment = environment(layout);
    if !python(&environment.folder).exists() {
        remove_folder(&environment.folder)?;
    }
    environment.make(|draft| {
        progress(
            Broker::LocalStack,
            &format!("getting LocalStack {LOCALSTACK_VERSION} from PyPI (500 MB installed)"),
        );
        let log = draft.join("install.log");
        let uv = match find_program("uv") {
            Some(uv) => uv,
            None => install_uv(draft, &log)?,
        };
        let requirements = draft.join("requirements.txt");
        fs::write(&requirements, REQUIREMENTS).context("writing the requirements")?;
        let cache = (!has_writable_home()).then(|| ("UV_CACHE_DIR", draft.join("cache")));
        let mut venv = leashed(&uv);
        venv.envs(cache.clone());
        venv.args(["venv", "--no-python-downloads", "--python", "python3"])
            .arg(draft.join("venv"));
        run(&mut venv, &log).context("making the virtual environment")?;
        let mut install = leashed(&uv);
        install.envs(cache.clone());
        install
            .args([
                "pip",
                "install",
                "--require-hashes",
                "--no-deps",
                "--compile-bytecode",
                "-r",
            ])
            .arg(&requirements)
            .arg("-p")
            .arg(python(draft));
        run(&mut install, &log).context("installing the requirements")?;
        if let Some((_, cache)) = cache {
            remove_folder(&cache)?;
        }
        remove_folder(&uv_folder(draft))
    })
}

/// Needed for the installation only.
fn uv_folder(draft: &Path) -> PathBuf {
    draft.join("uv")
}

fn install_uv(draft: &Path, log: &Path) -> Result<PathBuf> {
    let folder = uv_folder(draft);
    let mut venv = leashed("python3");
    run(venv.args(["-m", "venv"]).arg(&folder), log).context("making uv's virtual environment")?;
    let mut install = leashed(folder.join("bin/pip"));
    run(install.args(["install", "-q", UV]), log).context("installing uv")?;
    Ok(folder.join("bin/uv"))
}

/// Starts LocalStack with nothing in it; it takes seconds until it answers.
pub(crate) fn start(layout: &Layout, ports: &PortPlan, folder: &Path) -> Result<Leashed> {
    let mut command = isolated(python(&environment(layout).folder));
    command
        .args(["-m", "localstack.runtime.main"])
        // Plain 127.0.0.1 would listen on every address.
        .env(
            "GATEWAY_LISTEN",
            format!("[::ffff:127.0.0.1]:{}", ports.localstack),
        )
        // Queue URLs carry the address that the client used.
        .env("SQS_ENDPOINT_STRATEGY", "dynamic")
        .env("SERVICES", SERVICES.join(","))
        .env("STRICT_SERVICE_LOADING", "1")
        .env("EAGER_SERVICE_LOADING", "0")
        .env("DISABLE_EVENTS", "1")
        .env("SKIP_SSL_CERT_DOWNLOAD", "1")
        .env("DNS_ADDRESS", "0")
        .env("FILESYSTEM_ROOT", folder)
        .env("HOME", folder)
        .env("LANG", "C.UTF-8")
        .current_dir(folder);
    Leashed::spawn(&mut command, &log(folder))
}

pub(crate) fn log(folder: &Path) -> PathBuf {
    folder.join("localstack.log")
}

/// What LocalStack says about itself.
#[derive(Clone, Debug)]
pub(crate) struct Health {
    pub version: String,
    /// Name and state of each service of the guide.
    pub services: Vec<(String, String)>,
}

/// Asks for the health of the LocalStack at `url`.
pub(crate) fn health(url: &str) -> Result<Health> {
    let agent = http::agent(Duration::from_secs(5));
    let answer = http::get_json(&agent, &format!("{url}/_localstack/health"), None)?;
    let version = answer["version"]
        .as_str()
        .context("the health tells no version")?
        .to_owned();
    let services = SERVICES
        .map(|name| {
            (
                name.to_owned(),
                answer["services"][name]
                    .as_str()
                    .unwrap_or("absent")
                    .to_owned(),
            )
        })
        .into();
    Ok(Health { version, services })
}

/// Health, and one harmless call to each service: it loads at its first, which takes seconds that
/// no reader's first program shall pay for.
pub(crate) fn probe(port: u16) -> Result<Health> {
    let url = format!("http://127.0.0.1:{port}");
    health(&url)?;
    list_queues(&url)?;
    list_topics(&url)?;
    health(&url)
}

fn list_queues(url: &str) -> Result<()> {
    let mut answer = http::agent(Duration::from_secs(60))
        .post(url)
        .header("X-Amz-Target", "AmazonSQS.ListQueues")
        .content_type("application/x-amz-json-1.0")
        .send("{}")
        .context("calling ListQueues")?;
    let text = answer
        .body_mut()
        .read_to_string()
        .context("reading the answer to ListQueues")?;
    ensure!(
        answer.status().is_success(),
        "ListQueues: {} {text}",
        answer.status()
    );
    serde_json::from_str::<Value>(&text).context("the answer to ListQueues")?;
    Ok(())
}

fn list_topics(url: &str) -> Result<()> {
    let mut answer = http::agent(Duration::from_secs(60))
        .post(url)
        // LocalStack finds the service by the scope and checks no signature.
        .header(
            "Authorization",
            "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/sns/aws4_request, SignedHeaders=host, Signature=0",
        )
        .content_type("application/x-www-form-urlencoded")
        .send("Action=ListTopics&Version=2010-03-31")
        .context("calling ListTopics")?;
    let text = answer
        .body_mut()
        .read_to_string()
        .context("reading the answer to ListTopics")?;
    let is_answer = answer.status().is_success() && text.contains("<ListTopicsResponse");
    ensure!(is_answer, "ListTopics: {} {text}", answer.status());
    Ok(())
}
