//! WebSockets at a stop: with clients that answer, that do not, and handlers that look or do not.

use std::{future::pending, sync::Mutex};

use axum::extract::{ConnectInfo, ws as plain};
use futures_core::Stream;
use futures_sink::Sink;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message as ClientMessage, client::IntoClientRequest, protocol::frame::coding::CloseCode},
};

use super::{
    streams::{NEVER, start},
    *,
};
use crate::{
    http::ws::{Message, WebSocket, WebSocketUpgrade},
    instance::Scope,
};

type Client = WebSocketStream<TcpStream>;

async fn connect(address: SocketAddr) -> Client {
    let stream = TcpStream::connect(address).await.unwrap();
    client_async("ws://localhost/", stream).await.unwrap().0
}

async fn send(client: &mut Client, text: &str) {
    let mut client = std::pin::Pin::new(client);
    std::future::poll_fn(|context| client.as_mut().poll_ready(context)).await.unwrap();
    client.as_mut().start_send(ClientMessage::text(text)).unwrap();
    std::future::poll_fn(|context| client.as_mut().poll_flush(context)).await.unwrap();
}

/// The next message; `None` when the server has closed the connection.
async fn next(client: &mut Client) -> Option<ClientMessage> {
    let next = std::future::poll_fn(|context| std::pin::Pin::new(&mut *client).poll_next(context));
    tokio::time::timeout(PATIENCE, next).await.expect("a message comes").map(Result::unwrap)
}

/// Reads the Close frame of a process that goes away, answers it, and waits for the end of the connection.
async fn goes_away(client: &mut Client) {
    let Some(ClientMessage::Close(Some(frame))) = next(client).await else { panic!("the process goes away") };
    assert_eq!((frame.code, frame.reason.as_str()), (CloseCode::Away, "going away"));
    assert_eq!(next(client).await, None);
}

/// Sends back what comes, and notes how it ends.
async fn echo(mut socket: WebSocket, ended: Arc<Notify>) {
    while let Some(Ok(message)) = socket.recv().await {
        if socket.send(message).await.is_err() {
            break;
        }
    }
    ended.notify_one();
}

fn echoing() -> (Router, Arc<Notify>) {
    let ended = Arc::new(Notify::new());
    let noted = ended.clone();
    let upgrade = async move |upgrade: WebSocketUpgrade| {
        let noted = noted.clone();
        upgrade.on_upgrade(move |socket| echo(socket, noted))
    };
    (Router::new().route("/", get(upgrade)), ended)
}

#[tokio::test]
async fn a_stop_of_either_kind_closes_sockets_in_order() {
    for kind in [Stop::HandOver, Stop::Prompt] {
        let (router, ended) = echoing();
        let (address, stop, serving) = start(router, |usual| usual).await;
        let mut client = connect(address).await;
        send(&mut client, "hello").await;
        assert_eq!(next(&mut client).await, Some(ClientMessage::text("hello")));
        stop.send(kind).unwrap();
        goes_away(&mut client).await;
        tokio::time::timeout(PATIENCE, ended.notified()).await.expect("its handler ends");
        Server::ended(serving).await;
    }
}

#[tokio::test]
async fn what_a_client_sent_before_it_closed_is_still_received() {
    let received = Arc::new(Mutex::new(Vec::new()));
    let kept = received.clone();
    let upgrade = async move |upgrade: WebSocketUpgrade| {
        let kept = kept.clone();
        upgrade.on_upgrade(async move |mut socket| {
            while let Some(Ok(message)) = socket.recv().await {
                kept.lock().unwrap().push(message);
            }
        })
    };
    let (address, stop, serving) = start(Router::new().route("/", get(upgrade)), |usual| usual).await;
    let mut client = connect(address).await;
    stop.send(Stop::HandOver).unwrap();
    // It has not seen the Close frame yet.
    send(&mut client, "late").await;
    goes_away(&mut client).await;
    Server::ended(serving).await;
    assert_eq!(*received.lock().unwrap(), [Message::text("late")]);
}

