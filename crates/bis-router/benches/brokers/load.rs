//! The load: publishes as fast as they are answered, publish-deliver-finish, and a fixed rate with latencies.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bis_nsq::{Command, Frame, HEARTBEAT, Name, decode_frame};
use bytes::BytesMut;

use crate::wire::Wire;

/// The length of a message's body, in bytes.
pub const BODY_BYTES: usize = 200;
/// Connections of a publish run.
const CONNECTIONS: usize = 4;
/// How long a run goes before it is counted.
const WARM_UP: Duration = Duration::from_millis(300);
/// A run that makes no progress for this long fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// Publishes on four connections for this long, with `window` unanswered on each, over `topics` topics in turn. Calls
/// `counted` when the counting begins. Returns how many were answered from then on, and how many in all.
pub fn publish(
    wire: Wire,
    address: SocketAddr,
    window: usize,
    topics: usize,
    time: Duration,
    counted: impl FnOnce(),
) -> (usize, usize) {
    let (counting, stop) = (AtomicBool::new(false), AtomicBool::new(false));
    let (answered, all) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for connection in 0..CONNECTIONS {
            let (counting, stop, answered, all) = (&counting, &stop, &answered, &all);
            scope.spawn(move || {
                let mut publisher = Publisher::connect(wire, address, topics, connection);
                while !stop.load(Ordering::Relaxed) {
                    let done = publisher.turn(window);
                    all.fetch_add(done, Ordering::Relaxed);
                    if counting.load(Ordering::Relaxed) {
                        answered.fetch_add(done, Ordering::Relaxed);
                    }
                }
            });
        }
        std::thread::sleep(WARM_UP);
        counted();
        counting.store(true, Ordering::Relaxed);
        std::thread::sleep(time);
        stop.store(true, Ordering::Relaxed);
    });
    (answered.into_inner(), all.into_inner())
}

/// Publishes this many on four connections, and waits for the answers.
pub fn fill(wire: Wire, address: SocketAddr, count: usize) {
    std::thread::scope(|scope| {
        for connection in 0..CONNECTIONS {
            scope.spawn(move || {
                let mut publisher = Publisher::connect(wire, address, 1, connection);
                publisher.publish(count / CONNECTIONS, 4096);
            });
        }
    });
}

struct Publisher {
    wire: Wire,
    stream: TcpStream,
    /// Publishes, one after the other; each goes to the next topic.
    bytes: Vec<u8>,
    /// Where each publish in `bytes` begins, and the end.
    starts: Vec<usize>,
    next: usize,
    unanswered: usize,
    received: BytesMut,
    say: Vec<u8>,
}

impl Publisher {
    fn connect(wire: Wire, address: SocketAddr, topics: usize, connection: usize) -> Self {
        let stream = wire.connect(address);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (mut bytes, mut starts) = (Vec::new(), vec![0]);
        for number in 0..topics.max(4096) {
            let topic = format!("topic-{}", (number + connection * topics / CONNECTIONS) % topics);
            bytes.extend(wire.publish(&stream, &topic, &[b'x'; BODY_BYTES]));
            starts.push(bytes.len());
        }
        let (received, say) = (BytesMut::new(), Vec::new());
        Self { wire, stream, bytes, starts, next: 0, unanswered: 0, received, say }
    }

    /// Fills the window up when it is half empty, and waits for some answers.
    fn turn(&mut self, window: usize) -> usize {
        if self.unanswered <= window / 2 {
            self.send(window - self.unanswered);
        }
        self.receive()
    }

    fn publish(&mut self, count: usize, window: usize) {
        let mut sent = 0;
        while sent < count || self.unanswered > 0 {
            if self.unanswered <= window / 2 && sent < count {
                let now = (window - self.unanswered).min(count - sent);
                self.send(now);
                sent += now;
            }
            self.receive();
        }
    }

