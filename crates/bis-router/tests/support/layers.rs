//! A client that puts TLS and compression on its connection, made of other libraries than the router's side where there
//! are any: rustls without tokio, and snappy's and deflate's own streams.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bis_nsq::{Command, Frame, decode_frame};
use bytes::BytesMut;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned};

/// An authority with the certificates that it signed, as PEM files in a folder.
pub struct Certificates {
    folder: tempfile::TempDir,
}

impl Certificates {
    /// A server's certificate for 127.0.0.1 and a client's whose common name is `the client`; and one that the client
    /// signed itself.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let this = Self { folder };
        let authority_key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "the authority");
        let authority = params.self_signed(&authority_key).unwrap();
        std::fs::write(this.path("ca.pem"), authority.pem()).unwrap();
        let issuer = Issuer::new(params, authority_key);
        for (name, common_name) in [("server", "the server"), ("client", "the client")] {
            let key = KeyPair::generate().unwrap();
            let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
            let mut params = CertificateParams::new(names).unwrap();
            params.distinguished_name.push(DnType::CommonName, common_name);
            let certificate = params.signed_by(&key, &issuer).unwrap();
            this.write(name, &certificate.pem(), &key);
            let own = params.self_signed(&key).unwrap();
            this.write(&format!("{name}-own"), &own.pem(), &key);
        }
        this
    }

    fn write(&self, name: &str, certificate: &str, key: &KeyPair) {
        std::fs::write(self.path(&format!("{name}.pem")), certificate).unwrap();
        std::fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A client that trusts the authority, and shows the certificate of this name if one is given.
    pub fn client(&self, certificate: Option<&str>) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(read_certificate(&self.path("ca.pem"))).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match certificate {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let chain = vec![read_certificate(&self.path(&format!("{name}.pem")))];
                let key = PrivateKeyDer::from_pem_file(self.path(&format!("{name}.key"))).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        Arc::new(config)
    }

    /// A server that shows its certificate and asks for none.
    pub fn server(&self) -> Arc<ServerConfig> {
        let key = PrivateKeyDer::from_pem_file(self.path("server.key")).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![read_certificate(&self.path("server.pem"))], key);
        Arc::new(config.unwrap())
    }
}

fn read_certificate(path: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(path).unwrap()
}

/// What to ask for.
#[derive(Default, Clone)]
pub struct Layers {
    pub tls: Option<Arc<ClientConfig>>,
    pub snappy: bool,
    /// With its level; zero is the server's choice.
    pub deflate: Option<u32>,
}

/// A connection with layers.
pub struct LayeredClient {
    reader: Box<dyn Read>,
    writer: Box<dyn Write>,
    stream: Shared,
    buffer: BytesMut,
    /// The server's answer to `IDENTIFY`.
    pub granted: Value,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// One stream for a reader and a writer.
#[derive(Clone)]
struct Shared(Rc<RefCell<Stream>>);

impl Read for Shared {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match &mut *self.0.borrow_mut() {
            Stream::Plain(stream) => stream.read(buffer),
            Stream::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match &mut *self.0.borrow_mut() {
            Stream::Plain(stream) => stream.write(bytes),
            Stream::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match &mut *self.0.borrow_mut() {
            Stream::Plain(stream) => stream.flush(),
            Stream::Tls(stream) => stream.flush(),
        }
    }
}

/// Expands all that has come before it reads more; flate2's own reader may wait for bytes that it does not need.
struct Inflating {
    stream: Shared,
    decompress: flate2::Decompress,
    expanded: BytesMut,
}

impl Inflating {
    fn new(stream: Shared) -> Self {
        Self { stream, decompress: flate2::Decompress::new(false), expanded: BytesMut::new() }
    }
}

impl Read for Inflating {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.expanded.is_empty() {
            let mut chunk = [0; 4096];
            let count = self.stream.read(&mut chunk)?;
            let (mut rest, mut is_full) = (&chunk[..count], false);
            if count == 0 {
                return Ok(0);
            }
            while !rest.is_empty() || is_full {
                let mut out = Vec::with_capacity(64 * 1024);
                let before = self.decompress.total_in();
                self.decompress.decompress_vec(rest, &mut out, flate2::FlushDecompress::None)?;
                rest = &rest[(self.decompress.total_in() - before) as usize..];
                is_full = out.len() == out.capacity();
                self.expanded.extend_from_slice(&out);
            }
        }
        let count = buffer.len().min(self.expanded.len());
        buffer[..count].copy_from_slice(&self.expanded.split_to(count));
        Ok(count)
    }
}

impl LayeredClient {
    /// Connects, asks for the layers and puts on what is granted.
    pub fn connect(address: SocketAddr, layers: &Layers) -> std::io::Result<Self> {
        let mut tcp = TcpStream::connect(address)?;
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(Duration::from_secs(20)))?;
        tcp.write_all(b"  V2")?;
        let ask = json!({
            "feature_negotiation": true,
            "tls_v1": layers.tls.is_some(),
            "snappy": layers.snappy,
            "deflate": layers.deflate.is_some(),
            "deflate_level": layers.deflate.unwrap_or_default(),
        });
        tcp.write_all(&super::sized("IDENTIFY", ask.to_string().as_bytes()))?;
        let plain = Shared(Rc::new(RefCell::new(Stream::Plain(tcp.try_clone()?))));
        let mut this = Self {
            reader: Box::new(plain.clone()),
            writer: Box::new(plain.clone()),
            stream: plain.clone(),
            buffer: BytesMut::new(),
            granted: Value::Null,
        };
        this.granted = match this.exact_frame()? {
            Frame::Response(data) => serde_json::from_slice(&data)?,
            other => return Err(std::io::Error::other(format!("{other:?}"))),
        };
        let mut stream = plain;
        if let (Some(config), true) = (&layers.tls, this.granted["tls_v1"] == true) {
            let name = ServerName::try_from("127.0.0.1").unwrap();
            let session = ClientConnection::new(Arc::clone(config), name).unwrap();
            let tls = Stream::Tls(Box::new(StreamOwned::new(session, tcp)));
            stream = Shared(Rc::new(RefCell::new(tls)));
            this.stream = stream.clone();
            this.reader = Box::new(stream.clone());
            this.writer = Box::new(stream.clone());
            this.expect_ok()?;
        }
        if this.granted["snappy"] == true {
            this.reader = Box::new(snap::read::FrameDecoder::new(stream.clone()));
            this.writer = Box::new(snap::write::FrameEncoder::new(stream));
            this.expect_ok()?;
        } else if this.granted["deflate"] == true {
            this.reader = Box::new(Inflating::new(stream.clone()));
            this.writer = Box::new(flate2::write::DeflateEncoder::new(stream, flate2::Compression::fast()));
            this.expect_ok()?;
        }
        Ok(this)
    }

