//! Raw deflate (RFC 1951), one stream a direction, flushed to a byte boundary after each write.

use std::io;

use bytes::{Buf, BytesMut};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::codec::{STEP_BYTES, malformed};

/// How much is produced at once. Well above the few bytes of a flush marker, as zlib asks for.
const SCRATCH_BYTES: usize = 16 * 1024;
/// How far back deflate refers. What the library expands goes through a ring of this size.
const WINDOW_BYTES: usize = 32 * 1024;

pub(super) struct Deflate {
    compress: Compress,
    decompress: Decompress,
    scratch: Vec<u8>,
    window: Box<[u8]>,
    /// The last step filled its space, so that there may be more without further input.
    is_full: bool,
}

impl Deflate {
    pub(super) fn new(level: u32) -> Self {
        Self {
            compress: Compress::new(Compression::new(level), false),
            decompress: Decompress::new(false),
            scratch: Vec::with_capacity(SCRATCH_BYTES),
            window: vec![0; WINDOW_BYTES].into(),
            is_full: false,
        }
    }

    pub(super) fn expand(&mut self, arrived: &mut BytesMut, input: &mut BytesMut) -> io::Result<()> {
        let start = input.len();
        while (!arrived.is_empty() || self.is_full) && input.len() - start < STEP_BYTES {
            // To the end of the ring and no further: what the library keeps back is lost when a bad piece follows.
            let (read, written) = (self.decompress.total_in(), self.decompress.total_out());
            let start = usize::try_from(written % WINDOW_BYTES as u64).map_err(malformed)?;
            let room = &mut self.window[start..];
            let expanded = self.decompress.decompress(arrived, room, FlushDecompress::None);
            let consumed = usize::try_from(self.decompress.total_in() - read).map_err(malformed)?;
            let count = usize::try_from(self.decompress.total_out() - written).map_err(malformed)?;
            // What comes before a bad piece is whole.
            input.extend_from_slice(&room[..count]);
            let status = expanded.map_err(malformed)?;
            arrived.advance(consumed);
            self.is_full = count == room.len();
            if status == Status::StreamEnd {
                return Err(malformed("the client ended its deflate stream"));
            }
            if consumed == 0 && count == 0 {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn squeeze(&mut self, output: &[u8], squeezed: &mut BytesMut) -> io::Result<()> {
        let mut rest = output;
        loop {
            self.scratch.clear();
            let before = self.compress.total_in();
            self.compress
                .compress_vec(rest, &mut self.scratch, FlushCompress::Sync)
                .map_err(io::Error::other)?;
            let consumed = usize::try_from(self.compress.total_in() - before).map_err(io::Error::other)?;
            rest = &rest[consumed..];
            squeezed.extend_from_slice(&self.scratch);
            if rest.is_empty() && self.scratch.len() < self.scratch.capacity() {
                return Ok(());
            }
        }
    }
}