    fn send(&mut self, mut count: usize) {
        self.unanswered += count;
        while count > 0 {
            let now = count.min(self.starts.len() - 1 - self.next);
            let part = &self.bytes[self.starts[self.next]..self.starts[self.next + now]];
            self.stream.write_all(part).unwrap();
            self.next = (self.next + now) % (self.starts.len() - 1);
            count -= now;
        }
    }

    fn receive(&mut self) -> usize {
        read_some(&mut self.stream, &mut self.received);
        let answered = self.wire.answers(&mut self.received, &mut self.say);
        if !self.say.is_empty() {
            self.stream.write_all(&self.say).unwrap();
            self.say.clear();
        }
        self.unanswered -= answered;
        answered
    }
}

/// Publishes this many on two connections, delivers and finishes them over this many channels, with this many subscribers on
/// each. Returns the time from the first publish to the last finish.
pub fn flow(address: SocketAddr, count: usize, channels: usize, subscribers: usize) -> Duration {
    let (finished, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let expected = count * channels;
    let streams = (0..channels * subscribers)
        .map(|subscriber| subscribe(address, "topic-0", &format!("channel-{}", subscriber % channels)));
    let streams: Vec<TcpStream> = streams.collect();
    std::thread::scope(|scope| {
        for stream in streams {
            let (finished, stop) = (&finished, &stop);
            scope.spawn(move || consume(stream, finished, stop, |_| {}));
        }
        let began = Instant::now();
        for connection in 0..2 {
            scope.spawn(move || {
                Publisher::connect(Wire::Nsq, address, 1, connection).publish(count / 2, 256);
            });
        }
        let mut last = (0, Instant::now());
        while finished.load(Ordering::Relaxed) < expected / 2 * 2 {
            std::thread::sleep(Duration::from_micros(500));
            let now = finished.load(Ordering::Relaxed);
            if now > last.0 {
                last = (now, Instant::now());
            }
            assert!(last.1.elapsed() < PATIENCE, "only {now} of {expected} were delivered");
        }
        let took = began.elapsed();
        stop.store(true, Ordering::Relaxed);
        took
    })
}

/// Consumes for this long what is there and what two connections publish meanwhile, no more than they publish. Calls
/// `counted` when the counting begins. Returns how many were finished from then on, and how many in all.
pub fn consume_backlog(address: SocketAddr, time: Duration, counted: impl FnOnce()) -> (usize, usize) {
    let (finished, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let stream = subscribe(address, "topic-0", "channel-0");
            let (finished, stop) = (&finished, &stop);
            scope.spawn(move || consume(stream, finished, stop, |_| {}));
        }
        for connection in 0..2 {
            let (finished, stop) = (&finished, &stop);
            scope.spawn(move || {
                let mut publisher = Publisher::connect(Wire::Nsq, address, 1, connection);
                let mut published = 0;
                while !stop.load(Ordering::Relaxed) {
                    if published * 2 <= finished.load(Ordering::Relaxed) + 512 {
                        published += publisher.turn(256);
                    } else {
                        std::thread::sleep(Duration::from_micros(200));
                    }
                }
            });
        }
        std::thread::sleep(WARM_UP);
        counted();
        let before = finished.load(Ordering::Relaxed);
        std::thread::sleep(time);
        let after = finished.load(Ordering::Relaxed);
        stop.store(true, Ordering::Relaxed);
        (after - before, after)
    })
}

/// The latencies of a run at a fixed rate, sorted.
pub struct Latencies(Vec<Duration>);

impl Latencies {
    /// The latency that this fraction of all stays under; 0.5 is the median.
    pub fn quantile(&self, part: f64) -> Duration {
        let at = (self.0.len() as f64 * part) as usize;
        self.0[at.min(self.0.len() - 1)]
    }
}

