//! The router with one client over TCP: a publish, its answer, its delivery and its end, one after the other.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

use anyhow::{Result, ensure};
use bis_router::{Options, Router, SyncMode};

const BODY_BYTES: usize = 200;
/// Length, kind, time, attempts and id come before a message's body.
const MESSAGE_HEAD: usize = 4 + 4 + 8 + 2 + 16;
/// A frame that says `OK`.
const OK_BYTES: usize = 4 + 4 + 2;

pub fn run(count: usize) -> Result<()> {
    let folder = tempfile::TempDir::new()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut options = Options::new(folder.path());
        options.tcp_address.set_port(0);
        options.http_address.set_port(0);
        // Whether the disk is fast does not change a count; the test should not wait for it.
        options.journal.sync = SyncMode::None;
        let router = Router::start(options).await?;
        let address = router.tcp_address();
        tokio::task::spawn_blocking(move || converse(address, count)).await??;
        router.shutdown().await?;
        Ok(())
    })
}

fn converse(address: SocketAddr, count: usize) -> Result<()> {
    let mut publisher = TcpStream::connect(address)?;
    let mut consumer = TcpStream::connect(address)?;
    for stream in [&publisher, &consumer] {
        stream.set_nodelay(true)?;
    }
    publisher.write_all(b"  V2")?;
    consumer.write_all(b"  V2SUB samples arrive\n")?;
    answered(&mut consumer)?;
    consumer.write_all(b"RDY 1\n")?;

    let mut publish = b"PUB samples\n".to_vec();
    publish.extend_from_slice(&u32::try_from(BODY_BYTES)?.to_be_bytes());
    publish.extend_from_slice(&[b'x'; BODY_BYTES]);
    let mut message = [0; MESSAGE_HEAD + BODY_BYTES];
    let mut finish = *b"FIN 0123456789abcdef\n";
    for _ in 0..count {
        publisher.write_all(&publish)?;
        answered(&mut publisher)?;
        consumer.read_exact(&mut message)?;
        ensure!(message[7] == 2, "the frame is not a message");
        finish[4..20].copy_from_slice(&message[18..34]);
        consumer.write_all(&finish)?;
    }
    Ok(())
}

fn answered(stream: &mut TcpStream) -> Result<()> {
    let mut answer = [0; OK_BYTES];
    stream.read_exact(&mut answer)?;
    ensure!(answer.ends_with(b"OK"), "the router refuses: {}", String::from_utf8_lossy(&answer));
    Ok(())
}
