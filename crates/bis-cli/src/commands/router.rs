//! `bis router`: the router alone, as a replacement for nsqd.

pub(crate) mod config;
mod notify;

use std::process::ExitCode;

use anyhow::{Context, Result};
use bis_router::{Handle, LogSwitch, Options, Router, StartError};
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::arguments::router::{Router as Arguments, address};
use crate::exit;
use crate::failure::Failure;
use crate::format::Format;
use crate::log;
use crate::print::{self, BOLD, CYAN};
use crate::run::warn_of_damage;

/// The default HTTPS address when there is a certificate.
const HTTPS_ADDRESS: &str = "127.0.0.1:4152";

/// Runs a router until Ctrl-C or SIGTERM, or until it fails: its supervisor should start it again.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let switch = LogSwitch::new(arguments.log_level);
    log::start_router(&switch, arguments.log_format);
    let options = options(arguments, switch)?;
    for (flag, instead) in arguments.other.without_effect() {
        tracing::warn!(flag, instead, "an option of nsqd has no effect here");
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")?;
    runtime.block_on(serve(options, arguments.format))?;
    Ok(exit::DONE.into())
}

async fn serve(options: Options, format: Format) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for signals")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for signals")?;
    let data = options.journal.folder.display().to_string();
    let handle = tokio::select! {
        started = Router::start(options) => started.map_err(refused)?,
        () = either(&mut interrupt, &mut terminate) => return Ok(()),
    };
    warn_of_damage(&handle);
    announce(&handle, &data, format)?;
    notify::tell("READY=1");
    let failure = tokio::select! {
        () = either(&mut interrupt, &mut terminate) => None,
        failure = handle.failed() => Some(failure.to_string()),
    };
    notify::tell("STOPPING=1");
    let stopped = tokio::select! {
        stopped = handle.shutdown() => stopped,
        () = either(&mut interrupt, &mut terminate) => {
            return Err(Failure::new(exit::SURROUNDINGS, "ended at once by a second signal")
                .help("everything that was answered is there, and the next start recovers it")
                .into());
        }
    };
    if let Some(reason) = failure {
        if format == Format::Json {
            print::json_line(&json!({ "event": "failed", "reason": reason }))?;
        }
        // The error that the journal was not closed adds nothing.
        return Err(Failure::new(exit::SURROUNDINGS, format!("the router has failed: {reason}"))
            .help("look at the disk; the next start recovers what the data folder has")
            .into());
    }
    stopped.context("cannot stop the router")?;
    if format == Format::Json {
        print::json_line(&json!({ "event": "stopped" }))?;
    }
    Ok(())
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}

fn refused(error: StartError) -> anyhow::Error {
    match error {
        StartError::Bound(error) => Failure::new(exit::USAGE, error.to_string()).into(),
        StartError::Remote(error) => Failure::new(exit::USAGE, error.to_string())
            .help("see `--tls-required`, `--tls-client-auth-policy`, `--auth-http-address` and `--allow-remote`")
            .into(),
        error => anyhow::Error::new(error).context("cannot start the router"),
    }
}

fn announce(handle: &Handle, data: &str, format: Format) -> Result<()> {
    let (tcp, http) = (handle.tcp_address().to_string(), format!("http://{}", handle.http_address()));
    let https = handle.https_address().map(|address| format!("https://{address}"));
    if format == Format::Json {
        return Ok(print::json_line(
            &json!({ "event": "ready", "router": tcp, "router_http": http, "router_https": https, "data": data }),
        )?);
    }
    let https = https.as_deref().map(|https| ("https", https));
    for (name, value) in
        [("nsq", tcp.as_str()), ("http", &http)].into_iter().chain(https).chain([("data", data)])
    {
        anstream::eprintln!("  {BOLD}{name:<6}{BOLD:#}{CYAN}{value}{CYAN:#}");
    }
    Ok(())
}

