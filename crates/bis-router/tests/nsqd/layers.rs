//! TLS, snappy and deflate: negotiated, put on in nsqd's order, and used for everything after.

use std::io::{Read, Write};
use std::time::Duration;

use bis_nsq::{Command, Frame};
use bis_router::{ClientCertificates, TlsRequired};
use serde_json::json;

use crate::against_both;
use crate::support::layers::{Certificates, LayeredClient, Layers};
use crate::support::name;
use crate::support::peer::{Peer, Server, Settings, TlsSettings};

against_both! {
    every_combination_carries_messages,
    both_compressions_are_refused,
    what_is_switched_off_is_not_granted,
    the_level_of_deflate_is_bounded,
    tls_can_be_required,
    any_certificate_can_be_required,
    a_signed_certificate_can_be_required,
    without_a_certificate_there_is_no_tls,
    statistics_show_the_layers,
    what_comes_before_the_end_of_deflate_is_carried_out,
    what_comes_before_a_bad_piece_is_carried_out,
    what_comes_before_a_broken_record_is_carried_out,
    what_is_settled_before_a_reset_is_settled,
}

fn with_tls(certificates: &Certificates) -> Settings {
    let tls = TlsSettings {
        certificate: certificates.path("server.pem"),
        key: certificates.path("server.key"),
        root_ca: certificates.path("ca.pem"),
        required: TlsRequired::No,
        client_certificates: ClientCertificates::NotAsked,
    };
    Settings { tls: Some(tls), ..Settings::default() }
}

