//! The wire: one byte stream, read in lines and literals, bounded and timed.
//!
//! Knows nothing of commands. Every read is capped, every wait has a limit, and a connection that
//! trickles is given up: least progress is 1 KiB in 60 s, whatever the read timeout.

use std::io;
use std::io::IoSlice;
use std::io::Read;
use std::io::Write;
use std::time::Duration;
use std::time::Instant;

use zeroize::Zeroize as _;

use crate::imap::blocks::Blocks;
use crate::imap::deflate::Deflated;
use crate::imap::pace::Pace;
use crate::store::Chunk;
use crate::store::StoreError;

/// Read and write buffers, and the largest piece of a literal, in octets.
pub(super) const BUFFER_OCTETS: usize = 64 * 1024;

/// Chunks from this size on leave from where they lie, in octets: below it a copy costs less.
const CHUNK_OCTETS_MIN: usize = 2 * 1024;

/// Octets of blocks that wait for a socket at most: chunks of more of them leave at once.
const BLOCKS_QUEUED_MAX: usize = 4 * BUFFER_OCTETS;

/// Longest line that is read, in octets, literals not counted.
const LINE_OCTETS_MAX: usize = 1 << 20;

/// Longest literal outside of message bodies, in octets.
const LITERAL_OCTETS_MAX: u64 = 1 << 20;

/// Longest whole response that is held, in octets: line and literals together.
const RESPONSE_OCTETS_MAX: usize = 4 << 20;

/// Most octets that may come without an answer among them: a server that chatters for ever keeps the
/// clock of least progress content. News of a million messages take half of it.
const CHATTER_OCTETS_MAX: u64 = 64 << 20;

/// What a response is counted for at least: reading it costs as much as so many octets.
const CHATTER_OCTETS_MIN: u64 = 32;

/// Least progress of a reply that has begun.
const LEAST_PROGRESS: (u64, Duration) = (1024, Duration::from_mins(1));

/// What a connection reads from and writes to: TCP, TLS over it, or a test's own.
pub(super) trait Stream: Read + Write + Send {
    /// Sets how long one read or write may take.
    fn set_timeout(&mut self, timeout: Duration) -> io::Result<()>;

    /// Overwrites copies of what was written, such as a password, where it keeps any.
    fn wipe_sent(&mut self) {}
}

/// One connection. After any error it is dead: drop it.
pub(super) struct Wire {
    stream: Box<dyn Stream>,
    blocks: Blocks,
    /// What was received and not yet taken.
    input: Chunk,
    /// What is queued, but for `chunks`.
    output: Vec<u8>,
    /// Chunks that are queued, each with how much of `output` goes before it.
    chunks: Vec<(usize, Chunk)>,
    /// Octets that are queued.
    queued: usize,
    /// Octets of the blocks that the chunks hold.
    blocks_queued: usize,
    timeout: Duration,
    /// Since the last octet that was sent; nothing until the first one that comes back.
    progress: Option<Progress>,
    /// When what is not answered began to be sent, or the connection was begun: a wait that begins later,
    /// because this thread had to wait for a processor, does not show how far the server is.
    asked: Instant,
    tags: u32,
    /// The text of an untagged BYE, once one came.
    bye: Option<String>,
    sent_octets: u64,
    /// Octets that came since the last answer.
    chatter: u64,
    /// The tag of a command whose answer nobody waits for.
    owed: Option<String>,
    pace: Pace,
}

/// Octets that passed, and the time that was spent waiting for them.
#[derive(Default)]
pub(super) struct Progress {
    waited: Duration,
    octets: u64,
}

impl Progress {
    /// Counts octets and the wait for them; tells whether that is below the least progress.
    pub(super) fn is_too_little(&mut self, waited: Duration, count: u64) -> bool {
        let (least, within) = LEAST_PROGRESS;
        self.waited += waited;
        self.octets += count;
        if self.octets >= least {
            *self = Self::default();
            return false;
        }
        self.waited > within
    }
}

/// How a line ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineEnd {
    /// With CRLF, or a bare LF.
    Line,
    /// With the announcement of a literal of so many octets, which follows.
    Literal(u64),
}

