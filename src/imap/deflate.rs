//! Raw DEFLATE (RFC 1951) over another stream, both ways: what COMPRESS=DEFLATE agrees on (RFC 4978).
//!
//! # In, out
//!
//! In: a stream, and what was received of it already. Out: a stream that carries the same octets in
//! fewer. A flush makes everything that was written readable at the other end.
//!
//! Holds at most one buffer of what came and what one write has become: a server that sends a few
//! octets which become a great many fills the caller's buffer and nothing else.
//!
//! # Never
//!
//! * Never loses its place when the stream below is not ready, either way: the call is made again.
//! * Never takes octets in a call that fails, so that what was handed over is never counted short.

use std::io;
use std::io::Read;
use std::io::Write;
use std::time::Duration;
use std::time::Instant;

use flate2::Compress;
use flate2::Compression;
use flate2::Decompress;
use flate2::FlushCompress;
use flate2::FlushDecompress;
use flate2::Status;

use crate::imap::wire::BUFFER_OCTETS;
use crate::imap::wire::Progress;
use crate::imap::wire::Stream;

/// How hard it is tried. On one core of a small machine, level 1 makes 0.50 of text at 160 MB/s and
/// 0.76 of attachments at 300 MB/s. Level 2 gains a tenth on text, nothing on attachments, and takes
/// seven times as long over them.
const LEVEL: u32 = 1;

/// Least room for what comes out of the deflater at once, in octets.
const ROOM: usize = 16 * 1024;

/// A stream over another one, deflated both ways.
pub(super) struct Deflated {
    inner: Box<dyn Stream>,
    inflater: Decompress,
    deflater: Compress,
    input: Box<[u8]>,
    /// The part of `input` that was received and not inflated.
    from: usize,
    to: usize,
    /// The other end has ended what it deflates: nothing more comes.
    ended: bool,
    /// Deflated, and how much of it the stream below has taken.
    output: Vec<u8>,
    sent: usize,
    /// The deflater may hold octets back that were written.
    held_back: bool,
}

impl Deflated {
    /// Deflates from here on. `received` is what came already, at most one buffer of the wire.
    pub(super) fn new(inner: Box<dyn Stream>, received: &[u8]) -> Self {
        let mut input = vec![0; BUFFER_OCTETS.max(received.len())].into_boxed_slice();
        input[..received.len()].copy_from_slice(received);
        Self {
            inner,
            inflater: Decompress::new(false),
            deflater: Compress::new(Compression::new(LEVEL), false),
            input,
            from: 0,
            to: received.len(),
            ended: false,
            output: Vec::new(),
            sent: 0,
            held_back: false,
        }
    }

    /// Inflates what was received into `out`. Nought: it takes more to make an octet of.
    fn inflate(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let (taken, made) = (self.inflater.total_in(), self.inflater.total_out());
            let ready = &self.input[self.from..self.to];
            let status = self
                .inflater
                .decompress(ready, out, FlushDecompress::None)
                .map_err(|_| not_deflate())?;
            let taken = difference(self.inflater.total_in(), taken);
            let made = difference(self.inflater.total_out(), made);
            self.from += taken;
            self.ended = status == Status::StreamEnd;
            if made > 0 || self.ended || self.from == self.to {
                return Ok(made);
            }
            if taken == 0 {
                return Err(not_deflate());
            }
        }
    }

    /// Appends what becomes of `octets` to the output.
    fn deflate(&mut self, octets: &[u8], flush: FlushCompress) -> io::Result<()> {
        let mut rest = octets;
        loop {
            self.output.reserve(ROOM);
            let taken = self.deflater.total_in();
            self.deflater
                .compress_vec(rest, &mut self.output, flush)
                .map_err(|fault| io::Error::other(fault.to_string()))?;
            rest = &rest[difference(self.deflater.total_in(), taken)..];
            // With room to spare, nothing waited for room.
            if rest.is_empty() && self.output.len() < self.output.capacity() {
                return Ok(());
            }
        }
    }

    /// Has the stream below take all of the output.
    fn drain(&mut self) -> io::Result<()> {
        let mut progress = Progress::default();
        while self.sent < self.output.len() {
            let asked = Instant::now();
            let count = self.inner.write(&self.output[self.sent..])?;
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.sent += count;
            let count = u64::try_from(count).unwrap_or(u64::MAX);
            if progress.is_too_little(asked.elapsed(), count) && self.sent < self.output.len() {
                return Err(io::Error::other("the server takes less than 1 KiB a minute"));
            }
        }
        self.output.clear();
        self.sent = 0;
        Ok(())
    }
}

impl Read for Deflated {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() || self.ended {
            return Ok(0);
        }
        let made = self.inflate(out)?;
        if made > 0 || self.ended {
            return Ok(made);
        }
        let count = self.inner.read(&mut self.input)?;
        (self.from, self.to) = (0, count);
        if count == 0 {
            return Ok(0);
        }
        let made = self.inflate(out)?;
        if made > 0 || self.ended {
            return Ok(made);
        }
        // Something came and makes no octet. The caller looks at the clock, then asks again: a server
        // could send nothing but empty blocks for ever.
        Err(io::ErrorKind::WouldBlock.into())
    }
}

