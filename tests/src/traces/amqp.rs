//! RabbitMQ as the recorders of traces use it.

use std::time::Duration;

use anyhow::{Context, Error, Result, bail};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    uri::AMQPUri,
};
use tokio::time::timeout;

use crate::brokers::Brokers;

/// How long the broker may take for one answer.
const LIMIT: Duration = Duration::from_secs(10);

pub async fn connect(brokers: &Brokers) -> Result<Connection> {
    let uri: AMQPUri = brokers
        .variable("AMQP_URL")?
        .parse()
        .map_err(Error::msg)
        .context("AMQP_URL is no AMQP address")?;
    let connecting = Connection::connect_uri(uri, ConnectionProperties::default());
    let connected = timeout(LIMIT, connecting).await;
    Ok(connected.context("RabbitMQ does not answer")??)
}

/// A channel with publisher confirms.
pub async fn channel(connection: &Connection) -> Result<Channel> {
    let channel = connection.create_channel().await?;
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await?;
    Ok(channel)
}

/// Publishes a message: whether it came back, and whether it was confirmed.
pub async fn publish(
    channel: &Channel,
    exchange: &str,
    key: &str,
    body: &str,
    properties: BasicProperties,
    mandatory: bool,
) -> Result<(bool, bool)> {
    let options = BasicPublishOptions {
        mandatory,
        ..Default::default()
    };
    let confirm = async {
        channel
            .basic_publish(
                exchange.into(),
                key.into(),
                options,
                body.as_bytes(),
                properties,
            )
            .await?
            .await
    };
    let confirmation = timeout(LIMIT, confirm).await.context("no confirm")??;
    match confirmation {
        Confirmation::Ack(returned) => Ok((returned.is_some(), true)),
        Confirmation::Nack(returned) => Ok((returned.is_some(), false)),
        Confirmation::NotRequested => bail!("the channel does not confirm"),
    }
}