    fn expect_ok(&mut self) -> std::io::Result<()> {
        match self.exact_frame()? {
            Frame::Response(data) if &data[..] == b"OK" => Ok(()),
            other => Err(std::io::Error::other(format!("{other:?}"))),
        }
    }

    /// The next frame and not a byte more: what follows may belong to the next layer.
    fn exact_frame(&mut self) -> std::io::Result<Frame> {
        let mut bytes = vec![0; 4];
        self.reader.read_exact(&mut bytes)?;
        let size = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize;
        bytes.resize(4 + size, 0);
        self.reader.read_exact(&mut bytes[4..])?;
        let mut bytes = BytesMut::from(&bytes[..]);
        let frame = decode_frame(&mut bytes, 1 << 20).map_err(std::io::Error::other)?;
        frame.ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
    }

    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.writer.write_all(bytes).unwrap();
        self.writer.flush().unwrap();
    }

    /// Sends bytes through TLS and, in the same write, others beside it.
    pub fn send_with_garbage(&mut self, bytes: &[u8], garbage: &[u8]) {
        let Stream::Tls(stream) = &mut *self.stream.0.borrow_mut() else { panic!("no TLS") };
        let mut records = Vec::new();
        stream.conn.writer().write_all(bytes).unwrap();
        while stream.conn.wants_write() {
            stream.conn.write_tls(&mut records).unwrap();
        }
        records.extend_from_slice(garbage);
        stream.sock.write_all(&records).unwrap();
    }

    pub fn send(&mut self, command: &Command) {
        let mut bytes = BytesMut::new();
        command.encode(&mut bytes);
        self.send_raw(&bytes);
    }

    /// The next frame; heartbeats are left out.
    pub fn frame(&mut self) -> std::io::Result<Frame> {
        loop {
            match decode_frame(&mut self.buffer, 64 * 1024 * 1024).map_err(std::io::Error::other)? {
                Some(Frame::Response(data)) if &data[..] == b"_heartbeat_" => continue,
                Some(frame) => return Ok(frame),
                None => {}
            }
            let mut chunk = [0; 16 * 1024];
            match self.reader.read(&mut chunk)? {
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                count => self.buffer.extend_from_slice(&chunk[..count]),
            }
        }
    }

    #[track_caller]
    pub fn response(&mut self) -> String {
        match self.frame().unwrap() {
            Frame::Response(data) => String::from_utf8(data.to_vec()).unwrap(),
            other => panic!("not a response: {other:?}"),
        }
    }

    #[track_caller]
    pub fn error(&mut self) -> String {
        match self.frame().unwrap() {
            Frame::Error(data) => String::from_utf8(data.to_vec()).unwrap(),
            other => panic!("not an error: {other:?}"),
        }
    }
}