/// Publishes at a fixed rate and takes the time from when each message was meant to be sent until it is delivered.
pub fn paced(address: SocketAddr, rate: u32, time: Duration) -> Latencies {
    let began = Instant::now();
    let (finished, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let count = (f64::from(rate) * time.as_secs_f64()) as u32;
    let stream = subscribe(address, "topic-0", "channel-0");
    let mut latencies = std::thread::scope(|scope| {
        let (finished, stop) = (&finished, &stop);
        let consumer = scope.spawn(move || {
            let mut latencies = Vec::new();
            consume(stream, finished, stop, |body| {
                let meant = u64::from_le_bytes(body[..8].try_into().unwrap());
                latencies.push(began.elapsed().saturating_sub(Duration::from_nanos(meant)));
            });
            latencies
        });
        let mut stream = Wire::Nsq.connect(address);
        let mut answers = stream.try_clone().unwrap();
        scope.spawn(move || {
            let (mut received, mut say, mut answered) = (BytesMut::new(), Vec::new(), 0);
            while answered < count as usize {
                read_some(&mut answers, &mut received);
                answered += Wire::Nsq.answers(&mut received, &mut say);
            }
        });
        let start = began.elapsed() + Duration::from_millis(100);
        for number in 0..count {
            let meant = start + Duration::from_secs(1) * number / rate;
            if let Some(wait) = meant.checked_sub(began.elapsed()) {
                std::thread::sleep(wait);
            }
            let mut body = [b'x'; BODY_BYTES];
            body[..8].copy_from_slice(&(meant.as_nanos() as u64).to_le_bytes());
            stream.write_all(&Wire::Nsq.publish(&stream, "topic-0", &body)).unwrap();
        }
        let waited = Instant::now();
        while finished.load(Ordering::Relaxed) < count as usize {
            assert!(waited.elapsed() < PATIENCE, "not every message came");
            std::thread::sleep(Duration::from_millis(1));
        }
        stop.store(true, Ordering::Relaxed);
        consumer.join().unwrap()
    });
    latencies.sort_unstable();
    Latencies(latencies)
}

/// A connection that has subscribed and is ready for 256 messages.
fn subscribe(address: SocketAddr, topic: &str, channel: &str) -> TcpStream {
    let mut stream = Wire::Nsq.connect(address);
    let mut bytes = BytesMut::new();
    let (topic, channel) = (Name::new(topic).unwrap(), Name::new(channel).unwrap());
    Command::Subscribe { topic, channel, ordered: false }.encode(&mut bytes);
    stream.write_all(&bytes).unwrap();
    let mut answer = [0; 10];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer[8..], b"OK");
    stream.write_all(b"RDY 256\n").unwrap();
    stream
}

/// Finishes what comes until it is told to stop.
fn consume(mut stream: TcpStream, finished: &AtomicUsize, stop: &AtomicBool, mut seen: impl FnMut(&[u8])) {
    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let (mut received, mut say) = (BytesMut::new(), BytesMut::new());
    while !stop.load(Ordering::Relaxed) {
        received.reserve(64 * 1024);
        if !read_for_a_while(&mut stream, &mut received) {
            continue;
        }
        let mut count = 0;
        while let Some(frame) = decode_frame(&mut received, 1 << 20).unwrap() {
            match frame {
                Frame::Message(message) => {
                    seen(&message.body);
                    count += 1;
                    Command::Finish(message.id).encode(&mut say);
                }
                Frame::Response(data) if &data[..] == HEARTBEAT => Command::Nop.encode(&mut say),
                other => panic!("{other:?}"),
            }
        }
        stream.write_all(&say).unwrap();
        say.clear();
        finished.fetch_add(count, Ordering::Relaxed);
    }
}

fn read_for_a_while(stream: &mut TcpStream, received: &mut BytesMut) -> bool {
    let mut chunk = [0; 64 * 1024];
    match stream.read(&mut chunk) {
        Ok(0) => panic!("the server closed the connection"),
        Ok(count) => received.extend_from_slice(&chunk[..count]),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return false,
        Err(error) => panic!("{error}"),
    }
    true
}

fn read_some(stream: &mut TcpStream, received: &mut BytesMut) {
    let mut chunk = [0; 64 * 1024];
    let count = stream.read(&mut chunk).unwrap();
    assert!(count > 0, "the server closed the connection");
    received.extend_from_slice(&chunk[..count]);
}
