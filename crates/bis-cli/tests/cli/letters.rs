//! Dead letters on a router: `bis dead` shows, resends and removes them. The letters are written by the test in
//! the format of an app.
#![expect(clippy::unwrap_used, reason = "a failure here is the failure of a test")]

use std::time::{Duration, SystemTime};

use bis_core::{DeadLetter, DeadReason, Envelope, EventId, SubscriptionName, TopicName};
use bis_nsq::client::{Consumer, Options};
use serde_json::{Value, json};

use crate::router::Router;
use crate::support::{bis, post};

const LIMIT: usize = 1024 * 1024;

/// A router with a store of dead letters, and a new app in the folder `app`.
struct Site {
    folder: tempfile::TempDir,
    router: Router,
}

impl Site {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let router = Router::start_with(&folder.path().join("data"), &[]);
        let made = bis().args(["new", "app"]).current_dir(folder.path()).output().unwrap();
        assert!(made.status.success());
        let site = Self { folder, router };
        site.channel("bis.dead", "store");
        site
    }

    fn post(&self, path: &str, body: &[u8]) {
        send(&self.router.http, path, body);
    }

    fn channel(&self, topic: &str, channel: &str) {
        post(self.router.http.parse().unwrap(), &format!("/topic/create?topic={topic}"), "").unwrap();
        let path = format!("/channel/create?topic={topic}&channel={channel}");
        post(self.router.http.parse().unwrap(), &path, "").unwrap();
    }

    fn keep(&self, letter: &DeadLetter) {
        keep(&self.router.http, letter);
    }

    fn app(&self) -> String {
        self.folder.path().join("app").display().to_string()
    }

    fn file(&self, text: &str) -> String {
        let path = self.folder.path().join("edited.json");
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// Takes one event of `order-placed`, as its subscription, and does `work` before it is finished.
    fn handle_one(&self, work: impl FnOnce(Envelope) + Send + 'static) -> std::thread::JoinHandle<()> {
        let address = self.router.tcp.clone();
        let (subscribed, is_subscribed) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let name = |name: &str| bis_nsq::Name::new(name).unwrap();
                let options = Options::new(address);
                let mut consumer = Consumer::start(options, name("order-placed"), name("ship"));
                consumer.subscribed().await.unwrap();
                subscribed.send(()).unwrap();
                let delivery = consumer.receive(1).await.unwrap().remove(0);
                work(Envelope::from_json(delivery.body().clone()).unwrap());
                delivery.finish().unwrap();
                consumer.handle().close().await;
            });
        });
        is_subscribed.recv().unwrap();
        thread
    }

    /// What a command prints, which must succeed.
    #[track_caller]
    fn ask(&self, arguments: &[&str]) -> Value {
        let output = self.router.run(arguments, b"");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// What a command prints on stderr, which must fail.
    #[track_caller]
    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.router.run(arguments, b"");
        assert!(!output.status.success(), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// The topics of all letters.
    fn letters(&self) -> Vec<String> {
        let listed = self.ask(&["dead", "ls"]);
        let letters = listed["letters"].as_array().unwrap().iter();
        letters.map(|letter| letter["topic"].as_str().unwrap().to_owned()).collect()
    }

    /// How many messages wait in a channel.
    fn depth(&self, topic: &str, channel: &str) -> i64 {
        let topics = self.router.topics();
        let topic = topics["topics"].as_array().unwrap().iter().find(|entry| entry["name"] == topic);
        let channels = topic.unwrap()["subscriptions"].as_array().unwrap();
        channels.iter().find(|entry| entry["name"] == channel).unwrap()["depth"].as_i64().unwrap()
    }
}

fn send(router: &str, path: &str, body: &[u8]) {
    post(router.parse().unwrap(), path, body).unwrap();
}

fn keep(router: &str, letter: &DeadLetter) {
    for message in letter.to_messages("/shop", None, LIMIT) {
        send(router, "/pub?topic=bis.dead", &message.to_json());
    }
}

/// The letter of a subscription `ship`.
fn letter(topic: &str, event: Envelope) -> DeadLetter {
    let topic = TopicName::parse(topic).unwrap();
    let ship = SubscriptionName::from_static("ship");
    DeadLetter::new(topic, ship, event, DeadReason::Exhausted, "no\nmore", 2, SystemTime::now())
}

/// An event without an envelope, numbered as in earlier builds: from 0 in every topic.
fn foreign(data: &str) -> Envelope {
    let data = data.to_owned().into_bytes().into();
    Envelope::foreign(EventId::from("0000000000000000"), SystemTime::UNIX_EPOCH, data)
}

#[test]
fn letters_of_different_events_with_one_id_are_resent_each() {
    let site = Site::start();
    for topic in ["orders", "refunds"] {
        site.channel(topic, "ship");
        site.keep(&letter(topic, foreign("1")));
    }
    // Another event, and the same dead letter again.
    site.keep(&letter("orders", foreign("2")));
    site.keep(&letter("orders", foreign("2")));
    assert_eq!(site.letters(), ["orders", "refunds", "orders"]);

    // Their event's id is ambiguous; two letters of their own ids are enough.
    let several = site.refused(&["dead", "resend", "0000000000000000"]);
    assert!(several.contains("several dead letters are `0000000000000000`"), "{several}");
    let listed = site.ask(&["dead", "ls"]);
    let id = listed["letters"][1]["id"].as_str().unwrap();
    assert_eq!(site.ask(&["dead", "show", &id[..6]])["topic"], "refunds");
    assert_eq!(site.ask(&["dead", "resend", &id[..6]])["resent"], json!([id]));
    assert_eq!(site.letters(), ["orders", "orders"]);

    let all = site.ask(&["dead", "resend", "--all"]);
    assert_eq!(all["resent"].as_array().unwrap().len(), 2);
    assert_eq!((site.depth("orders", "ship"), site.depth("refunds", "ship")), (2, 1));
    assert_eq!((site.letters().len(), site.depth("bis.dead", "store")), (0, 0));
}

#[test]
fn a_letter_of_a_large_event_is_shown_resent_and_removed_whole() {
    let site = Site::start();
    site.channel("orders", "ship");
    let data = format!("\"{}\"", "x".repeat(1_048_200));
    let mut event = Envelope::new(EventId::generate(), "/shop", "Order", SystemTime::now(), data.into());
    event.time -= Duration::from_secs(1);
    let large = letter("orders", event);
    assert!(large.to_messages("/shop", None, LIMIT).len() > 1);
    site.keep(&large);
    assert_eq!(
        site.ask(&["dead", "show", &large.id, "--reveal"])["event"]["data"].as_str().unwrap().len(),
        1_048_200
    );
    // Its event's id works too.
    assert_eq!(site.ask(&["dead", "resend", large.event.id.as_str()])["resent"], json!([large.id]));
    assert_eq!((site.depth("orders", "ship"), site.depth("bis.dead", "store")), (1, 0));
}

#[test]
fn an_event_without_room_for_a_mark_is_resent_as_it_came_to_its_only_subscription() {
    let site = Site::start();
    site.channel("orders", "ship");
    site.channel("orders", "tail#ephemeral".replace('#', "%23").as_str());
    let mut event = foreign("");
    event.data = vec![0xff; LIMIT].into();
    let large = letter("orders", event);
    site.keep(&large);
    site.channel("orders", "bill");
    let done = site.ask(&["dead", "resend", "--all"]);
    assert_eq!((&done["resent"], &done["kept"][0]["id"]), (&json!([]), &json!(large.id)));
    assert_eq!((site.letters().len(), site.depth("orders", "ship")), (1, 0));
    site.ask(&["topic", "rm", "orders", "bill", "--yes"]);
    assert_eq!(site.ask(&["dead", "resend", "--all"])["resent"], json!([large.id]));
    assert_eq!((site.letters().len(), site.depth("orders", "ship")), (0, 1));
}

#[test]
fn a_letter_stays_whose_subscription_is_not_there() {
    let site = Site::start();
    let kept = letter("orders", foreign("1"));
    site.keep(&kept);
    let replay = |more: &[&str]| site.ask(&[&["dead", "resend", "--all"], more].concat());
    let stays = |done: &Value| {
        assert_eq!((&done["resent"], &done["kept"][0]["id"]), (&json!([]), &json!(kept.id)), "{done}");
        assert!(done["kept"][0]["reason"].as_str().unwrap().contains("no subscription `ship`"), "{done}");
        assert_eq!(site.letters(), ["orders"]);
    };
    // The topic does not exist, and then has only another subscription.
    stays(&replay(&[]));
    site.channel("orders", "bill");
    stays(&replay(&["--dry-run"]));
    stays(&replay(&[]));
    stays(&site.ask(&["dead", "resend", &kept.id, "--edit", &site.file("2"), "--force"]));
    assert_eq!(site.depth("orders", "bill"), 0);
    site.channel("orders", "ship");
    assert_eq!(replay(&[])["resent"], json!([kept.id]));
    assert_eq!((site.letters().len(), site.depth("orders", "ship")), (0, 1));
}

#[test]
fn the_earlier_name_of_resend_works_and_says_the_new_one() {
    let site = Site::start();
    site.channel("orders", "ship");
    let kept = letter("orders", foreign("1"));
    site.keep(&kept);
    let output = site.router.run(&["dead", "replay", "--all"], b"");
    assert!(output.status.success());
    let done: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(done["resent"], json!([kept.id]));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.starts_with("note: `bis dead replay` is now `bis dead resend`"), "{told}");
    assert_eq!((site.letters().len(), site.depth("orders", "ship")), (0, 1));
    let help = bis().args(["dead", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(help.contains("resend") && !help.contains("replay"), "{help}");
}

const RIGHT: &str = r#"{"order_id":"0191d6f8-0000-7000-8000-000000000001","item":"tea","quantity":3}"#;

/// A letter for an order that the app's own code published.
fn order() -> DeadLetter {
    let data = RIGHT.replace('3', "0").into_bytes().into();
    let event = Envelope::new(EventId::generate(), "/app/orders", "OrderPlaced", SystemTime::now(), data);
    letter("order-placed", event)
}

#[test]
fn an_edited_event_is_checked_and_its_letter_stays_until_it_is_handled() {
    let site = Site::start();
    site.channel("order-placed", "ship");
    let kept = order();
    site.keep(&kept);
    let app = site.app();
    for (wrong, reason) in [
        ("no json", "it is not JSON"),
        (r#"{"order_id":"x","item":"tea","quantity":3}"#, "`/order_id` is no \"uuid\""),
        (r#"{"item":"tea","quantity":3}"#, "lacks `order_id`"),
        (&RIGHT.replace('3', "\"3\""), "`/quantity` is string and not integer"),
    ] {
        let refused = site.refused(&["dead", "resend", &kept.id, "--app", &app, "--edit", &site.file(wrong)]);
        assert!(refused.contains(reason) && refused.contains("--force"), "{refused}");
    }
    assert_eq!((site.letters().len(), site.depth("order-placed", "ship")), (1, 0));

    let replay = |text: &str, more: &[&str]| {
        let file = site.file(text);
        let arguments = ["dead", "resend", &kept.id, "--app", &app, "--edit", &file];
        site.ask(&[&arguments[..], more].concat())
    };
    // There is no consumer to handle it.
    let done = replay("anything", &["--force"]);
    assert_eq!((&done["resent"], &done["kept"][0]["id"]), (&json!([kept.id]), &json!(kept.id)));
    assert_eq!((site.letters().len(), site.depth("order-placed", "ship")), (1, 1));
    site.post("/channel/empty?topic=order-placed&channel=ship", b"");
    // Its subscription exists, but does not get it yet.
    site.post("/topic/pause?topic=order-placed", b"");
    let consumer = site.handle_one(|_| {});
    let done = replay(RIGHT, &[]);
    assert_eq!((&done["resent"], &done["kept"][0]["id"]), (&json!([kept.id]), &json!(kept.id)), "{done}");
    site.post("/topic/unpause?topic=order-placed", b"");
    consumer.join().unwrap();

    // It becomes a dead letter again.
    let http = site.router.http.clone();
    let handling = site.handle_one(move |event| {
        assert_eq!((event.replay, event.target.as_ref().map(SubscriptionName::as_str)), (1, Some("ship")));
        keep(&http, &letter("order-placed", event));
    });
    let done = replay(RIGHT, &[]);
    handling.join().unwrap();
    assert!(done["kept"][0]["reason"].as_str().unwrap().contains("is a dead letter too"), "{done}");
    assert_eq!(site.letters().len(), 2);

    // It is handled, after a moment.
    let handling = site.handle_one(|event| {
        assert_eq!(event.data, RIGHT);
        std::thread::sleep(Duration::from_millis(300));
    });
    let done = replay(RIGHT, &["--force"]);
    handling.join().unwrap();
    assert_eq!(done["kept"], json!([]), "{done}");
    let left = site.ask(&["dead", "ls"]);
    assert_eq!(left["letters"].as_array().unwrap().len(), 1, "the one that died of the first edit");
    assert_ne!(left["letters"][0]["id"], json!(kept.id));
}

#[test]
fn an_event_that_is_published_by_hand_is_checked() {
    let site = Site::start();
    let app = site.app();
    let publish = |text: &'static str| ["topic", "publish", "order-placed", text, "--app", app.as_str()];
    for (wrong, reason) in
        [("{}", "lacks `order_id`"), ("[1]", "is array and not object"), ("no json", "is not JSON")]
    {
        let refused = site.refused(&publish(wrong));
        assert!(refused.contains(reason), "{refused}");
        site.ask(&[&publish(wrong)[..], &["--force"]].concat());
    }
    site.ask(&publish(RIGHT));
    assert_eq!(site.router.topics()["topics"][1]["depth"], 4);
}

#[test]
fn letters_are_removed_when_asked_and_no_others() {
    let site = Site::start();
    let older = |mut letter: DeadLetter| {
        letter.at -= Duration::from_secs(3600);
        letter
    };
    let undecodable = |mut letter: DeadLetter| {
        (letter.reason, letter.error) = (DeadReason::Undecodable, "no `Order`".to_owned());
        letter
    };
    site.keep(&letter("orders", foreign("1")));
    site.keep(&older(letter("orders", foreign("2"))));
    site.keep(&undecodable(letter("orders", foreign("3"))));
    site.keep(&letter("refunds", foreign("4")));
    site.keep(&letter("refunds", foreign(&"5".repeat(1_048_400))));
    let would = |arguments: &[&str]| {
        let done = site.ask(&[&["dead", "rm", "--dry-run"], arguments].concat());
        done["removed"].as_array().unwrap().len()
    };
    let filters: [(&[&str], usize); 8] = [
        (&["--all"], 5),
        (&["--topic", "orders"], 3),
        (&["--topic", "orders", "--reason", "exhausted"], 2),
        (&["--subscription", "ship", "--reason", "undecodable"], 1),
        (&["--subscription", "bill"], 0),
        (&["--error", "`Order`"], 1),
        (&["--older-than", "30m"], 1),
        (&["--older-than", "1970-01-02T00:00:00Z"], 0),
    ];
    for (filter, count) in filters {
        assert_eq!(would(filter), count, "{filter:?}");
    }
    for wrong in [&["dead", "rm"][..], &["dead", "rm", "x", "--all"], &["dead", "rm", "--reason", "none"]] {
        site.refused(wrong);
    }
    // There is no terminal to ask on.
    let refused = site.refused(&["dead", "rm", "--topic", "refunds"]);
    assert!(refused.contains("this would remove 2 dead letters") && refused.contains("--yes"), "{refused}");
    assert_eq!(site.letters().len(), 5);

    site.ask(&["dead", "rm", "--topic", "refunds", "--yes"]);
    assert_eq!(site.letters(), ["orders"; 3]);
    let id = letter("orders", foreign("1")).id;
    assert_eq!(site.ask(&["dead", "rm", &id[..8], "--yes"])["removed"], json!([id]));
    site.ask(&["dead", "rm", "--all", "--yes"]);
    assert_eq!((site.letters().len(), site.depth("bis.dead", "store")), (0, 0));
}

#[test]
fn what_the_application_does_not_declare_is_named_and_removed_when_asked() {
    let site = Site::start();
    for (topic, channel) in [
        ("order-placed", "ship"),
        ("order-placed", "shipping"),
        ("order-placed", "t#ephemeral"),
        ("old", "x"),
    ] {
        site.channel(topic, &channel.replace('#', "%23"));
    }
    post(site.router.http.parse().unwrap(), "/topic/create?topic=older", "").unwrap();
    site.post("/pub?topic=order-placed", b"{}");
    // As a running `bis run` of the app records its addresses.
    let state = site.folder.path().join("app/.bis/default");
    std::fs::create_dir_all(&state).unwrap();
    let lock = std::fs::File::create(state.join("lock")).unwrap();
    lock.lock().unwrap();
    let running = json!({ "pid": 1, "app": "", "router": site.router.tcp, "router_http": site.router.http });
    std::fs::write(state.join("run.json"), running.to_string()).unwrap();
    let list = |format: &str| {
        let folder = site.folder.path().join("app");
        bis().args(["topic", "ls", "--format", format]).current_dir(folder).output().unwrap()
    };
    let listed: Value = serde_json::from_slice(&list("json").stdout).unwrap();
    let expected = json!([
        { "topic": "old", "subscription": "x", "events": 0 },
        { "topic": "older", "subscription": null, "events": 0 },
        { "topic": "order-placed", "subscription": "shipping", "events": 1 },
    ]);
    assert_eq!(listed["orphans"], expected);
    let told = String::from_utf8(list("text").stderr).unwrap();
    assert!(told.contains("`bis topic rm order-placed shipping` removes it"), "{told}");

    let refused = site.refused(&["topic", "rm", "order-placed", "shipping"]);
    assert!(refused.contains("1 event that wait there") && refused.contains("--yes"), "{refused}");
    for (wrong, reason) in [
        (&["order-placed", "shopping"][..], "there are: `ship`, `shipping`"),
        (&["orders"], "there are: "),
        (&["bis.dead"], "bis dead rm"),
    ] {
        let refused = site.refused(&[&["topic", "rm", "--yes"], wrong].concat());
        assert!(refused.contains(reason), "{refused}");
    }
    site.ask(&["topic", "rm", "order-placed", "shipping", "--yes"]);
    site.ask(&["topic", "rm", "old", "--yes"]);
    let listed: Value = serde_json::from_slice(&list("json").stdout).unwrap();
    assert_eq!(listed["orphans"].as_array().unwrap().len(), 1);
    assert_eq!(site.depth("order-placed", "ship"), 1);
}

#[test]
fn what_others_wrote_is_shown_without_what_a_terminal_obeys() {
    let site = Site::start();
    site.channel("orders", "ship");
    let forged = "\u{1b}[2J\u{9b}31mno\nerror: forged\r\u{202e}";
    let mut event = foreign("{\"a\":\"\u{9b}31m\",\n\"b\":1}");
    event.id = EventId::from(forged);
    event.source = forged.into();
    event.event_type = forged.into();
    event.key = Some(forged.to_owned());
    let mut letter = letter("orders", event.clone());
    letter.error = forged.to_owned();
    site.keep(&letter);
    site.post("/pub?topic=orders", &event.to_json());
    let folder = site.folder.path().join("app");
    let shown = |arguments: &[&str]| {
        let output = bis()
            .args(arguments)
            .args(["--router", &site.router.tcp, "--router-http", &site.router.http])
            .current_dir(&folder)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        assert!(!text.contains(|one: char| one != '\n' && one.is_control()), "{text:?}");
        assert!(!text.contains('\u{202e}') && !text.contains("\nerror: forged\n"), "{text:?}");
        text
    };
    assert!(shown(&["dead", "ls"]).contains(r"\u{1b}[2J"));
    let text = shown(&["dead", "show", &letter.id, "--reveal"]);
    assert!(text.contains(r"\u{9b}31m"), "{text}");
    shown(&["dead", "show", "\u{1b}[2J", "--reveal"]);
    shown(&["dead", "resend", &letter.id]);
    shown(&["topic", "ls"]);
}