impl Write for Deflated {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        if octets.is_empty() {
            return Ok(0);
        }
        // First what may fail; octets that are taken after it are taken for good.
        self.drain()?;
        let taken = octets.len().min(BUFFER_OCTETS);
        self.deflate(&octets[..taken], FlushCompress::None)?;
        self.held_back = true;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.held_back {
            self.deflate(&[], FlushCompress::Sync)?;
            self.held_back = false;
        }
        self.drain()?;
        self.inner.flush()
    }
}

impl Stream for Deflated {
    fn set_timeout(&mut self, timeout: Duration) -> io::Result<()> {
        self.inner.set_timeout(timeout)
    }

    fn wipe_sent(&mut self) {
        self.inner.wipe_sent();
    }
}

/// Stands where a stream is taken out to be wrapped.
impl Stream for io::Empty {
    fn set_timeout(&mut self, _: Duration) -> io::Result<()> {
        Ok(())
    }
}

fn not_deflate() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "what the server sends is not deflated")
}

/// How much a total has grown by one call, which is never more than a buffer.
fn difference(now: u64, before: u64) -> usize {
    usize::try_from(now - before).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::Mutex;

    use proptest::prelude::*;

    use super::*;

    /// What one call of the line below does.
    #[derive(Clone, Copy, Debug)]
    enum Turn {
        /// Moves at most so many octets.
        Moves(usize),
        /// Is not ready.
        Waits(io::ErrorKind),
    }

    /// The other end: gives `input`, keeps what it takes, in turns that begin anew when they end.
    struct Line {
        input: io::Cursor<Vec<u8>>,
        taken: Arc<Mutex<Vec<u8>>>,
        turns: Vec<Turn>,
        turn: usize,
    }

    impl Line {
        fn turn(&mut self) -> io::Result<usize> {
            self.turn += 1;
            match self.turns[self.turn % self.turns.len()] {
                Turn::Moves(most) => Ok(most),
                Turn::Waits(kind) => Err(kind.into()),
            }
        }
    }

    impl Read for Line {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let most = self.turn()?.min(out.len());
            self.input.read(&mut out[..most])
        }
    }

    impl Write for Line {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            let most = self.turn()?.min(octets.len());
            self.taken.lock().unwrap().extend_from_slice(&octets[..most]);
            Ok(most)
        }

        fn flush(&mut self) -> io::Result<()> {
            self.turn().map(drop)
        }
    }

    impl Stream for Line {
        fn set_timeout(&mut self, _: Duration) -> io::Result<()> {
            Ok(())
        }
    }

    type Taken = Arc<Mutex<Vec<u8>>>;

    fn over(received: &[u8], input: &[u8], turns: &[Turn]) -> (Deflated, Taken) {
        let taken = Taken::default();
        let line = Line {
            input: io::Cursor::new(input.to_vec()),
            taken: Arc::clone(&taken),
            turns: turns.to_vec(),
            turn: 0,
        };
        (Deflated::new(Box::new(line), received), taken)
    }

    const EASY: &[Turn] = &[Turn::Moves(usize::MAX)];

    /// Octets that cannot be made fewer.
    fn noise(octets: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let next = std::iter::from_fn(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            Some(state.to_be_bytes()[0])
        });
        next.take(octets).collect()
    }

    fn is_wait(fault: &io::Error) -> bool {
        use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
        matches!(fault.kind(), Interrupted | TimedOut | WouldBlock)
    }

    /// Writes all of it as the wire does: what was not taken is written again.
    fn write(deflated: &mut Deflated, mut octets: &[u8]) {
        while !octets.is_empty() {
            match deflated.write(octets) {
                Ok(count) => octets = &octets[count..],
                Err(fault) => assert!(is_wait(&fault), "{fault}"),
            }
        }
    }

    fn flush(deflated: &mut Deflated) {
        while let Err(fault) = deflated.flush() {
            assert!(is_wait(&fault), "{fault}");
        }
    }

    /// Reads so many octets as the wire does, in pieces.
    fn read(deflated: &mut Deflated, octets: usize, piece: usize) -> Vec<u8> {
        let mut got = Vec::new();
        let mut out = vec![0; piece];
        while got.len() < octets {
            match deflated.read(&mut out) {
                Ok(0) => break,
                Ok(count) => got.extend_from_slice(&out[..count]),
                Err(fault) => assert!(is_wait(&fault), "{fault}"),
            }
        }
        got
    }

    /// What the other end sends for these octets, each part flushed.
    fn deflated(parts: &[Vec<u8>]) -> Vec<u8> {
        let (mut there, taken) = over(b"", b"", EASY);
        for part in parts {
            write(&mut there, part);
            flush(&mut there);
        }
        drop(there);
        Arc::try_unwrap(taken).unwrap().into_inner().unwrap()
    }

    fn turns() -> impl Strategy<Value = Vec<Turn>> {
        let wait = prop_oneof![
            Just(io::ErrorKind::WouldBlock),
            Just(io::ErrorKind::TimedOut),
            Just(io::ErrorKind::Interrupted),
        ];
        let turn = prop_oneof![
            3 => (1..50_usize).prop_map(Turn::Moves),
            2 => (1..20_000_usize).prop_map(Turn::Moves),
            2 => wait.prop_map(Turn::Waits),
        ];
        // One turn at least that moves something.
        (proptest::collection::vec(turn, 0..8), 1..100_usize).prop_map(|(mut turns, most)| {
            turns.push(Turn::Moves(most));
            turns
        })
    }

    /// Parts of a conversation: text that repeats itself, and octets that do not.
    fn parts() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let random = proptest::collection::vec(any::<u8>(), 0..3_000);
        let text = (0..4_000_usize).prop_map(|count| b"Received: from a by b;\r\n".repeat(count));
        proptest::collection::vec(prop_oneof![random, text], 1..6)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_is_written_comes_out_whatever_the_line_does(
            parts in parts(), there in turns(), back in turns(), piece in 1..5_000_usize,
            early in 0..200_usize,
        ) {
            let (mut writer, taken) = over(b"", b"", &there);
            for part in &parts {
                write(&mut writer, part);
                flush(&mut writer);
            }
            let sent = taken.lock().unwrap().clone();
            // A part of it was received before the stream was taken over.
            let (received, input) = sent.split_at(early.min(sent.len()));
            let (mut reader, _) = over(received, input, &back);
            let whole = parts.concat();
            prop_assert_eq!(read(&mut reader, whole.len(), piece), whole);
        }
    }

    #[test]
    fn a_flush_makes_everything_readable_at_the_other_end() {
        for size in [1, 100, 65_535, 65_536, 200_000] {
            let octets = noise(size);
            let sent = deflated(std::slice::from_ref(&octets));
            assert_eq!(read(&mut over(b"", &sent, EASY).0, octets.len(), 1 << 16), octets);
        }
    }

    #[test]
    fn octets_that_are_taken_are_taken_in_calls_that_succeed() {
        let (mut writer, taken) = over(b"", b"", &[Turn::Waits(io::ErrorKind::BrokenPipe)]);
        let noise = noise(BUFFER_OCTETS);
        // The first write has nothing to send before it, and takes all.
        assert_eq!(writer.write(&noise).unwrap(), noise.len());
        let fault = (0..4).find_map(|_| writer.write(&noise).err()).unwrap();
        assert_eq!(fault.kind(), io::ErrorKind::BrokenPipe);
        let held = (writer.output.len(), writer.deflater.total_in());
        assert!(writer.write(&noise).is_err());
        assert_eq!((writer.output.len(), writer.deflater.total_in()), held);
        assert!(taken.lock().unwrap().is_empty());
    }

    #[test]
    fn what_waits_to_be_sent_is_bounded() {
        let turns = [Turn::Moves(1000)];
        let (mut writer, _) = over(b"", b"", &turns);
        let noise = noise(1 << 20);
        let mut rest = noise.as_slice();
        while !rest.is_empty() {
            rest = &rest[writer.write(rest).unwrap()..];
            assert!(writer.output.capacity() <= 4 * BUFFER_OCTETS, "{}", writer.output.capacity());
        }
    }

    #[test]
    fn few_octets_that_become_a_great_many_fill_the_callers_buffer_only() {
        let bomb = deflated(&[vec![0; 64 << 20]]);
        assert!(bomb.len() < 1 << 20);
        let (mut reader, _) = over(b"", &bomb, EASY);
        let mut out = [1; 4096];
        let mut got = 0;
        while got < 64 << 20 {
            got += reader.read(&mut out).unwrap();
            assert_eq!(reader.input.len(), BUFFER_OCTETS);
        }
        assert_eq!(out, [0; 4096]);
    }

    #[test]
    fn empty_blocks_without_end_let_the_caller_look_at_its_clock() {
        let blocks = [0, 0, 0, 0xff, 0xff].repeat(100_000);
        let (mut reader, _) = over(b"", &blocks, &[Turn::Moves(5)]);
        for _ in 0..1000 {
            let fault = reader.read(&mut [0; 16]).unwrap_err();
            assert_eq!(fault.kind(), io::ErrorKind::WouldBlock);
        }
    }

    #[test]
    fn what_is_not_deflated_is_a_fault_and_stays_one() {
        let (mut reader, _) = over(b"\x07 a block of no kind", b"more of it", EASY);
        for _ in 0..3 {
            let fault = reader.read(&mut [0; 100]).unwrap_err();
            assert_eq!(fault.kind(), io::ErrorKind::InvalidData);
        }
    }

    #[test]
    fn the_end_of_the_line_and_of_what_is_deflated_are_ends() {
        let (mut cut, _) = over(b"", &deflated(&[b"* BYE".to_vec()]), EASY);
        assert_eq!(read(&mut cut, 100, 100), b"* BYE");
        assert_eq!(cut.read(&mut [0; 10]).unwrap(), 0);
        // A last block, and something behind it.
        let (mut ended, _) = over(b"\x03\x00", b"* OK", EASY);
        for _ in 0..3 {
            assert_eq!(ended.read(&mut [0; 10]).unwrap(), 0);
        }
    }
}