#[tokio::test]
async fn a_handler_that_does_not_look_is_cut_off_and_its_client_is_told_before() {
    let upgrade = async |upgrade: WebSocketUpgrade| {
        upgrade.on_upgrade(async |socket| {
            let _held = socket;
            pending().await
        })
    };
    let limit = Duration::from_millis(300);
    let router = Router::new().route("/", get(upgrade));
    let (address, stop, serving) = start(router, |usual| Serving { stop_within: limit, ..usual }).await;
    let mut client = connect(address).await;
    stop.send(Stop::HandOver).unwrap();
    let Some(ClientMessage::Close(Some(frame))) = next(&mut client).await else { panic!("it goes away") };
    assert_eq!(frame.code, CloseCode::Away);
    Server::ended(serving).await;
    assert!(next_or_broken(&mut client).await, "nothing is left of it");
}

/// Whether the connection ends, in whichever way.
async fn next_or_broken(client: &mut Client) -> bool {
    let next = std::future::poll_fn(|context| std::pin::Pin::new(&mut *client).poll_next(context));
    !matches!(tokio::time::timeout(PATIENCE, next).await.expect("it ends"), Some(Ok(_)))
}

#[tokio::test]
async fn a_client_that_does_not_answer_is_left_after_a_while() {
    let (router, ended) = echoing();
    let limit = Duration::from_secs(4);
    let (address, stop, serving) = start(router, |usual| Serving { stop_within: limit, ..usual }).await;
    let client = connect(address).await;
    stop.send(Stop::Prompt).unwrap();
    tokio::time::timeout(PATIENCE, ended.notified()).await.expect("its handler ends");
    Server::ended(serving).await;
    drop(client);
}

#[tokio::test]
async fn a_socket_may_be_given_to_another_task() {
    let ended = Arc::new(Notify::new());
    let noted = ended.clone();
    let upgrade = async move |upgrade: WebSocketUpgrade| {
        let noted = noted.clone();
        upgrade.on_upgrade(async move |socket| drop(tokio::spawn(echo(socket, noted))))
    };
    let (address, stop, serving) = start(Router::new().route("/", get(upgrade)), |usual| usual).await;
    let mut client = connect(address).await;
    send(&mut client, "hello").await;
    assert_eq!(next(&mut client).await, Some(ClientMessage::text("hello")));
    stop.send(Stop::HandOver).unwrap();
    goes_away(&mut client).await;
    tokio::time::timeout(PATIENCE, ended.notified()).await.expect("the other task ends");
    Server::ended(serving).await;
}

#[tokio::test]
async fn a_socket_runs_in_the_scope_of_its_request() {
    const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let upgrade = async |upgrade: WebSocketUpgrade| {
        Scope::update(|scope| scope.service = Some("live"));
        upgrade.protocols(["told"]).on_upgrade(async |mut socket| {
            let scope = Scope::current().unwrap();
            let text = format!("{:032x} {}", scope.span.trace, scope.service.unwrap_or_default());
            let protocol = socket.protocol().and_then(|name| name.to_str().ok()).unwrap_or_default();
            socket.send(Message::text(format!("{text} {protocol}"))).await.unwrap();
        })
    };
    let (address, stop, serving) = start(Router::new().route("/", get(upgrade)), |usual| usual).await;
    let mut asked = "ws://localhost/".into_client_request().unwrap();
    asked.headers_mut().insert("traceparent", TRACEPARENT.parse().unwrap());
    asked.headers_mut().insert("sec-websocket-protocol", "told".parse().unwrap());
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut client, _) = client_async(asked, stream).await.unwrap();
    let said = next(&mut client).await;
    assert_eq!(said, Some(ClientMessage::text("0af7651916cd43dd8448eb211c80319c live told")));
    stop.send(Stop::Prompt).unwrap();
    Server::ended(serving).await;
}

#[tokio::test]
async fn a_socket_of_axum_is_waited_for_until_the_limit() {
    let upgrade = async |upgrade: plain::WebSocketUpgrade, ConnectInfo(_): ConnectInfo<SocketAddr>| {
        upgrade.on_upgrade(async |mut socket| while let Some(Ok(_)) = socket.recv().await {})
    };
    for (closes, limit) in [(true, NEVER), (false, Duration::from_millis(200))] {
        let router = Router::new().route("/", get(upgrade));
        let (address, stop, serving) = start(router, |usual| Serving { stop_within: limit, ..usual }).await;
        let client = connect(address).await;
        stop.send(Stop::HandOver).unwrap();
        if closes {
            drop(client);
            Server::ended(serving).await;
        } else {
            Server::ended(serving).await;
            drop(client);
        }
    }
}
