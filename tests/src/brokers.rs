//! Where the tests find the brokers: in a sandbox of their own, or where the environment says.

use std::env;

use anyhow::{Context, Result, ensure};
use sandbox::{Broker, Ports, Sandbox, tools::Leashed};

/// The variable that makes the tests use the endpoints in the environment.
pub const USE_ENVIRONMENT: &str = "GUIDE_TEST_ENDPOINTS";

/// By which a command-line session finds a system's own tools.
const PATH: &str = "PATH";

const VARIABLES: [&str; 7] = [
    "KAFKA_BOOTSTRAP_SERVERS",
    "AMQP_URL",
    "RABBITMQ_MANAGEMENT_URL",
    "AWS_ENDPOINT_URL",
    "AWS_REGION",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
];

/// Real brokers that answer. Those that were started end when this is dropped.
pub struct Brokers {
    /// Ends before the brokers.
    tools: Option<Leashed>,
    sandbox: Option<Sandbox>,
    variables: Vec<(String, String)>,
}

impl Brokers {
    /// Starts all brokers on free ports, or takes those of the environment if
    /// `GUIDE_TEST_ENDPOINTS=1`.
    ///
    /// # Errors
    /// A broker does not start, or a variable is missing.
    pub fn start() -> Result<Self> {
        Self::start_these(&Broker::ALL)
    }

    /// The same for some of the brokers.
    ///
    /// # Errors
    /// A broker does not start, or a variable is missing.
    pub fn start_these(brokers: &[Broker]) -> Result<Self> {
        if env::var(USE_ENVIRONMENT).is_ok_and(|value| value == "1") {
            return Self::of_the_environment();
        }
        let sandbox = Sandbox::start(brokers, Ports::Free)?;
        let mut variables: Vec<_> = sandbox
            .environment()
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        variables.push((PATH.to_owned(), path_to_tools(brokers)?));
        Ok(Self {
            tools: None,
            sandbox: Some(sandbox),
            variables,
        })
    }

    fn of_the_environment() -> Result<Self> {
        let mut variables = Vec::new();
        for name in VARIABLES {
            let value = env::var(name)
                .with_context(|| format!("{USE_ENVIRONMENT}=1, but {name} is not set"))?;
            variables.push((name.to_owned(), value));
        }
        // Kafka's own tools are expected on it.
        variables.push((PATH.to_owned(), env::var(PATH)?));
        Ok(Self {
            tools: None,
            sandbox: None,
            variables,
        })
    }

    /// Lets all calls of Kafka's command-line tools share one virtual machine: each would start its own,
    /// and a session calls them dozens of times. Does nothing for the brokers of the environment, nor a
    /// second time.
    ///
    /// # Errors
    /// It does not start.
    pub fn share_tools(&mut self) -> Result<()> {
        if let (Some(sandbox), None) = (&self.sandbox, &self.tools) {
            let (tools, variables) = sandbox.serve_tools()?;
            self.tools = Some(tools);
            let owned = variables
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value));
            self.variables.extend(owned);
        }
        Ok(())
    }

    /// The variables that lead a program to the brokers.
    pub fn variables(&self) -> &[(String, String)] {
        &self.variables
    }

    /// The value of one of them.
    ///
    /// # Errors
    /// The brokers have no such variable.
    pub fn variable(&self, name: &str) -> Result<&str> {
        self.variables
            .iter()
            .find_map(|(other, value)| (other == name).then_some(value.as_str()))
            .with_context(|| format!("the brokers set no {name}"))
    }

    /// Kills a broker and starts it again with its data, on its port.
    ///
    /// # Errors
    /// The broker is not this sandbox's, or it does not start.
    pub fn crash(&mut self, broker: Broker) -> Result<()> {
        let sandbox = self.sandbox.as_mut();
        let sandbox = sandbox.context("only a broker of the tests' own may be killed")?;
        let before = sandbox.pids(broker);
        sandbox.crash(broker)?;
        let survivors = sandbox.pids(broker).into_iter();
        let survivors: Vec<_> = survivors.filter(|pid| before.contains(pid)).collect();
        ensure!(survivors.is_empty(), "not killed: processes {survivors:?}");
        Ok(())
    }

    /// The sandbox, if the brokers were started here.
    pub fn sandbox(&self) -> Option<&Sandbox> {
        self.sandbox.as_ref()
    }
}

/// The search path with the brokers' own command-line tools before everything else.
fn path_to_tools(brokers: &[Broker]) -> Result<String> {
    let mut folders = Vec::new();
    for broker in brokers {
        folders.extend(Sandbox::tools(*broker)?);
    }
    let path = env::var_os(PATH).unwrap_or_default();
    folders.extend(env::split_paths(&path));
    let path = env::join_paths(folders)?;
    path.into_string().ok().context("PATH is no text")
}
