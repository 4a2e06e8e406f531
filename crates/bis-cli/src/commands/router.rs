//! `bis router`: the router alone, in nsqd's place.

use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use bis_core::parse_duration;
use bis_router::{Handle, Options, Router};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::arguments;
use crate::exit;
use crate::failure::Failure;
use crate::format::Format;
use crate::print::{self, BOLD, CYAN};
use crate::run::warn_of_damage;

/// Runs a router until Ctrl-C or SIGTERM, or until it fails: whoever supervises it should start it again.
pub(crate) fn run(arguments: &arguments::Router) -> Result<ExitCode> {
    let options = options(arguments)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")?;
    runtime.block_on(serve(options, arguments.format))?;
    Ok(exit::DONE.into())
}

async fn serve(options: Options, format: Format) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for signals")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for signals")?;
    let data = options.data_folder.display().to_string();
    let handle = Router::start(options).await.context("cannot start the router")?;
    warn_of_damage(&handle);
    announce(&handle, &data, format)?;
    let failure = tokio::select! {
        _ = interrupt.recv() => None,
        _ = terminate.recv() => None,
        failure = handle.failed() => Some(failure.to_string()),
    };
    let stopped = handle.shutdown().await;
    if let Some(reason) = failure {
        if format == Format::Json {
            print::json_line(&json!({ "event": "failed", "reason": reason }))?;
        }
        // That the journal was not closed says nothing new.
        return Err(Failure::new(exit::SURROUNDINGS, format!("the router has failed: {reason}"))
            .help("look at the disk; everything that was answered is there, and the next start recovers it")
            .into());
    }
    stopped.context("cannot stop the router")?;
    if format == Format::Json {
        print::json_line(&json!({ "event": "stopped" }))?;
    }
    Ok(())
}

fn announce(handle: &Handle, data: &str, format: Format) -> Result<()> {
    let (tcp, http) = (handle.tcp_address().to_string(), format!("http://{}", handle.http_address()));
    if format == Format::Json {
        return Ok(print::json_line(
            &json!({ "event": "ready", "router": tcp, "router_http": http, "data": data }),
        )?);
    }
    for (name, value) in [("nsq", tcp.as_str()), ("http", &http), ("data", data)] {
        anstream::eprintln!("  {BOLD}{name:<6}{BOLD:#}{CYAN}{value}{CYAN:#}");
    }
    Ok(())
}

fn options(arguments: &arguments::Router) -> Result<Options> {
    let mut options = Options::new(&arguments.data_path);
    options.tcp_address = address("--tcp-address", &arguments.tcp_address)?;
    options.http_address = address("--http-address", &arguments.http_address)?;
    options.allow_remote = arguments.allow_remote;
    options.sync = arguments
        .sync
        .parse()
        .map_err(|error: bis_router::SyncModeError| Failure::new(exit::USAGE, error.to_string()))?;
    set(&mut options.max_message_bytes, arguments.max_msg_size);
    set(&mut options.max_body_bytes, arguments.max_body_size);
    set(&mut options.max_ready_count, arguments.max_rdy_count);
    set(&mut options.message_timeout, duration("--msg-timeout", arguments.msg_timeout.as_deref())?);
    set(
        &mut options.max_message_timeout,
        duration("--max-msg-timeout", arguments.max_msg_timeout.as_deref())?,
    );
    set(&mut options.max_requeue_delay, duration("--max-req-timeout", arguments.max_req_timeout.as_deref())?);
    Ok(options)
}

fn set<T>(option: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *option = value;
    }
}

/// An address as nsqd takes it: `127.0.0.1:4150`, `localhost:4150`, or `:4150` for every interface.
fn address(flag: &str, text: &str) -> Result<SocketAddr> {
    if let Some(Ok(port)) = text.strip_prefix(':').map(str::parse) {
        return Ok((Ipv4Addr::UNSPECIFIED, port).into());
    }
    let found = text.to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
    found.ok_or_else(|| {
        Failure::new(exit::USAGE, format!("`{text}` is no address for `{flag}`"))
            .help("write it like `127.0.0.1:4150`")
            .into()
    })
}

fn duration(flag: &str, text: Option<&str>) -> Result<Option<Duration>> {
    let parsed = text.map(|text| {
        parse_duration(text).map_err(|error| Failure::new(exit::USAGE, format!("`{flag}`: {error}")))
    });
    Ok(parsed.transpose()?)
}