fn every_combination_carries_messages(peer: Peer) {
    let certificates = Certificates::new();
    let server = peer.start_with(&with_tls(&certificates));
    let tls = certificates.client(None);
    // Noise that does not shrink, a body that does, and the smallest.
    let noise: Vec<u8> = (0..200_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let bodies = [noise, vec![b'x'; 700_000], b"\n".to_vec()];
    for (tls, snappy, deflate) in [
        (None, false, None),
        (None, true, None),
        (None, false, Some(0)),
        (Some(tls.clone()), false, None),
        (Some(tls.clone()), true, None),
        (Some(tls), false, Some(3)),
    ] {
        let layers = Layers { tls, snappy, deflate };
        let mut client = LayeredClient::connect(server.tcp, &layers).unwrap();
        assert_eq!(client.granted["tls_v1"], layers.tls.is_some());
        assert_eq!(client.granted["snappy"], layers.snappy);
        assert_eq!(client.granted["deflate"], layers.deflate.is_some());
        client.send(&Command::Subscribe { topic: name("orders"), channel: name("ship"), ordered: false });
        assert_eq!(client.response(), "OK");
        client.send(&Command::Ready(1));
        for body in &bodies {
            client.send(&Command::Publish { topic: name("orders"), body: body.clone().into() });
            let (mut is_answered, mut id) = (false, None);
            while !is_answered || id.is_none() {
                match client.frame().unwrap() {
                    Frame::Response(data) => is_answered = &data[..] == b"OK",
                    Frame::Message(message) => {
                        assert!(message.body == body[..], "{} bytes", body.len());
                        id = Some(message.id);
                    }
                    Frame::Error(text) => panic!("{text:?}"),
                }
            }
            client.send(&Command::Finish(id.unwrap()));
        }
        client.send_raw(b"CLS\n");
        assert_eq!(client.response(), "CLOSE_WAIT");
        drop(client);
        server.becomes("orders", "client_count", 0);
        server.becomes("orders", "depth", 0);
    }
}

fn both_compressions_are_refused(peer: Peer) {
    let server = peer.start();
    let mut client = server.connect();
    let asked = client.identify(&json!({"feature_negotiation": true, "snappy": true, "deflate": true}));
    let text = "E_IDENTIFY_FAILED cannot enable both deflate and snappy compression";
    assert_eq!(asked.unwrap_err(), text);
    assert!(client.is_closed());
}

fn what_is_switched_off_is_not_granted(peer: Peer) {
    let server = peer.start_with(&Settings { snappy: false, deflate: false, ..Settings::default() });
    let layers = Layers { snappy: true, deflate: Some(6), ..Layers::default() };
    let mut client = LayeredClient::connect(server.tcp, &layers).unwrap();
    assert_eq!((&client.granted["snappy"], &client.granted["deflate"]), (&json!(false), &json!(false)));
    client.send(&Command::Publish { topic: name("orders"), body: "plain".into() });
    assert_eq!(client.response(), "OK");
}

fn the_level_of_deflate_is_bounded(peer: Peer) {
    let server = peer.start_with(&Settings { max_deflate_level: 4, ..Settings::default() });
    for (asked, granted) in [(1, 1), (4, 4), (9, 4), (0, 4)] {
        let layers = Layers { deflate: Some(asked), ..Layers::default() };
        let client = LayeredClient::connect(server.tcp, &layers).unwrap();
        assert_eq!(client.granted["deflate_level"], granted);
        assert_eq!(client.granted["max_deflate_level"], 4);
    }
    let plain = LayeredClient::connect(server.tcp, &Layers::default()).unwrap();
    assert_eq!(plain.granted["deflate_level"], 4, "it is said even to those who do not ask");
}

fn tls_can_be_required(peer: Peer) {
    let certificates = Certificates::new();
    let mut settings = with_tls(&certificates);
    settings.tls.as_mut().unwrap().required = TlsRequired::ExceptHttp;
    let server = peer.start_with(&settings);
    for (bytes, word) in [
        (&b"PUB orders\n\0\0\0\x01x"[..], "PUB"),
        (b"SUB orders ship\n", "SUB"),
        (b"NOP\n", "NOP"),
        (b"HELLO\n", "HELLO"),
    ] {
        let mut client = server.connect();
        client.send_raw(bytes);
        client.ends_with(&format!("E_INVALID cannot {word} in current state (TLS required)"));
    }
    let mut plain = LayeredClient::connect(server.tcp, &Layers::default()).unwrap();
    plain.send_raw(b"NOP\n");
    assert_eq!(plain.error(), "E_INVALID cannot NOP in current state (TLS required)");
    let layers = Layers { tls: Some(certificates.client(None)), ..Layers::default() };
    let mut client = LayeredClient::connect(server.tcp, &layers).unwrap();
    client.send(&Command::Publish { topic: name("orders"), body: "safe".into() });
    assert_eq!(client.response(), "OK");
}

fn any_certificate_can_be_required(peer: Peer) {
    let certificates = Certificates::new();
    let mut settings = with_tls(&certificates);
    settings.tls.as_mut().unwrap().client_certificates = ClientCertificates::Any;
    settings.tls.as_mut().unwrap().required = TlsRequired::ExceptHttp;
    let server = peer.start_with(&settings);
    for certificate in ["client", "client-own"] {
        let layers = Layers { tls: Some(certificates.client(Some(certificate))), ..Layers::default() };
        assert!(LayeredClient::connect(server.tcp, &layers).is_ok(), "{certificate}");
    }
    let layers = Layers { tls: Some(certificates.client(None)), ..Layers::default() };
    assert!(LayeredClient::connect(server.tcp, &layers).is_err());
}

fn a_signed_certificate_can_be_required(peer: Peer) {
    let certificates = Certificates::new();
    let mut settings = with_tls(&certificates);
    settings.tls.as_mut().unwrap().client_certificates = ClientCertificates::Verified;
    settings.tls.as_mut().unwrap().required = TlsRequired::ExceptHttp;
    let server = peer.start_with(&settings);
    for (certificate, is_accepted) in [(Some("client"), true), (Some("client-own"), false), (None, false)] {
        let layers = Layers { tls: Some(certificates.client(certificate)), ..Layers::default() };
        let connected = LayeredClient::connect(server.tcp, &layers);
        assert_eq!(connected.is_ok(), is_accepted, "{certificate:?}");
    }
}

fn without_a_certificate_there_is_no_tls(peer: Peer) {
    let server = peer.start();
    let layers = Layers { tls: Some(Certificates::new().client(None)), ..Layers::default() };
    let mut client = LayeredClient::connect(server.tcp, &layers).unwrap();
    assert_eq!(client.granted["tls_v1"], false);
    client.send(&Command::Publish { topic: name("orders"), body: "plain".into() });
    assert_eq!(client.response(), "OK");
}

fn statistics_show_the_layers(peer: Peer) {
    let certificates = Certificates::new();
    let server = peer.start_with(&with_tls(&certificates));
    let layers = Layers { tls: Some(certificates.client(None)), snappy: true, deflate: None };
    let mut client = LayeredClient::connect(server.tcp, &layers).unwrap();
    client.send(&Command::Subscribe { topic: name("orders"), channel: name("ship"), ordered: false });
    assert_eq!(client.response(), "OK");
    let shown = server.channel("orders")["clients"][0].clone();
    assert_eq!(
        (&shown["tls"], &shown["snappy"], &shown["deflate"]),
        (&json!(true), &json!(true), &json!(false))
    );
    assert_eq!(shown["tls_version"], "TLS1.3");
    // nsqd 1.3.0 has no names for the suites of TLS 1.3.
    assert!(!shown["tls_cipher_suite"].as_str().unwrap().is_empty(), "{shown}");
    let protocol = (&shown["tls_negotiated_protocol"], &shown["tls_negotiated_protocol_is_mutual"]);
    assert_eq!(protocol, (&json!(""), &json!(true)));
    assert_eq!(shown["state"], 3);
    client.send_raw(b"CLS\n");
    assert_eq!(client.response(), "CLOSE_WAIT");
    assert_eq!(server.channel("orders")["clients"][0]["state"], 4);
    let layers = Layers { deflate: Some(6), ..Layers::default() };
    let mut client = LayeredClient::connect(server.tcp, &layers).unwrap();
    client.send(&Command::Subscribe { topic: name("parcels"), channel: name("ship"), ordered: false });
    assert_eq!(client.response(), "OK");
    let shown = server.channel("parcels")["clients"][0].clone();
    let told = (&shown["tls"], &shown["snappy"], &shown["deflate"], &shown["tls_version"]);
    assert_eq!(told, (&json!(false), &json!(false), &json!(true), &json!("")));
}

/// Negotiates a compression, sends these bytes, and returns what the server says after its reply, as it is.
fn say(server: &Server, compression: &str, bytes: &[u8]) -> Vec<u8> {
    let mut client = server.connect();
    client.identify(&json!({"feature_negotiation": true, compression: true})).unwrap();
    client.send_raw(bytes);
    client.rest()
}

const PUBLISH: &[u8] = b"PUB orders\n\0\0\0\x03one";
const TWO_OKS: &[u8] = b"\0\0\0\x06\0\0\0\0OK\0\0\0\x06\0\0\0\0OK";

fn deflated(bytes: &[u8]) -> flate2::write::DeflateEncoder<Vec<u8>> {
    let mut stream = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    stream.write_all(bytes).unwrap();
    stream.flush().unwrap();
    stream
}

fn inflated(bytes: &[u8]) -> Vec<u8> {
    let mut expanded = Vec::with_capacity(4096);
    let mut decompress = flate2::Decompress::new(false);
    decompress.decompress_vec(bytes, &mut expanded, flate2::FlushDecompress::Sync).unwrap();
    expanded
}

fn snapped(bytes: &[u8]) -> Vec<u8> {
    let mut stream = snap::write::FrameEncoder::new(Vec::new());
    stream.write_all(bytes).unwrap();
    stream.into_inner().unwrap()
}

fn what_comes_before_the_end_of_deflate_is_carried_out(peer: Peer) {
    let server = peer.start();
    let mut consumer = server.subscribe("orders", "ship", 2);
    let said = say(&server, "deflate", &deflated(PUBLISH).finish().unwrap());
    assert_eq!(inflated(&said), TWO_OKS);
    assert_eq!(consumer.message_finished().body, "one");

    // What a consumer settles as it goes.
    drop(consumer);
    server.becomes("orders", "client_count", 0);
    server.publish("orders", "two");
    let mut tcp = server.connect();
    tcp.identify(&json!({"feature_negotiation": true, "deflate": true})).unwrap();
    let mut stream = deflated(b"SUB orders ship\nRDY 1\n");
    tcp.send_raw(stream.get_ref());
    stream.get_mut().clear();
    server.becomes("orders", "in_flight_count", 1);
    let id = {
        let said = inflated(&tcp.some_bytes(2 * 10 + 10));
        let at = said.len() - 16 - 3;
        said[at..at + 16].to_vec()
    };
    stream.write_all(&[b"FIN ", &id[..], b"\n"].concat()).unwrap();
    tcp.send_raw(&stream.finish().unwrap());
    tcp.rest();
    server.becomes("orders", "depth", 0);
    server.becomes("orders", "client_count", 0);
    server.becomes("orders", "in_flight_count", 0);
    assert_eq!(server.channel("orders")["requeue_count"], 0);
}

fn what_comes_before_a_bad_piece_is_carried_out(peer: Peer) {
    let server = peer.start();
    let mut consumer = server.subscribe("orders", "ship", 2);
    let mut bytes = deflated(PUBLISH).get_ref().clone();
    bytes.extend([0x07; 64]);
    assert_eq!(inflated(&say(&server, "deflate", &bytes)), TWO_OKS);
    assert_eq!(consumer.message_finished().body, "one");

    let good = snapped(PUBLISH);
    let mut wrong = snapped(PUBLISH).split_off(10);
    *wrong.last_mut().unwrap() ^= 1;
    let said = say(&server, "snappy", &[good, wrong].concat());
    let mut expanded = Vec::new();
    snap::read::FrameDecoder::new(&said[..]).read_to_end(&mut expanded).unwrap();
    assert_eq!(expanded, TWO_OKS);
    assert_eq!(consumer.message_finished().body, "one");
    assert!(consumer.is_quiet(Duration::from_millis(100)), "the second was not whole");
}

fn what_comes_before_a_broken_record_is_carried_out(peer: Peer) {
    let certificates = Certificates::new();
    let server = peer.start_with(&with_tls(&certificates));
    let mut consumer = server.subscribe("orders", "ship", 2);
    let layers = Layers { tls: Some(certificates.client(None)), ..Layers::default() };
    let mut client = LayeredClient::connect(server.tcp, &layers).unwrap();
    client.send_with_garbage(PUBLISH, b"\x17\x03\x03\0\x20 this is no record of this session");
    assert_eq!(consumer.message_finished().body, "one");
}

/// The client goes without having read all that was sent to it.
fn what_is_settled_before_a_reset_is_settled(peer: Peer) {
    let server = peer.start();
    let mut consumer = server.subscribe("orders", "ship", 1);
    server.publish("orders", "one");
    server.publish("orders", "two");
    let message = consumer.message();
    // The second one comes, and is never read: the operating system resets the connection.
    let id = String::from_utf8(message.id.as_bytes().to_vec()).unwrap();
    consumer.send_raw(b"RDY 2\n");
    server.becomes("orders", "in_flight_count", 2);
    consumer.wait_for_bytes();
    consumer.send_raw(format!("FIN {id}\n").as_bytes());
    drop(consumer);
    server.becomes("orders", "client_count", 0);
    let mut next = server.subscribe("orders", "ship", 2);
    if peer == Peer::Router {
        assert_eq!(next.message_finished().body, "two");
    }
    assert!(next.is_quiet(Duration::from_millis(100)), "the first one was finished");
}
