//! Snappy's framing format, <https://github.com/google/snappy/blob/main/framing_format.txt>, as Go's library writes and
//! reads it. Each write is whole chunks, so nothing needs a flush.

use std::io;

use bytes::{Buf, BufMut, BytesMut};
use snap::raw::{Decoder, Encoder, decompress_len, max_compress_len};

use super::codec::{STEP_BYTES, malformed};

const STREAM: u8 = 0xff;
const COMPRESSED: u8 = 0x00;
const PLAIN: u8 = 0x01;
/// From here on, unknown chunks may be skipped.
const SKIPPABLE: u8 = 0x80;
const MAGIC: &[u8] = b"sNaPpY";
const HEADER_BYTES: usize = 4;
const CHECKSUM_BYTES: usize = 4;
/// The most bytes that one chunk may expand to.
const BLOCK_BYTES: usize = 65536;

pub(super) struct Snappy {
    encoder: Encoder,
    decoder: Decoder,
    scratch: Vec<u8>,
    /// The stream's identifier was sent.
    is_begun: bool,
    /// The client's stream identifier has come.
    is_identified: bool,
    /// How many bytes of a skipped chunk are still to come.
    to_skip: usize,
}

impl Snappy {
    pub(super) fn new() -> Self {
        Self {
            encoder: Encoder::new(),
            decoder: Decoder::new(),
            scratch: Vec::new(),
            is_begun: false,
            is_identified: false,
            to_skip: 0,
        }
    }

    pub(super) fn expand(&mut self, arrived: &mut BytesMut, input: &mut BytesMut) -> io::Result<()> {
        let start = input.len();
        while input.len() - start < STEP_BYTES {
            let skipped = self.to_skip.min(arrived.len());
            arrived.advance(skipped);
            self.to_skip -= skipped;
            let Some([kind, low, middle, high]) = arrived.first_chunk::<HEADER_BYTES>().copied() else {
                break;
            };
            let length = usize::from(low) | usize::from(middle) << 8 | usize::from(high) << 16;
            if !self.is_identified && kind != STREAM {
                return Err(malformed("the client's snappy stream has no identifier"));
            }
            match kind {
                COMPRESSED | PLAIN | STREAM => {
                    if length > CHECKSUM_BYTES + max_compress_len(BLOCK_BYTES) {
                        return Err(malformed("a chunk of snappy is too large"));
                    }
                    if arrived.len() < HEADER_BYTES + length {
                        break;
                    }
                    arrived.advance(HEADER_BYTES);
                    let before = input.len();
                    let chunk = self.chunk(kind, &arrived.split_to(length), input);
                    // Nothing of an invalid chunk is taken for commands.
                    chunk.inspect_err(|_| input.truncate(before))?;
                }
                SKIPPABLE.. => {
                    arrived.advance(HEADER_BYTES);
                    self.to_skip = length;
                }
                _ => return Err(malformed(format!("a chunk of snappy has the unknown kind {kind}"))),
            }
        }
        Ok(())
    }

    fn chunk(&mut self, kind: u8, data: &[u8], input: &mut BytesMut) -> io::Result<()> {
        if kind == STREAM {
            self.is_identified = true;
            return if data == MAGIC {
                Ok(())
            } else {
                Err(malformed("no stream of snappy's framing format"))
            };
        }
        let (checksum, data) = data
            .split_first_chunk::<CHECKSUM_BYTES>()
            .ok_or_else(|| malformed("a chunk of snappy has no checksum"))?;
        let start = input.len();
        if kind == COMPRESSED {
            let length = decompress_len(data).map_err(malformed)?;
            if length > BLOCK_BYTES {
                return Err(malformed("a chunk of snappy expands to too much"));
            }
            input.resize(start + length, 0);
            self.decoder.decompress(data, &mut input[start..]).map_err(malformed)?;
        } else if data.len() > BLOCK_BYTES {
            return Err(malformed("a chunk of snappy is too large"));
        } else {
            input.extend_from_slice(data);
        }
        if masked_checksum(&input[start..]) != u32::from_le_bytes(*checksum) {
            return Err(malformed("a chunk of snappy has a wrong checksum"));
        }
        Ok(())
    }

    pub(super) fn squeeze(&mut self, output: &[u8], squeezed: &mut BytesMut) -> io::Result<()> {
        if !self.is_begun {
            self.is_begun = true;
            put_header(squeezed, STREAM, MAGIC.len());
            squeezed.put_slice(MAGIC);
        }
        for block in output.chunks(BLOCK_BYTES) {
            self.scratch.resize(max_compress_len(block.len()), 0);
            let length = self.encoder.compress(block, &mut self.scratch).map_err(io::Error::other)?;
            // As in Go's library: what is not at least an eighth smaller goes as it is.
            let (kind, data) = if length < block.len() - block.len() / 8 {
                (COMPRESSED, &self.scratch[..length])
            } else {
                (PLAIN, block)
            };
            put_header(squeezed, kind, CHECKSUM_BYTES + data.len());
            squeezed.put_u32_le(masked_checksum(block));
            squeezed.put_slice(data);
        }
        Ok(())
    }
}

fn put_header(squeezed: &mut BytesMut, kind: u8, length: usize) {
    squeezed.put_u8(kind);
    squeezed.put_uint_le(length as u64, 3);
}

/// The checksum as the format wants it: CRC-32C, rotated and shifted so that data with checksums of its own does no harm.
fn masked_checksum(data: &[u8]) -> u32 {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}
