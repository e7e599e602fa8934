//! Environments in which a program fails before SQS has been asked: each in a process of its own.
//!
//! Guarantee: none. Printed is what the SDK says, the whole chain of causes or the panic.
//!
//! Run: `cargo run --example sqs_error_environment`

use std::{env, net::TcpListener, time::Duration};

use anyhow::{Context, Result};
use aws_config::{BehaviorVersion, timeout::TimeoutConfig};
use aws_sdk_sqs::{Client, Config, config::Region};
use tokio::{fs, process::Command, time::timeout};

/// What this process inherits and a case must not: the variables of proxies, keys and profiles.
const INHERITED: [&str; 11] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
    "AWS_PROFILE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];
const KEYS: [&str; 3] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];

#[tokio::main]
async fn main() -> Result<()> {
    match env::args().nth(1).as_deref() {
        // Both are started below, in another environment.
        Some("ask") => {
            ask().await?;
            println!("answered");
            return Ok(());
        }
        Some("no version") => {
            let config = Config::builder().region(Region::new("us-east-1")).build();
            drop(Client::from_conf(config)); // panics
            return Ok(());
        }
        _ => {}
    }
    ask().await.with_context(|| {
        let endpoint = env::var("AWS_ENDPOINT_URL").unwrap_or_else(|_| "AWS".to_owned());
        format!(
            "cannot use SQS at {endpoint}; to start an emulator: docker compose up -d --wait, \
             or cargo run --bin sandbox -- up"
        )
    })?;
    let folder = env::temp_dir().join(format!("sqs-error-environment-{}", std::process::id()));
    fs::create_dir(&folder).await?;
    let (empty, profile) = (folder.join("empty"), folder.join("config"));
    fs::write(&empty, "").await?;
    fs::write(&profile, SSO).await?;
    let (empty, profile) = (empty.to_string_lossy(), profile.to_string_lossy());
    let free = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let proxy = format!("http://{free}"); // nobody listens there
    // ANCHOR: environments
    let proxied = ("HTTP_PROXY", proxy.as_str());
    case("a proxy", "ask", &[proxied], &[]).await?;
    let exception = ("NO_PROXY", "localhost,127.0.0.1"); // as in the endpoint, and without its port
    case("a proxy, but not for this machine", "ask", &[proxied, exception], &[]).await?;
    let no_keys = [
        ("AWS_CONFIG_FILE", empty.as_ref()),
        ("AWS_SHARED_CREDENTIALS_FILE", &empty),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    case("no keys", "ask", &no_keys, &KEYS).await?;
    let silent = TcpListener::bind("127.0.0.1:0")?; // accepts, and never answers
    let metadata = format!("http://{}", silent.local_addr()?);
    let asked = [no_keys[0], no_keys[1], ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &metadata)];
    case("a silent metadata service", "ask", &asked, &KEYS).await?;
    let sso = [("AWS_CONFIG_FILE", profile.as_ref()), ("AWS_PROFILE", "shop")];
    case("a profile of aws sso login", "ask", &sso, &KEYS).await?;
    case("no behaviour version", "no version", &[], &[]).await?;
    // ANCHOR_END: environments
    fs::remove_dir_all(&folder).await?;
    Ok(())
}

const SSO: &str = "[profile shop]
region = us-east-1
sso_start_url = https://example.awsapps.com/start
sso_region = us-east-1
sso_account_id = 111122223333
sso_role_name = Developer
";

/// One request that changes nothing.
async fn ask() -> Result<()> {
    let limit = TimeoutConfig::builder().operation_timeout(Duration::from_secs(5)).build();
    let aws = aws_config::defaults(BehaviorVersion::latest()).timeout_config(limit).load().await;
    let asked = Client::new(&aws).list_queues().queue_name_prefix("sqs-error-environment-");
    asked.send().await?;
    Ok(())
}

/// Runs this program again in another environment, and prints what it said.
async fn case(what: &str, how: &str, set: &[(&str, &str)], unset: &[&str]) -> Result<()> {
    let mut child = Command::new(env::current_exe()?);
    INHERITED.iter().chain(unset).for_each(|name| {
        child.env_remove(name);
    });
    child.env("RUST_BACKTRACE", "0").arg(how).envs(set.iter().copied()).kill_on_drop(true);
    let output = timeout(Duration::from_secs(30), child.output()).await;
    let output = output.with_context(|| format!("{what}: no answer within 30 s"))??;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    println!("{what}:");
    for line in said.lines().map(str::trim).filter(|line| {
        let skipped = ["thread ", "note: ", "Caused by:"]; // a panic's place differs
        !line.is_empty() && !skipped.iter().any(|start| line.starts_with(start))
    }) {
        println!("  {line}");
    }
    Ok(())
}
