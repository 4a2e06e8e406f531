//! `/config/...`: options by nsqd's names, in nsqd's encoding. Two can be changed while the router runs.

use std::path::Path as File;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Request, State as Extract};
use serde_json::{Value, json};

use super::{Reply, bad, json_reply, read, too_large, versioned};
use crate::options::{ClientCertificates, LogLevel, TlsRequired, TlsVersion, shown};
use crate::server::Server;

/// `GET /config/...`
pub(super) async fn show(Extract(server): Extract<Arc<Server>>, Path(option): Path<String>) -> Reply {
    match value(&server, &option) {
        Some(Value::String(text)) => Ok(versioned(text)),
        Some(value) => Ok(json_reply(&value)),
        None => Err(bad("INVALID_OPTION")),
    }
}

/// `PUT /config/...`: answers with the new value.
pub(super) async fn change(
    Extract(server): Extract<Arc<Server>>,
    Path(option): Path<String>,
    request: Request,
) -> Reply {
    let body = read(&server, request.into_body(), server.options.max_message_bytes, "INVALID_VALUE").await?;
    if body.is_empty() {
        return Err(too_large("INVALID_VALUE"));
    }
    match option.as_str() {
        "nsqlookupd_tcp_addresses" => {
            // As Go reads it: `null` is not a list, and an empty text in one.
            let addresses: Option<Vec<Option<String>>> =
                serde_json::from_slice(&body).map_err(|_| bad("INVALID_VALUE"))?;
            let addresses = addresses.map(|list| list.into_iter().map(Option::unwrap_or_default).collect());
            server.lookup_addresses.send_replace(addresses);
        }
        "log_level" => {
            let level = std::str::from_utf8(&body).ok().and_then(|word| word.parse::<LogLevel>().ok());
            server.options.log.set(level.ok_or_else(|| bad("INVALID_VALUE"))?);
        }
        _ => return Err(bad("INVALID_OPTION")),
    }
    show(Extract(server), Path(option)).await
}

/// An option's value as nsqd encodes it: durations as nanoseconds, words that it keeps as numbers as these.
fn value(server: &Server, option: &str) -> Option<Value> {
    let options = &server.options;
    let (tls, auth, lookup) = (&options.tls, &options.auth, &options.lookup);
    let nanos = |duration: Duration| json!(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    let path = |path: Option<&File>| json!(path.map(|path| path.display().to_string()).unwrap_or_default());
    Some(match option {
        "log_level" => json!(options.log.level() as u8),
        "tcp_address" => json!(options.tcp_address.to_string()),
        "http_address" => json!(options.http_address.to_string()),
        "https_address" => {
            json!(options.https_address.map(|address| address.to_string()).unwrap_or_default())
        }
        "broadcast_address" => json!(server.broadcast_address()),
        "broadcast_tcp_port" => json!(server.broadcast_tcp_port()),
        "broadcast_http_port" => json!(server.broadcast_http_port()),
        "nsqlookupd_tcp_addresses" => json!(*server.lookup_addresses.borrow()),
        "auth_http_addresses" => {
            json!(auth.addresses.iter().map(|address| shown(address)).collect::<Vec<_>>())
        }
        "http_client_connect_timeout" => nanos(lookup.connect_timeout),
        "http_client_request_timeout" => nanos(lookup.request_timeout),
        "data_path" => path(Some(&options.journal.folder)),
        "max_bytes_per_file" => json!(options.journal.segment_bytes),
        "msg_timeout" => nanos(options.message_timeout),
        "max_msg_timeout" => nanos(options.max_message_timeout),
        "max_msg_size" => json!(options.max_message_bytes),
        "max_body_size" => json!(options.max_body_bytes),
        "max_req_timeout" => nanos(options.max_requeue_delay),
        "max_heartbeat_interval" => nanos(options.max_heartbeat_interval),
        "max_rdy_count" => json!(options.max_ready_count),
        "max_output_buffer_size" => json!(options.max_output_buffer_bytes),
        "max_output_buffer_timeout" => nanos(options.max_output_buffer_timeout),
        "min_output_buffer_timeout" => nanos(options.min_output_buffer_timeout),
        "output_buffer_timeout" => nanos(options.output_buffer_timeout),
        "max_channel_consumers" => json!(options.max_channel_consumers.unwrap_or(0)),
        "tls_cert" => path(tls.certificate.as_deref()),
        "tls_key" => path(tls.key.as_deref()),
        "tls_root_ca_file" => path(tls.root_ca.as_deref()),
        "tls_client_auth_policy" => json!(match tls.client_certificates {
            ClientCertificates::NotAsked => "",
            ClientCertificates::Any => "require",
            ClientCertificates::Verified => "require-verify",
        }),
        "tls_required" => json!(match tls.required() {
            TlsRequired::No => 0,
            TlsRequired::ExceptHttp => 1,
            TlsRequired::Yes => 2,
        }),
        "tls_min_version" => json!(match tls.min_version {
            TlsVersion::V1_2 => 0x0303,
            TlsVersion::V1_3 => 0x0304,
        }),
        "deflate" => json!(options.compression.deflate),
        "max_deflate_level" => json!(options.compression.max_deflate_level),
        "snappy" => json!(options.compression.snappy),
        _ => return None,
    })
}
