//! One connection's compression, both ways, between two buffers. It does no I/O.
//!
//! Output is compressed as a whole and flushed each time, so that nothing waits in the compressor. Input is expanded in
//! steps, so that a few bytes cannot fill the memory.

use std::io;

use bytes::BytesMut;

use super::deflate::Deflate;
use super::snappy::Snappy;

/// About how many bytes one step expands to, at most.
pub(super) const STEP_BYTES: usize = 64 * 1024;
/// The size of one read of compressed bytes.
const READ_BYTES: usize = 16 * 1024;

/// Which compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Compressor {
    Snappy,
    /// With its level, 1 to 9.
    Deflate(u32),
}

pub(super) struct Codec {
    format: Format,
    /// Compressed bytes from the client that are not expanded yet.
    arrived: BytesMut,
    /// Compressed bytes for the client that are not sent yet.
    squeezed: BytesMut,
}

enum Format {
    Snappy(Box<Snappy>),
    Deflate(Deflate),
}

impl Codec {
    pub(super) fn new(compressor: Compressor) -> Self {
        let format = match compressor {
            Compressor::Snappy => Format::Snappy(Box::new(Snappy::new())),
            Compressor::Deflate(level) => Format::Deflate(Deflate::new(level)),
        };
        Self { format, arrived: BytesMut::new(), squeezed: BytesMut::new() }
    }

    /// Where to put what arrives.
    pub(super) fn arrived(&mut self) -> &mut BytesMut {
        self.arrived.reserve(READ_BYTES);
        &mut self.arrived
    }

    /// Expands a step of what has arrived into `input`; nothing, if more must arrive first.
    pub(super) fn expand(&mut self, input: &mut BytesMut) -> io::Result<()> {
        match &mut self.format {
            Format::Snappy(snappy) => snappy.expand(&mut self.arrived, input),
            Format::Deflate(deflate) => deflate.expand(&mut self.arrived, input),
        }
    }

    /// Whether compressed bytes wait to be sent.
    pub(super) fn is_behind(&self) -> bool {
        !self.squeezed.is_empty()
    }

    /// The compressed bytes to send.
    pub(super) fn squeezed(&mut self) -> &mut BytesMut {
        &mut self.squeezed
    }

    /// Compresses all of `output`, so that the client can expand all of it. Nothing stays nothing: a flush of nothing would
    /// make bytes to send without end.
    pub(super) fn squeeze(&mut self, output: &mut BytesMut) -> io::Result<()> {
        if output.is_empty() {
            return Ok(());
        }
        match &mut self.format {
            Format::Snappy(snappy) => snappy.squeeze(output, &mut self.squeezed)?,
            Format::Deflate(deflate) => deflate.squeeze(output, &mut self.squeezed)?,
        }
        output.clear();
        Ok(())
    }
}

/// An error of bytes that a client sent.
pub(super) fn malformed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(codec: &mut Codec, peer: &mut Codec, data: &[u8], cut: usize) -> Vec<u8> {
        codec.squeeze(&mut BytesMut::from(data)).unwrap();
        let mut received = BytesMut::new();
        let squeezed = codec.squeezed().split();
        for piece in squeezed.chunks(cut) {
            peer.arrived().extend_from_slice(piece);
            loop {
                let before = received.len();
                peer.expand(&mut received).unwrap();
                assert!(received.len() - before <= 2 * STEP_BYTES, "one step is bounded");
                if received.len() == before {
                    break;
                }
            }
        }
        received.to_vec()
    }

    #[test]
    fn each_flush_can_be_expanded_at_once_however_it_is_cut() {
        let mut noise = 1_u32;
        let mut random = || {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (noise >> 24) as u8
        };
        for compressor in [Compressor::Snappy, Compressor::Deflate(1), Compressor::Deflate(9)] {
            for cut in [1, 7, 4096, usize::MAX] {
                let (mut codec, mut peer) = (Codec::new(compressor), Codec::new(compressor));
                let noise: Vec<u8> = (0..100_000).map(|_| random()).collect();
                for data in [&b"OK"[..], &noise, &[b'x'; 300_000], b"\n", &noise[..65536]] {
                    let received = exchange(&mut codec, &mut peer, data, cut);
                    assert!(received == data, "{compressor:?} {cut} {}", data.len());
                }
            }
        }
    }

    /// All that can be expanded of what has arrived, and whether it ends with an error.
    fn expanded(codec: &mut Codec) -> (Vec<u8>, bool) {
        let mut input = BytesMut::new();
        loop {
            let before = input.len();
            if codec.expand(&mut input).is_err() {
                return (input.to_vec(), true);
            }
            if input.len() == before {
                return (input.to_vec(), false);
            }
        }
    }

    #[test]
    fn what_comes_before_the_end_or_a_bad_piece_is_expanded() {
        // More than any buffer in between, and what shrinks most.
        let large = [vec![b'x'; 1_000_000], b"the end".to_vec()].concat();
        for data in [&b"PUB orders"[..], &large, &large[..40_000]] {
            let mut stream = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
            std::io::Write::write_all(&mut stream, data).unwrap();
            let mut codec = Codec::new(Compressor::Deflate(6));
            codec.arrived().extend_from_slice(&stream.finish().unwrap());
            codec.arrived().extend_from_slice(b"more");
            assert!(expanded(&mut codec) == (data.to_vec(), true), "the end, {}", data.len());

            for compressor in [Compressor::Deflate(6), Compressor::Snappy] {
                let (mut codec, mut peer) = (Codec::new(compressor), Codec::new(compressor));
                codec.squeeze(&mut BytesMut::from(data)).unwrap();
                peer.arrived().extend_from_slice(codec.squeezed());
                // No block of deflate, and no chunk of snappy.
                peer.arrived().extend_from_slice(&[0x07; 64]);
                assert!(expanded(&mut peer) == (data.to_vec(), true), "{compressor:?}, {}", data.len());
            }
        }
    }

    #[test]
    fn a_chunk_with_a_wrong_checksum_is_left_out() {
        let (mut codec, mut peer) = (Codec::new(Compressor::Snappy), Codec::new(Compressor::Snappy));
        codec.squeeze(&mut BytesMut::from(&b"first"[..])).unwrap();
        codec.squeeze(&mut BytesMut::from(&b"second"[..])).unwrap();
        peer.arrived().extend_from_slice(codec.squeezed());
        *peer.arrived().last_mut().unwrap() ^= 1;
        assert_eq!(expanded(&mut peer), (b"first".to_vec(), true));
    }

    #[test]
    fn nothing_makes_nothing_to_send() {
        for compressor in [Compressor::Snappy, Compressor::Deflate(6)] {
            let mut codec = Codec::new(compressor);
            codec.squeeze(&mut BytesMut::from(&b"OK"[..])).unwrap();
            codec.squeezed().clear();
            codec.squeeze(&mut BytesMut::new()).unwrap();
            assert!(!codec.is_behind(), "{compressor:?}");
        }
    }

    #[test]
    fn what_is_not_compressed_is_refused() {
        for compressor in [Compressor::Snappy, Compressor::Deflate(6)] {
            let mut codec = Codec::new(compressor);
            codec.arrived().extend_from_slice(b"PUB orders\n\0\0\0\x01x and so on and so on");
            let mut input = BytesMut::new();
            assert!(codec.expand(&mut input).is_err(), "{compressor:?}");
        }
    }
}