fn options(arguments: &Arguments, switch: LogSwitch) -> Result<Options> {
    if arguments.other.wants_statsd() {
        return Err(Failure::new(
            exit::USAGE,
            "`--statsd-address` cannot be had: nothing is sent to a statsd",
        )
        .help("let Prometheus read `/metrics` at the HTTP address, and leave the option out")
        .into());
    }
    let mut options = Options::new(&arguments.data_path);
    options.log = switch;
    options.tcp_address = arguments.tcp_address;
    options.http_address = arguments.http_address;
    let default = arguments.tls_cert.as_ref().map(|_| HTTPS_ADDRESS);
    let https = arguments.https_address.as_deref().or(default).filter(|text| !text.is_empty());
    let parsed = https.map(address).transpose();
    options.https_address = parsed.map_err(|error| Failure::new(exit::USAGE, error))?;
    options.allow_remote = arguments.allow_remote;
    options.journal.sync = arguments.sync;
    set(&mut options.journal.segment_bytes, arguments.max_bytes_per_file);
    set(&mut options.journal.retention, arguments.retention);
    set(&mut options.journal.retention_bytes, arguments.retention_bytes);
    options.journal.backlog.bytes = arguments.backlog_bytes;
    set(&mut options.journal.backlog.policy, arguments.backlog_policy);
    set(&mut options.journal.dedup_window, arguments.dedup_window);
    set(&mut options.max_message_bytes, arguments.max_msg_size);
    set(&mut options.max_body_bytes, arguments.max_body_size);
    set(&mut options.message_timeout, arguments.msg_timeout);
    set(&mut options.max_message_timeout, arguments.max_msg_timeout);
    set(&mut options.max_requeue_delay, arguments.max_req_timeout);
    set(&mut options.max_ready_count, arguments.max_rdy_count);
    options.max_channel_consumers = arguments.max_channel_consumers.filter(|count| *count > 0);
    set(&mut options.max_heartbeat_interval, arguments.max_heartbeat_interval);
    set(&mut options.max_output_buffer_bytes, arguments.max_output_buffer_size);
    set(&mut options.max_output_buffer_timeout, arguments.max_output_buffer_timeout);
    set(&mut options.min_output_buffer_timeout, arguments.min_output_buffer_timeout);
    set(&mut options.output_buffer_timeout, arguments.output_buffer_timeout);
    options.tls.certificate.clone_from(&arguments.tls_cert);
    options.tls.key.clone_from(&arguments.tls_key);
    options.tls.root_ca.clone_from(&arguments.tls_root_ca_file);
    set(&mut options.tls.client_certificates, arguments.tls_client_auth_policy);
    set(&mut options.tls.required, arguments.tls_required);
    set(&mut options.tls.min_version, arguments.tls_min_version);
    set(&mut options.compression.deflate, arguments.deflate);
    set(&mut options.compression.max_deflate_level, arguments.max_deflate_level);
    set(&mut options.compression.snappy, arguments.snappy);
    options.auth.addresses.clone_from(&arguments.auth_http_address);
    set(&mut options.auth.method, arguments.auth_http_request_method);
    for timeout in [&mut options.auth.connect_timeout, &mut options.lookup.connect_timeout] {
        set(timeout, arguments.http_client_connect_timeout);
    }
    for timeout in [&mut options.auth.request_timeout, &mut options.lookup.request_timeout] {
        set(timeout, arguments.http_client_request_timeout);
    }
    options.lookup.tcp_addresses.clone_from(&arguments.lookupd_tcp_address);
    options.lookup.broadcast_address.clone_from(&arguments.broadcast_address);
    options.lookup.broadcast_tcp_port = arguments.broadcast_tcp_port.filter(|port| *port > 0);
    options.lookup.broadcast_http_port = arguments.broadcast_http_port.filter(|port| *port > 0);
    Ok(options)
}

fn set<T>(option: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *option = value;
    }
}
