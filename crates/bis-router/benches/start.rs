//! A backlog of 10 million messages of 200 bytes: how long a start takes, and how much memory it needs, before and after
//! a subscriber takes what it is given and does not answer.
//!
//! `cargo bench -p bis-router --bench start`; `BIS_START_MESSAGES` sets another number. It needs about 3 GB of disk in
//! the folder for temporary files.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command as Process;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bis_nsq::{Command, Frame, Name, decode_frame};
use bis_router::{Handle, Options, Router, SyncMode};
use bytes::BytesMut;

const MESSAGES: usize = 10_000_000;
const BODY: [u8; 200] = [b'x'; 200];
const AT_ONCE: usize = 10_000;
const FOLDER: &str = "BIS_START_FOLDER";

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if let Ok(folder) = std::env::var(FOLDER) {
        return runtime.block_on(measure(Path::new(&folder)));
    }
    let messages = std::env::var("BIS_START_MESSAGES").map_or(Ok(MESSAGES), |number| number.parse())?;
    let folder = tempfile::tempdir()?;
    runtime.block_on(fill(folder.path(), messages))?;
    // A process of its own, so that its memory is only the router's.
    let status = Process::new(std::env::current_exe()?).env(FOLDER, folder.path()).status()?;
    ensure!(status.success(), "the measured process failed: {status}");
    Ok(())
}

async fn start(folder: &Path, sync: SyncMode) -> Result<Handle> {
    let mut options = Options::new(folder);
    options.tcp_address.set_port(0);
    options.http_address.set_port(0);
    options.journal.sync = sync;
    Ok(Router::start(options).await?)
}

async fn fill(folder: &Path, messages: usize) -> Result<()> {
    let router = start(folder, SyncMode::None).await?;
    let address = router.tcp_address();
    let began = Instant::now();
    tokio::task::spawn_blocking(move || {
        let mut client = Client::connect(address)?;
        let mut left = messages;
        while left > 0 {
            let count = left.min(AT_ONCE);
            let bodies = std::iter::repeat_n(BODY, count).collect();
            client.send(&Command::MultiPublish { topic: Name::new("big")?, bodies })?;
            ensure!(matches!(client.frame()?, Frame::Response(_)), "a publish was refused");
            left -= count;
        }
        Ok(())
    })
    .await??;
    println!("{messages} messages published in {:.1} s", began.elapsed().as_secs_f64());
    // As after a kill: no clean stop makes this start short.
    std::mem::forget(router);
    let source = folder.to_owned();
    let lock = source.join("lock");
    std::fs::remove_file(lock).context("give the folder to another process")?;
    Ok(())
}

async fn measure(folder: &Path) -> Result<()> {
    let began = Instant::now();
    let router = start(folder, SyncMode::Always).await?;
    println!("ready after {:.3} s, {} MB resident", began.elapsed().as_secs_f64(), resident()?);
    let address = router.tcp_address();
    tokio::task::spawn_blocking(move || {
        let mut client = Client::connect(address)?;
        client.send(&Command::Subscribe {
            topic: Name::new("big")?,
            channel: Name::new("dead")?,
            ordered: false,
        })?;
        ensure!(matches!(client.frame()?, Frame::Response(_)), "the subscription was refused");
        client.send(&Command::Ready(2500))?;
        for _ in 0..2500 {
            ensure!(matches!(client.frame()?, Frame::Message(_)), "not a message");
        }
        println!("2500 messages with a subscriber that answers none: {} MB resident", resident()?);
        let mut reader = Client::connect(address)?;
        reader.send(&Command::Subscribe {
            topic: Name::new("big")?,
            channel: Name::new("dead")?,
            ordered: false,
        })?;
        ensure!(matches!(reader.frame()?, Frame::Response(_)), "the subscription was refused");
        reader.send(&Command::Ready(2500))?;
        let (began, mut count) = (Instant::now(), 0_u64);
        while began.elapsed() < Duration::from_secs(10) && count < 1_000_000 {
            if let Frame::Message(message) = reader.frame()? {
                reader.send(&Command::Finish(message.id))?;
                count += 1;
            }
        }
        let rate = count as f64 / began.elapsed().as_secs_f64();
        println!("{count} more read from the disk and finished, {rate:.0}/s: {} MB resident", resident()?);
        Ok(())
    })
    .await??;
    router.shutdown().await?;
    Ok(())
}

/// This process's resident memory, in MB.
fn resident() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes / 1024)
}

struct Client {
    stream: TcpStream,
    buffer: BytesMut,
}

impl Client {
    fn connect(address: SocketAddr) -> Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        stream.write_all(b"  V2")?;
        Ok(Self { stream, buffer: BytesMut::new() })
    }

    fn send(&mut self, command: &Command) -> Result<()> {
        let mut bytes = BytesMut::new();
        command.encode(&mut bytes);
        Ok(self.stream.write_all(&bytes)?)
    }

    fn frame(&mut self) -> Result<Frame> {
        loop {
            match decode_frame(&mut self.buffer, 8 * 1024 * 1024)? {
                Some(Frame::Response(data)) if &data[..] == b"_heartbeat_" => self.send(&Command::Nop)?,
                Some(frame) => return Ok(frame),
                None => {
                    let mut chunk = [0; 64 * 1024];
                    let count = self.stream.read(&mut chunk)?;
                    ensure!(count > 0, "the router closed the connection");
                    self.buffer.extend_from_slice(&chunk[..count]);
                }
            }
        }
    }
}