impl Wire {
    /// Takes over a stream that nothing was read from.
    pub(super) fn new(mut stream: Box<dyn Stream>, timeout: Duration) -> io::Result<Self> {
        stream.set_timeout(timeout.min(LEAST_PROGRESS.1))?;
        Ok(Self {
            stream,
            blocks: Blocks::default(),
            input: Chunk::default(),
            output: Vec::with_capacity(BUFFER_OCTETS),
            chunks: Vec::new(),
            queued: 0,
            blocks_queued: 0,
            timeout,
            progress: None,
            asked: Instant::now(),
            tags: 0,
            bye: None,
            sent_octets: 0,
            chatter: 0,
            owed: None,
            pace: Pace::default(),
        })
    }

    /// Says since when the greeting is waited for: since the connection, or its last words of TLS, began to
    /// be sent.
    pub(super) const fn begun_at(&mut self, at: Instant) {
        self.asked = at;
    }

    /// Has everything deflated from here on, both ways; what was received and not taken is so already.
    ///
    /// # Errors
    ///
    /// Those of sending what is still queued.
    pub(super) fn deflate(&mut self) -> Result<(), StoreError> {
        self.flush()?;
        let plain = std::mem::replace(&mut self.stream, Box::new(io::empty()));
        self.stream = Box::new(Deflated::new(plain, &std::mem::take(&mut self.input)));
        Ok(())
    }

    /// How fast the line is.
    pub(super) const fn pace(&self) -> &Pace {
        &self.pace
    }

    /// The same, to be told which way mail moves.
    pub(super) const fn pace_mut(&mut self) -> &mut Pace {
        &mut self.pace
    }

    /// A new tag of the transfer path: `X1`, `X2`, and so on.
    pub(super) fn tag(&mut self) -> String {
        self.tags = self.tags.wrapping_add(1);
        format!("X{}", self.tags)
    }

    /// Queues octets; they leave with [`flush`](Self::flush) or when the buffer is full.
    pub(super) fn put(&mut self, octets: &[u8]) -> Result<(), StoreError> {
        if self.queued + octets.len() > BUFFER_OCTETS {
            self.flush()?;
        }
        if octets.len() >= BUFFER_OCTETS {
            return self.send(&mut [IoSlice::new(octets)]);
        }
        self.output.extend_from_slice(octets);
        self.queued += octets.len();
        Ok(())
    }

    /// Likewise, without a copy where that pays.
    pub(super) fn put_chunk(&mut self, chunk: &Chunk) -> Result<(), StoreError> {
        if chunk.len() < CHUNK_OCTETS_MIN {
            return self.put(chunk);
        }
        if self.queued + chunk.len() > BUFFER_OCTETS && self.queued >= BUFFER_OCTETS / 2 {
            self.flush()?;
        }
        let last = self.chunks.last().map(|(_, last)| last.block_address());
        if last != Some(chunk.block_address()) {
            self.blocks_queued += chunk.block_octets();
        }
        self.chunks.push((self.output.len(), chunk.clone()));
        self.queued += chunk.len();
        let is_full = self.queued >= BUFFER_OCTETS || self.blocks_queued >= BLOCKS_QUEUED_MAX;
        if is_full { self.flush() } else { Ok(()) }
    }

    /// Hands everything queued to the socket.
    pub(super) fn flush(&mut self) -> Result<(), StoreError> {
        let output = std::mem::take(&mut self.output);
        let chunks = std::mem::take(&mut self.chunks);
        let mut pieces = Vec::with_capacity(2 * chunks.len() + 1);
        let mut from = 0;
        for (at, chunk) in &chunks {
            pieces.push(IoSlice::new(&output[from..*at]));
            pieces.push(IoSlice::new(chunk));
            from = *at;
        }
        pieces.push(IoSlice::new(&output[from..]));
        let sent = self.send(&mut pieces);
        drop(pieces);
        (self.output, self.chunks) = (output, chunks);
        (self.queued, self.blocks_queued) = (0, 0);
        self.output.clear();
        self.chunks.clear();
        sent
    }

