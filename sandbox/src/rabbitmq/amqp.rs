//! As much of AMQP 0-9-1 as a health check needs: the greeting with which a broker opens every
//! connection, and the properties in it.

use std::io::{Read, Write};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::net::connect;

/// What a broker says in its greeting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Greeting {
    pub product: String,
    pub version: String,
    pub cluster: String,
}

/// Opens a connection, reads the greeting and goes away; each step may take `limit`.
pub(crate) fn greet(host: &str, port: u16, limit: Duration) -> Result<Greeting> {
    let mut stream = connect(host, port, limit)?;
    stream
        .write_all(b"AMQP\0\0\x09\x01")
        .context("sending the protocol header")?;
    let mut header = [0; 7];
    stream.read_exact(&mut header).context("no AMQP greeting")?;
    let length = u32::from_be_bytes([header[3], header[4], header[5], header[6]]);
    ensure!(
        header[0] == 1 && length < 1 << 16,
        "no AMQP 0-9-1 is spoken there"
    );
    let mut payload = vec![0; usize::try_from(length)?];
    stream
        .read_exact(&mut payload)
        .context("the AMQP greeting is cut off")?;
    read_greeting(&payload)
}

/// Connection.Start: class 10, method 10, two version bytes, a table of properties.
fn read_greeting(payload: &[u8]) -> Result<Greeting> {
    let rest = payload
        .strip_prefix(&[0, 10, 0, 10])
        .context("not an AMQP greeting")?;
    let (_version, mut rest) = rest
        .split_at_checked(2)
        .context("the greeting is cut off")?;
    let mut table = long_bytes(&mut rest)?;
    let mut greeting = Greeting::default();
    while !table.is_empty() {
        let (length, after) = table.split_first().context("the greeting is cut off")?;
        let (name, mut value) = after
            .split_at_checked(usize::from(*length))
            .context("the greeting is cut off")?;
        let (kind, after) = value.split_first().context("the greeting is cut off")?;
        value = after;
        let text = match kind {
            b'S' | b'F' => long_bytes(&mut value)?,
            b't' => {
                value = value.get(1..).context("the greeting is cut off")?;
                &[]
            }
            // RabbitMQ sends no other types here; what follows can't be read without knowing them.
            _ => break,
        };
        let text = String::from_utf8_lossy(text).into_owned();
        match name {
            b"product" => greeting.product = text,
            b"version" => greeting.version = text,
            b"cluster_name" => greeting.cluster = text,
            _ => {}
        }
        table = value;
    }
    Ok(greeting)
}

fn long_bytes<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8]> {
    let (length, after) = rest
        .split_at_checked(4)
        .context("the greeting is cut off")?;
    let length = u32::from_be_bytes(length.try_into()?);
    let (bytes, after) = after
        .split_at_checked(usize::try_from(length)?)
        .context("the greeting is cut off")?;
    *rest = after;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload() -> Vec<u8> {
        let table = b"\x0ccapabilitiesF\0\0\0\x04\x01at\x01\x07productS\0\0\0\x08RabbitMQ\x07versionS\0\0\0\x054.3.6";
        let length = u32::try_from(table.len()).unwrap().to_be_bytes();
        [b"\0\x0a\0\x0a\0\x09", length.as_slice(), table].concat()
    }

    #[test]
    fn reads_product_and_version() {
        let greeting = read_greeting(&payload()).unwrap();
        assert_eq!(
            (greeting.product.as_str(), greeting.version.as_str()),
            ("RabbitMQ", "4.3.6")
        );
    }

    #[test]
    fn a_greeting_cut_off_anywhere_is_an_error() {
        let payload = payload();
        for length in 0..payload.len() {
            assert!(
                read_greeting(&payload[..length]).is_err(),
                "{length} bytes were enough"
            );
        }
    }
}
