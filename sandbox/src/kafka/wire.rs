//! As much of Kafka's protocol as a health check needs: DescribeCluster and DescribeQuorum, one
//! request and one answer each. (A client library would take a C toolchain or a big build.)

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::net::connect;

const DESCRIBE_QUORUM: i16 = 55;
const DESCRIBE_CLUSTER: i16 = 60;
/// Far more than any answer to these two: what is larger comes from something else.
const LARGEST_ANSWER: i32 = 1 << 20;

/// What a cluster says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cluster {
    pub id: String,
    /// The node that leads the metadata quorum, or the one that the broker calls controller where
    /// the quorum may not be asked.
    pub controller: i32,
    pub nodes: Vec<Node>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub id: i32,
    pub host: String,
    pub port: i32,
}

/// Asks the broker at `host`:`port`; connecting and each answer may take `limit`.
pub(crate) fn describe(host: &str, port: u16, limit: Duration) -> Result<Cluster> {
    let mut stream = connect(host, port, limit)?;
    let answer =
        exchange(&mut stream, DESCRIBE_CLUSTER, &[0, 0]).context("no answer to DescribeCluster")?;
    let mut cluster = read_cluster(&answer)?;
    if let Some(leader) = quorum_leader(&mut stream) {
        cluster.controller = leader;
    }
    Ok(cluster)
}

/// The node that leads the quorum of the cluster's metadata; `None` where it may not be asked.
fn quorum_leader(stream: &mut TcpStream) -> Option<i32> {
    let mut request = vec![2];
    put_string(&mut request, "__cluster_metadata");
    request.push(2);
    request.extend(0_i32.to_be_bytes());
    request.extend([0, 0, 0]);
    read_leader(&exchange(stream, DESCRIBE_QUORUM, &request).ok()?).ok()
}

/// Sends a request (version 0, flexible header) and returns the answer after its header.
fn exchange(stream: &mut TcpStream, api: i16, body: &[u8]) -> Result<Vec<u8>> {
    let client = b"sandbox";
    let mut request = Vec::new();
    request.extend(api.to_be_bytes());
    request.extend(0_i16.to_be_bytes());
    request.extend(i32::from(api).to_be_bytes());
    request.extend([0, 7]);
    request.extend(client);
    request.push(0);
    request.extend(body);
    let length = i32::try_from(request.len()).context("the request is too long")?;
    stream.write_all(&[&length.to_be_bytes(), request.as_slice()].concat())?;

    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = i32::from_be_bytes(length);
    ensure!(
        (5..LARGEST_ANSWER).contains(&length),
        "not Kafka's protocol"
    );
    let mut answer = vec![0; usize::try_from(length)?];
    stream.read_exact(&mut answer)?;
    let mut reader = Reader(&answer);
    ensure!(
        reader.int32()? == i32::from(api),
        "the answer is to another request"
    );
    reader.tags()?;
    Ok(reader.0.to_vec())
}

fn put_string(request: &mut Vec<u8>, text: &str) {
    // Shorter than 127 bytes: its length plus one is a varint of one byte.
    request.push(u8::try_from(text.len() + 1).unwrap_or(1));
    request.extend(text.as_bytes());
}

fn read_cluster(answer: &[u8]) -> Result<Cluster> {
    let mut reader = Reader(answer);
    let _throttle = reader.int32()?;
    let error = reader.int16()?;
    let message = reader.string()?;
    ensure!(
        error == 0,
        "Kafka answers error {error} {}",
        message.unwrap_or_default()
    );
    let id = reader.string()?.unwrap_or_default();
    let controller = reader.int32()?;
    let mut nodes = Vec::new();
    for _ in 0..reader.length()? {
        let id = reader.int32()?;
        let host = reader.string()?.unwrap_or_default();
        let port = reader.int32()?;
        let _rack = reader.string()?;
        reader.tags()?;
        nodes.push(Node { id, host, port });
    }
    Ok(Cluster {
        id,
        controller,
        nodes,
    })
}

fn read_leader(answer: &[u8]) -> Result<i32> {
    let mut reader = Reader(answer);
    ensure!(reader.int16()? == 0, "the quorum may not be described");
    ensure!(reader.length()? == 1, "one topic was asked for");
    let _topic = reader.string()?;
    ensure!(reader.length()? == 1, "one partition was asked for");
    let _partition = reader.int32()?;
    ensure!(reader.int16()? == 0, "the partition may not be described");
    let leader = reader.int32()?;
    ensure!(leader >= 0, "there is no leader");
    Ok(leader)
}

/// Reads the types of Kafka's flexible messages; too short an answer is an error.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self
            .0
            .split_at_checked(count)
            .context("Kafka's answer is cut off")?;
        self.0 = rest;
        Ok(taken)
    }

    fn int16(&mut self) -> Result<i16> {
        Ok(i16::from_be_bytes(self.take(2)?.try_into()?))
    }

    fn int32(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.take(4)?.try_into()?))
    }

    fn varint(&mut self) -> Result<u32> {
        let mut value = 0;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.take(1)?[0];
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        bail!("not Kafka's protocol");
    }

    /// Lengths are sent plus one; zero is null.
    fn length(&mut self) -> Result<u32> {
        Ok(self.varint()?.saturating_sub(1))
    }

    fn string(&mut self) -> Result<Option<String>> {
        match self.varint()? {
            0 => Ok(None),
            length => {
                let bytes = self.take(usize::try_from(length - 1)?)?;
                Ok(Some(String::from_utf8_lossy(bytes).into_owned()))
            }
        }
    }

    fn tags(&mut self) -> Result<()> {
        for _ in 0..self.varint()? {
            let _tag = self.varint()?;
            let length = self.varint()?;
            self.take(usize::try_from(length)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Throttle, no error, no message, id "abc", controller 3, one node, operations, no tags.
    const CLUSTER: &[u8] =
        b"\0\0\0\0\0\0\0\x04abc\0\0\0\x03\x02\0\0\0\x07\x05host\0\0\x23\x84\0\0\x80\0\0\0\0";

    #[test]
    fn reads_a_cluster() {
        let node = Node {
            id: 7,
            host: "host".into(),
            port: 9092,
        };
        let expected = Cluster {
            id: "abc".into(),
            controller: 3,
            nodes: vec![node],
        };
        assert_eq!(read_cluster(CLUSTER).unwrap(), expected);
    }

    #[test]
    fn an_answer_cut_off_anywhere_is_an_error() {
        let needed = CLUSTER.len() - 5;
        for length in 0..needed {
            assert!(
                read_cluster(&CLUSTER[..length]).is_err(),
                "{length} bytes were enough"
            );
        }
    }

    #[test]
    fn an_error_of_the_broker_is_told() {
        let refused = b"\0\0\0\0\0\x1f\x07denied";
        let error = read_cluster(refused).unwrap_err().to_string();
        assert_eq!(error, "Kafka answers error 31 denied");
    }

    #[test]
    fn what_does_not_speak_kafka_is_an_error() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (mut peer, _) = listener.accept().unwrap();
            peer.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        });
        let error = describe("127.0.0.1", port, Duration::from_secs(5)).unwrap_err();
        assert!(
            format!("{error:#}").contains("not Kafka's protocol"),
            "{error:#}"
        );
        server.join().unwrap();
    }
}