    fn send(&mut self, mut rest: &mut [IoSlice<'_>]) -> Result<(), StoreError> {
        // Without those at the beginning that are empty.
        IoSlice::advance_slices(&mut rest, 0);
        let octets = rest.iter().map(|piece| piece.len()).sum();
        if octets == 0 {
            return Ok(());
        }
        let mut left: usize = octets;
        let began = Instant::now();
        if self.progress.take().is_some() {
            self.asked = began;
        }
        let mut silent_since = began;
        let mut progress = Progress::default();
        while left > 0 {
            match self.stream.write_vectored(rest) {
                Ok(0) => return Err(self.lost("the server takes no more")),
                Ok(count) => {
                    left = left.saturating_sub(count);
                    IoSlice::advance_slices(&mut rest, count);
                    let count = u64::try_from(count).unwrap_or(u64::MAX);
                    self.sent_octets += count;
                    if progress.is_too_little(silent_since.elapsed(), count) && left > 0 {
                        return Err(self.lost("the server takes less than 1 KiB a minute"));
                    }
                    silent_since = Instant::now();
                }
                Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
                Err(fault) if is_timeout(&fault) && silent_since.elapsed() < self.timeout => {}
                Err(fault) => return Err(self.failed(&fault)),
            }
        }
        // TLS takes octets before the socket does, and tells of a full socket only here.
        loop {
            match self.stream.flush() {
                Ok(()) => {
                    self.pace.sent(began.elapsed());
                    return Ok(());
                }
                Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
                Err(fault) if is_timeout(&fault) && silent_since.elapsed() < self.timeout => {}
                Err(fault) => return Err(self.failed(&fault)),
            }
        }
    }

    /// Overwrites what was queued and sent, such as a password.
    pub(super) fn wipe_sent(&mut self) {
        if self.queued == 0 {
            let room = self.output.capacity();
            self.output.resize(room, 0);
            self.output.zeroize();
        }
        self.stream.wipe_sent();
    }

    /// How many octets were handed to the socket so far.
    pub(super) const fn sent_octets(&self) -> u64 {
        self.sent_octets
    }

    /// Octets that were received and not yet taken, such as what somebody slipped in before TLS.
    pub(super) fn unread(&self) -> &[u8] {
        &self.input
    }

    /// Appends the next line to `line`, without its line end and without a literal's announcement.
    pub(super) fn line(&mut self, line: &mut Vec<u8>) -> Result<LineEnd, StoreError> {
        let begin = line.len();
        loop {
            if self.input.is_empty() {
                self.fill()?;
            }
            let ready = &*self.input;
            let end = memchr::memchr(b'\n', ready);
            let take = end.map_or(ready.len(), |end| end + 1);
            if line.len() - begin + take > LINE_OCTETS_MAX {
                return Err(StoreError::Protocol(format!(
                    "a line of over {LINE_OCTETS_MAX} octets"
                )));
            }
            line.extend_from_slice(&self.input.split_to(take));
            if end.is_some() {
                line.pop();
                if line.len() > begin && line.last() == Some(&b'\r') {
                    line.pop();
                }
                let Some((octets, announcement)) = literal_at_end(&line[begin..]) else {
                    return Ok(LineEnd::Line);
                };
                line.truncate(line.len() - announcement);
                return Ok(LineEnd::Literal(octets));
            }
        }
    }

    /// Pours a literal of so many octets into `sink`, in pieces of at most 64 KiB.
    pub(super) fn literal(
        &mut self,
        octets: u64,
        sink: &mut dyn FnMut(&Chunk),
    ) -> Result<(), StoreError> {
        let mut left = octets;
        while left > 0 {
            if self.input.is_empty() {
                self.fill()?;
            }
            let piece = self.input.split_to(usize::try_from(left).unwrap_or(usize::MAX));
            sink(&piece);
            left -= u64::try_from(piece.len()).unwrap_or(left);
        }
        Ok(())
    }

    /// Appends a literal outside of message bodies to `line`; refuses an absurd one.
    pub(super) fn small_literal(
        &mut self,
        octets: u64,
        line: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        let room = RESPONSE_OCTETS_MAX.saturating_sub(line.len());
        if octets > LITERAL_OCTETS_MAX || usize::try_from(octets).is_ok_and(|octets| octets > room)
        {
            return Err(StoreError::Protocol(format!("a literal of {octets} octets")));
        }
        self.literal(octets, &mut |piece| line.extend_from_slice(piece))
    }

    /// Reads one whole response into `line`: literals stand in it as `{n}` CRLF and their octets, as
    /// they were sent. The last line end is left out.
    pub(super) fn response(&mut self, line: &mut Vec<u8>) -> Result<(), StoreError> {
        line.clear();
        let end = self.line(line)?;
        self.rest_of_response(end, line)?;
        if self.is_owed(line) {
            // To whoever waits for something it is an empty line.
            line.clear();
        }
        Ok(())
    }

    /// Tells whether the answer to a command that was put aside is still to come.
    pub(super) const fn is_owing(&self) -> bool {
        self.owed.is_some()
    }

    /// Queues a command, given without tag and line end, to go along with the next one. How it ends is of
    /// no interest, and not told.
    ///
    /// # Errors
    ///
    /// Those of sending.
    pub(super) fn put_aside(&mut self, command: &str) -> Result<(), StoreError> {
        let tag = self.tag();
        self.put(format!("{tag} {command}\r\n").as_bytes())?;
        self.owed = Some(tag);
        Ok(())
    }

    /// Tells whether this response is how a command ended whose end is of no interest.
    pub(super) fn is_owed(&mut self, line: &[u8]) -> bool {
        let is_it = self.owed.as_ref().is_some_and(|tag| {
            line.strip_prefix(tag.as_bytes()).is_some_and(|rest| rest.first() == Some(&b' '))
        });
        if is_it {
            self.owed = None;
        }
        is_it
    }

    /// Reads the rest of a response whose first line, which ended so, is in `line` already.
    pub(super) fn rest_of_response(
        &mut self,
        mut end: LineEnd,
        line: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        while let LineEnd::Literal(octets) = end {
            line.extend_from_slice(format!("{{{octets}}}\r\n").as_bytes());
            self.small_literal(octets, line)?;
            end = self.line(line)?;
        }
        self.note_bye(line);
        Ok(())
    }

    /// Counts a response that was no answer to anything.
    ///
    /// # Errors
    ///
    /// [`StoreError::Protocol`] when nothing else has come for too long.
    pub(super) fn note_chatter(&mut self, octets: u64) -> Result<(), StoreError> {
        self.chatter = self.chatter.saturating_add(octets.max(CHATTER_OCTETS_MIN));
        if self.chatter > CHATTER_OCTETS_MAX {
            return Err(StoreError::Protocol("an answer without end".to_owned()));
        }
        Ok(())
    }

    /// Notes that an answer came.
    pub(super) const fn note_answer(&mut self) {
        self.chatter = 0;
    }

    /// Keeps the text of an untagged BYE, so that the fault that follows can tell it.
    pub(super) fn note_bye(&mut self, line: &[u8]) {
        if line.get(..6).is_some_and(|start| start.eq_ignore_ascii_case(b"* BYE ")) {
            let text = String::from_utf8_lossy(&line[6..]);
            self.bye = Some(text.chars().take(300).collect());
        }
    }

    fn fill(&mut self) -> Result<(), StoreError> {
        self.flush()?;
        // What it held is free for what comes.
        self.input = Chunk::default();
        let asked = Instant::now();
        loop {
            let Self { stream, blocks, .. } = self;
            match blocks.receive(|room| stream.read(room)) {
                Ok(came) if came.is_empty() => return Err(self.lost("the server closed it")),
                Ok(came) => {
                    let count = u64::try_from(came.len()).unwrap_or(u64::MAX);
                    self.input = came;
                    let waited = asked.elapsed();
                    let answers = self.progress.is_none().then(|| self.asked.elapsed());
                    self.pace.received(count, waited, answers);
                    return self.least_progress(waited, count);
                }
                Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
                Err(fault) if is_timeout(&fault) && asked.elapsed() < self.timeout => {}
                Err(fault) => return Err(self.failed(&fault)),
            }
        }
    }

    /// Gives up on a server that trickles. What counts is time spent waiting inside one reply: neither
    /// many short answers to many commands nor our own pauses do.
    fn least_progress(&mut self, waited: Duration, count: u64) -> Result<(), StoreError> {
        let Some(progress) = &mut self.progress else {
            self.progress = Some(Progress { waited: Duration::ZERO, octets: count });
            return Ok(());
        };
        if progress.is_too_little(waited, count) {
            return Err(self.lost("the server sends less than 1 KiB a minute"));
        }
        Ok(())
    }

    fn failed(&self, fault: &io::Error) -> StoreError {
        if is_timeout(fault) {
            self.lost(&format!("no answer in {} s", self.timeout.as_secs()))
        } else if fault.kind() == io::ErrorKind::UnexpectedEof {
            self.lost("the server closed it")
        } else {
            self.lost(&fault.to_string())
        }
    }

    fn lost(&self, why: &str) -> StoreError {
        StoreError::Connection(match &self.bye {
            Some(bye) => format!("{why}, after it said BYE {bye}"),
            None => why.to_owned(),
        })
    }
}

fn is_timeout(fault: &io::Error) -> bool {
    matches!(fault.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Reads `{n}`, `{n+}` or `~{n}` at the end of a line: the size, and how many octets announce it.
fn literal_at_end(line: &[u8]) -> Option<(u64, usize)> {
    let inner = line.strip_suffix(b"}")?;
    let inner = inner.strip_suffix(b"+").unwrap_or(inner);
    let digits = inner.iter().rev().take_while(|octet| octet.is_ascii_digit()).count();
    let open = inner.len().checked_sub(digits + 1)?;
    if inner[open] != b'{' || digits == 0 || digits > 19 {
        return None;
    }
    let start = if open > 0 && inner[open - 1] == b'~' { open - 1 } else { open };
    let octets = std::str::from_utf8(&inner[open + 1..]).ok()?.parse().ok()?;
    Some((octets, line.len() - start))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::Mutex;

    use super::*;

    /// A peer that sends what it was given, at most so many octets a read, and takes as many a write.
    struct Peer {
        input: io::Cursor<Vec<u8>>,
        piece: usize,
        taken: Taken,
    }

    /// What a peer took.
    type Taken = Arc<Mutex<Vec<u8>>>;

    impl Read for Peer {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let most = self.piece.min(out.len());
            self.input.read(&mut out[..most])
        }
    }

    impl Write for Peer {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            let most = self.piece.min(octets.len());
            self.taken.lock().unwrap().extend_from_slice(&octets[..most]);
            Ok(most)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Stream for Peer {
        fn set_timeout(&mut self, _timeout: Duration) -> io::Result<()> {
            Ok(())
        }
    }

    fn wire(input: &[u8], piece: usize) -> Wire {
        let input = io::Cursor::new(input.to_vec());
        let peer = Peer { input, piece, taken: Taken::default() };
        Wire::new(Box::new(peer), Duration::from_secs(1)).unwrap()
    }

    /// All responses, one after the other, with `|` between them; then the fault.
    fn responses(input: &[u8], piece: usize) -> String {
        let mut wire = wire(input, piece);
        let (mut all, mut line) = (Vec::new(), Vec::new());
        loop {
            match wire.response(&mut line) {
                Ok(()) => all.push(line.escape_ascii().to_string()),
                Err(fault) => return format!("{}: {fault}", all.join("|")),
            }
        }
    }

    #[test]
    fn responses_come_whole_whatever_the_pieces() {
        let input = b"* OK a\r\n* x {3}\r\na\r\n y\r\nbare\n\r\n* z ~{2}\r\n\0\n {0+}\r\n\r\n* cut";
        let expected = "* OK a|* x {3}\\r\\na\\r\\n y|bare||* z {2}\\r\\n\\x00\\n {0}\\r\\n: \
                        the connection was lost: the server closed it";
        for piece in 1..input.len() {
            assert_eq!(responses(input, piece), expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn only_an_announcement_at_the_end_is_a_literal() {
        for line in ["{}", "{x}", "3}", "{3} ", "{-1}", "{99999999999999999999}", "a{3"] {
            assert_eq!(literal_at_end(line.as_bytes()), None, "{line}");
        }
        assert_eq!(literal_at_end(b"BODY[] ~{12+}"), Some((12, 6)));
        assert_eq!(literal_at_end(b"{9999999999}"), Some((9_999_999_999, 12)));
    }

    #[test]
    fn caps_hold_to_the_octet() {
        let fits = [b"x".repeat(LINE_OCTETS_MAX - 2), b"\r\n".to_vec()].concat();
        assert!(responses(&fits, 5000).ends_with("closed it"));
        let beyond = b"x".repeat(LINE_OCTETS_MAX + 1);
        assert!(responses(&beyond, 5000).contains("a line of over"));
        assert!(responses(b"* x {1048577}\r\n", 5000).contains("a literal of 1048577 octets"));
        let literal = [b"{1048576}\r\n".to_vec(), b"x".repeat(1 << 20)].concat();
        let whole = literal.repeat(5);
        assert!(
            responses(&whole, 5000).contains("a literal of 1048576 octets"),
            "together too much"
        );
    }

    #[test]
    fn less_than_a_kibibyte_a_minute_is_given_up() {
        let second = Duration::from_secs(1);
        let mut slow = Progress::default();
        let given_up = (0..100).position(|_| slow.is_too_little(second, 16));
        assert_eq!(given_up, Some(60));
        let mut enough = Progress::default();
        assert!(!(0..1000).any(|_| enough.is_too_little(second, 18)));
        let mut wire = wire(b"", 1);
        assert!(wire.least_progress(second * 600, 1).is_ok(), "the first octet may take its time");
        assert!(wire.least_progress(second * 61, 1).is_err());
    }

    #[test]
    fn round_trip_begins_with_what_is_sent_and_not_with_the_wait_for_the_answer() {
        let long = Duration::from_millis(20);
        let mut wire = wire(b"* OK hi\r\nX1 OK\r\n", 9);
        let ages = long * 1_000;
        wire.begun_at(Instant::now().checked_sub(ages).unwrap());
        let mut line = Vec::new();
        wire.response(&mut line).unwrap();
        assert!(wire.pace().round_trip().unwrap() >= ages);
        wire.put(b"X1 NOOP\r\n").unwrap();
        wire.flush().unwrap();
        std::thread::sleep(long);
        wire.response(&mut line).unwrap();
        assert!((long..ages).contains(&wire.pace().round_trip().unwrap()));
    }

    #[test]
    fn everything_queued_is_sent_in_order() {
        let mut wire = wire(b"", 1000);
        wire.put(b"a").unwrap();
        wire.put(&b"b".repeat(BUFFER_OCTETS)).unwrap();
        wire.put(b"c").unwrap();
        wire.flush().unwrap();
        assert_eq!(wire.sent_octets(), 2 + u64::try_from(BUFFER_OCTETS).unwrap());
    }

    #[test]
    fn chunks_leave_between_what_was_queued_before_and_after_them() {
        for piece in [1, 700, 5_000, 1_000_000] {
            let taken = Taken::default();
            let peer = Peer { input: io::Cursor::default(), piece, taken: taken.clone() };
            let mut wire = Wire::new(Box::new(peer), Duration::from_secs(1)).unwrap();
            let mut expected = Vec::new();
            for (number, size) in (0_u8..).zip([9, 4_000, 0, 70_000, 3, 30_000, 64_000, 2_048, 1]) {
                let octets = vec![number; size];
                wire.put(&octets[..size.min(50)]).unwrap();
                wire.put_chunk(&Chunk::from(octets.as_slice())).unwrap();
                expected.extend_from_slice(&octets[..size.min(50)]);
                expected.extend_from_slice(&octets);
            }
            wire.flush().unwrap();
            assert!(*taken.lock().unwrap() == expected, "in pieces of {piece}");
        }
    }
}
