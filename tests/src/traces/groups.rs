//! Who holds which partition after each join and each leave, with the consumers of librdkafka.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    consumer::BaseConsumer,
};
use serde_json::{Value, json};

use super::{keys, members, members::Member, part};
use crate::brokers::Brokers;

const AT_ONCE: usize = 12;

/// Assignor, partitions, events: `+A` joins, `-A` leaves.
type Case = (String, i32, String);

pub async fn play(brokers: &Brokers, inputs: &[Value]) -> Result<Vec<Value>> {
    let servers = brokers.variable("KAFKA_BOOTSTRAP_SERVERS")?;
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .create()?;
    let cases = inputs.iter().map(part).collect::<Result<Vec<Case>>>()?;
    let topics: Vec<_> = (0..cases.len())
        .map(|n| format!("trace-groups.{n}"))
        .collect();
    keys::create(&admin, cases.iter().map(|case| case.1).zip(&topics)).await?;
    let played = cases.into_iter().zip(&topics).map(|(case, topic)| {
        let (servers, topic) = (servers.to_owned(), topic.clone());
        async move {
            let played = tokio::task::spawn_blocking(move || {
                play_one(&servers, &topic, &case).with_context(|| format!("{case:?}"))
            });
            played.await?
        }
    });
    let results = stream::iter(played).buffered(AT_ONCE).try_collect().await?;
    let names: Vec<_> = topics.iter().map(String::as_str).collect();
    admin.delete_topics(&names, &AdminOptions::new()).await?;
    Ok(results)
}

fn play_one(servers: &str, topic: &str, (assignor, count, events): &Case) -> Result<Value> {
    let watch: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .create()?;
    let mut group: BTreeMap<String, Member> = BTreeMap::new();
    let mut results = Vec::new();
    for event in events.split_whitespace() {
        let (event, name) = event.split_at(1);
        match event {
            "+" => {
                let mut config = members::config(servers, topic, name, assignor);
                // A member hears of a rebalance with its next heartbeat.
                config.set("heartbeat.interval.ms", "300");
                group.insert(name.to_owned(), Member::join(&config, topic)?);
            }
            _ => drop(group.remove(name)),
        }
        let names: Vec<_> = group.keys().cloned().collect();
        results.push(members::shown(&members::at_rest(
            &watch, topic, &names, *count,
        )?));
    }
    Ok(json!(results))
}
