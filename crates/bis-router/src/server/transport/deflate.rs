//! Raw deflate (RFC 1951), one stream a direction, flushed to a byte boundary after each write.

use std::io;

use bytes::{Buf, BytesMut};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::codec::{STEP_BYTES, malformed};

/// How much is produced at once. Well above the few bytes of a flush marker, as zlib asks for.
const SCRATCH_BYTES: usize = 16 * 1024;

pub(super) struct Deflate {
    compress: Compress,
    decompress: Decompress,
    scratch: Vec<u8>,
    /// The last step filled the scratch space, so that there may be more without further input.
    is_full: bool,
}

impl Deflate {
    pub(super) fn new(level: u32) -> Self {
        Self {
            compress: Compress::new(Compression::new(level), false),
            decompress: Decompress::new(false),
            scratch: Vec::with_capacity(SCRATCH_BYTES),
            is_full: false,
        }
    }

    pub(super) fn expand(&mut self, arrived: &mut BytesMut, input: &mut BytesMut) -> io::Result<()> {
        let start = input.len();
        while (!arrived.is_empty() || self.is_full) && input.len() - start < STEP_BYTES {
            self.scratch.clear();
            let before = self.decompress.total_in();
            let status = self
                .decompress
                .decompress_vec(arrived, &mut self.scratch, FlushDecompress::None)
                .map_err(malformed)?;
            let consumed = usize::try_from(self.decompress.total_in() - before).map_err(malformed)?;
            arrived.advance(consumed);
            input.extend_from_slice(&self.scratch);
            self.is_full = self.scratch.len() == self.scratch.capacity();
            if status == Status::StreamEnd {
                return Err(malformed("the client ended its deflate stream"));
            }
            if consumed == 0 && self.scratch.is_empty() {
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
