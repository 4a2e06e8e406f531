//! NSQ's tools over every transport that can be negotiated, and against a broker that requires TLS, a certificate or a
//! secret.

use bis_conformance::Missing;

use crate::broker::{Broker, nsqadmin};
use crate::certificates::Certificates;
use crate::http::{Server, request};
use crate::peers::{find, with_peers};
use crate::program::{LIMIT, Program, wait_until};

/// How many messages are read.
const COUNT: usize = 300;

/// nsq_tail, reading `COUNT` messages of this topic with these options of its client.
fn tail(broker: &Broker, topic: &str, options: &[String]) -> Result<Program, Missing> {
    let arguments = [
        format!("--topic={topic}"),
        "--channel=tail".to_owned(),
        format!("--nsqd-tcp-address={}", broker.tcp),
    ];
    let options = options.iter().map(|option| format!("--consumer-opt={option}"));
    Ok(Program::start(find("nsq_tail")?, arguments.into_iter().chain(options)))
}

/// Waits for the error that a tool prints; it showed no message.
fn expect_refusal(tool: &Program, reason: &str) {
    tool.wait_for(reason, |line| line.contains(reason).then_some(()));
    assert!(tool.stdout().is_empty(), "{}", tool.log());
}

#[test]
fn messages_come_over_every_transport() {
    with_peers("messages_come_over_every_transport", || {
        let certificates = Certificates::new();
        let broker = Broker::start(&certificates.flags())?;
        let tls = ["tls_v1,true".to_owned(), format!("tls_root_ca_file,{}", certificates.file("ca.pem"))];
        let transports: [(&str, bool, Option<&str>); 5] = [
            ("tls", true, None),
            ("snappy", false, Some("snappy,true")),
            ("deflate", false, Some("deflate,true")),
            ("tls_snappy", true, Some("snappy,true")),
            ("tls_deflate", true, Some("deflate,true")),
        ];
        for (topic, with_tls, compression) in transports {
            let mut bodies = broker.publish(topic, 0..COUNT);
            let mut options: Vec<String> = compression.iter().map(ToString::to_string).collect();
            if with_tls {
                options.extend_from_slice(&tls);
            }
            let mut tail = tail(&broker, topic, &options)?;
            wait_until("all messages are read", || {
                tail.stdout().len() >= COUNT && broker.is_drained(topic, "tail")
            });
            let client = broker.channel(topic, "tail")["clients"][0].clone();
            assert_eq!(client["tls"], with_tls, "{topic}: {client}");
            for compression in ["snappy", "deflate"] {
                assert_eq!(client[compression], topic.ends_with(compression), "{topic}: {client}");
            }
            let mut shown = tail.stdout();
            shown.sort();
            bodies.sort();
            assert_eq!(shown, bodies, "{topic}");
            tail.stop();
        }
        Ok(())
    });
}

#[test]
fn a_certificate_can_be_required() {
    with_peers("a_certificate_can_be_required", || {
        let certificates = Certificates::new();
        let mut flags = certificates.flags();
        flags.push("--tls-client-auth-policy=require-verify".to_owned());
        flags.push("--tls-required=tcp-https".to_owned());
        let broker = Broker::start(&flags)?;
        broker.publish("news", 0..COUNT);
        let tls = vec!["tls_v1,true".to_owned(), format!("tls_root_ca_file,{}", certificates.file("ca.pem"))];
        for (refusal, options) in [
            ("cannot SUB in current state (TLS required)", &[][..]),
            ("failed to IDENTIFY - remote error: tls: ", &tls[..]),
        ] {
            expect_refusal(&tail(&broker, "news", options)?, refusal);
        }
        let client = ["cert", "key"].map(|kind| {
            let ending = if kind == "cert" { "pem" } else { "key" };
            format!("tls_{kind},{}", certificates.file(&format!("client.{ending}")))
        });
        let options: Vec<String> = client.into_iter().chain(tls).collect();
        let mut tail = tail(&broker, "news", &options)?;
        wait_until("all messages are read", || tail.stdout().len() == COUNT);
        tail.stop();
        Ok(())
    });
}

#[test]
fn nsqadmin_follows_to_https_where_tls_is_required() {
    with_peers("nsqadmin_follows_to_https_where_tls_is_required", || {
        let certificates = Certificates::new();
        let mut flags = certificates.flags();
        flags.push("--broadcast-address=127.0.0.1".to_owned());
        flags.push("--tls-required=true".to_owned());
        let broker = Broker::start(&flags)?;
        let refused = broker.post("/topic/create?topic=news", b"");
        assert_eq!(refused.status, 403, "{refused:?}");
        let (_program, admin) = nsqadmin(&[
            format!("--nsqd-http-address={}", broker.http),
            format!("--http-client-tls-root-ca-file={}", certificates.file("ca.pem")),
        ])?;
        // Over NSQ with TLS, since plain HTTP is closed.
        let arguments = ["--topic=news", "--producer-opt=tls_v1,true"].map(str::to_owned);
        let more = [
            format!("--producer-opt=tls_root_ca_file,{}", certificates.file("ca.pem")),
            format!("--nsqd-tcp-address={}", broker.tcp),
        ];
        let mut command = std::process::Command::new(find("to_nsq")?);
        command.args(arguments.iter().chain(&more));
        let mut publisher = Program::spawn(command, b"one\ntwo\n");
        assert!(publisher.wait(LIMIT).is_some_and(|status| status.success()), "{}", publisher.log());
        let topic = request(&admin, "GET", "/api/topics/news", b"").json();
        assert_eq!(topic["message_count"], 2, "{topic}");
        let reply = request(&admin, "POST", "/api/topics/news", br#"{"action":"empty"}"#).json();
        assert_eq!(reply["message"], "");
        assert_eq!(request(&admin, "GET", "/api/topics/news", b"").json()["depth"], 0);
        Ok(())
    });
}

#[test]
fn a_secret_opens_what_it_is_for() {
    with_peers("a_secret_opens_what_it_is_for", || {
        let authority = Server::start(
            r#"{"ttl":60,"identity":"reader","authorizations":
            [{"permissions":["subscribe"],"topic":"^open$","channels":[".*"]}]}"#,
        );
        let broker = Broker::start(&[format!("--auth-http-address={}", authority.address)])?;
        broker.publish("open", 0..COUNT);
        broker.publish("closed", 0..COUNT);
        let secret = ["auth_secret,secret".to_owned()];
        expect_refusal(&tail(&broker, "open", &[])?, "Auth Required");
        let refusal = "E_UNAUTHORIZED AUTH failed for SUB on \"closed\" \"tail\"";
        expect_refusal(&tail(&broker, "closed", &secret)?, refusal);
        let mut tail = tail(&broker, "open", &secret)?;
        wait_until("all messages are read", || tail.stdout().len() == COUNT);
        let client = broker.channel("open", "tail")["clients"][0].clone();
        assert_eq!(
            (&client["authed"], &client["auth_identity"]),
            (&true.into(), &"reader".into()),
            "{client}"
        );
        tail.stop();
        Ok(())
    });
}
