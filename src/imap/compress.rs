//! COMPRESS=DEFLATE (RFC 4978): whether, when, and the command.
//!
//! # In, out
//!
//! In: what the manifest says, what the server offers, what the wire measured. Out: a wire that
//! compresses, or not, and the reason.
//!
//! What was found of a server holds for all sessions with it: the next one begins with it.
//!
//! # Never
//!
//! * Never while a command is unanswered: what the server sends behind its OK is deflated.
//! * Never twice to a server that refused it, or with which it did not work.
//! * Never uses the connection when the change did not come about whole.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use crate::imap::command::answer;
use crate::imap::command::run;
use crate::imap::pace::Measured;
use crate::imap::pace::Way;
use crate::imap::reader::Data;
use crate::imap::reader::Parsed;
use crate::imap::reader::Status;
use crate::imap::server::Compress;
use crate::imap::wire::Wire;
use crate::store::Compression;
use crate::store::StoreError;

/// Below this, in octets a second, reading is compressed. A server's zlib at its usual level 6 makes
/// 30 to 60 MB/s of mail on one core; what it sends compressed can be no faster.
const WORTH_BELOW_READING: u64 = 30_000_000;

/// So many times as much may come over all connections of the account together, which is the cores that
/// a server is thought to spare for one account: where each of many connections gets little of a server
/// that is busy, it is not the line, and compression would make it busier.
const CORES: u64 = 2;

/// Below this, in octets a second over all connections of the account, writing is compressed. Ours makes
/// 160 MB/s of text and 300 of attachments, and servers read 300 and more, one after the other where
/// nothing overlaps: a quarter less to send, as of attachments, gains below some 40 MB/s. A third of that:
/// what is measured has the time in it that the server takes to store mail.
const WORTH_BELOW_WRITING: u64 = 13_500_000;

/// What all sessions with one server share.
#[derive(Clone, Debug, Default)]
pub(super) struct Agreement {
    wish: Compress,
    /// [`Compression::Undecided`], or what was measured, or that it does not work.
    found: Arc<Mutex<Compression>>,
}

impl Agreement {
    /// Begins with a wish and nothing found.
    pub(super) fn new(wish: Compress) -> Self {
        Self { wish, found: Arc::default() }
    }

    fn found(&self) -> Compression {
        *self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, found: Compression) {
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = found;
    }
}

/// What one session does about compression.
#[derive(Debug, Default)]
pub(super) struct Compressor {
    agreement: Agreement,
    state: Compression,
}

impl Compressor {
    /// Begins a session that is not compressed, with a server that offers compression or not.
    pub(super) fn new(agreement: &Agreement, offered: bool) -> Self {
        let state = match (agreement.wish, offered) {
            (Compress::Off, _) => Compression::Forbidden,
            (_, false) => Compression::NotOffered,
            _ => Compression::Undecided,
        };
        Self { agreement: agreement.clone(), state }
    }

    /// Whether the session compresses, and why.
    pub(super) const fn state(&self) -> Compression {
        self.state
    }

    /// Tells whether there is anything new to decide by.
    pub(super) fn is_due(&self, wire: &Wire) -> bool {
        match self.state {
            Compression::Undecided if self.agreement.wish == Compress::On => true,
            Compression::Undecided => {
                self.agreement.found() != self.state
                    || wire.pace().is_near()
                    || wire.pace().measured().is_some()
            }
            Compression::NotWorth(_) => {
                !matches!(self.agreement.found(), Compression::NotWorth(_))
                    || wire.pace().measured().is_some()
            }
            _ => false,
        }
    }

    /// Decides, as far as enough is known, and has the wire compress where that is worth it. Nothing
    /// may be in flight. Cheap where there is nothing to decide: call it whenever the line is at rest.
    /// `connections` of the account are open; `heard` gets what the server tells meanwhile.
    ///
    /// # Errors
    ///
    /// Those of a connection, which is then not to be used any more.
    pub(super) fn consider(
        &mut self,
        wire: &mut Wire,
        connections: usize,
        heard: &mut dyn FnMut(Data),
    ) -> Result<(), StoreError> {
        match self.decide(wire, connections) {
            Some(why) => self.turn_on(wire, why, heard),
            None => Ok(()),
        }
    }

    /// Decides, as far as enough is known; returns why the wire is to compress from now on, if it is.
    /// That is worth bringing the line to rest for.
    pub(super) fn decide(&mut self, wire: &mut Wire, connections: usize) -> Option<Compression> {
        if !self.is_due(wire) {
            return None;
        }
        match self.agreement.found() {
            Compression::Refused => self.state = Compression::Refused,
            _ if self.agreement.wish == Compress::On => return Some(Compression::Demanded),
            Compression::Near => self.state = Compression::Near,
            worth @ Compression::Worth(_) => return Some(worth),
            found => return self.judge(wire, connections, found),
        }
        None
    }

    /// Decides by what was measured; without that, by what another session found.
    fn judge(
        &mut self,
        wire: &mut Wire,
        connections: usize,
        found: Compression,
    ) -> Option<Compression> {
        if wire.pace().is_near() {
            self.state = Compression::Near;
            self.agreement.find(self.state);
            return None;
        }
        let Some(measured) = wire.pace().measured() else {
            self.state = found;
            wire.pace_mut().begin_anew();
            return None;
        };
        if is_worth_it(measured, connections) {
            return Some(Compression::Worth(measured.rate));
        }
        self.state = Compression::NotWorth(measured.rate);
        self.agreement.find(self.state);
        // A line may become slow: the measurement goes on.
        wire.pace_mut().begin_anew();
        None
    }

    fn turn_on(
        &mut self,
        wire: &mut Wire,
        why: Compression,
        heard: &mut dyn FnMut(Data),
    ) -> Result<(), StoreError> {
        wire.flush()?;
        let mut line = Vec::new();
        while wire.is_owing() {
            if let Parsed::Untagged(data) = answer(wire, &mut line)? {
                heard(data);
            }
        }
        let ended = run(wire, "COMPRESS DEFLATE", heard)?;
        if ended.status != Status::Ok {
            tracing::debug!(text = %ended.text.escape_debug(), "compression was refused");
            self.state = Compression::Refused;
            self.agreement.find(Compression::Refused);
            return Ok(());
        }
        wire.deflate()?;
        // Shows that both ends read each other, while nothing depends on it.
        if let Err(fault) = run(wire, "NOOP", heard) {
            self.agreement.find(Compression::Refused);
            return Err(fault);
        }
        tracing::debug!(?why, "compressed from here on");
        self.state = why;
        if matches!(why, Compression::Worth(_)) {
            self.agreement.find(why);
        }
        Ok(())
    }
}

/// Tells whether a line is slower than what compression would let through, over so many connections
/// together as over this one.
fn is_worth_it(measured: Measured, connections: usize) -> bool {
    let all = measured.rate.saturating_mul(u64::try_from(connections).unwrap_or(u64::MAX));
    match measured.way {
        Way::First | Way::Up => all < WORTH_BELOW_WRITING,
        Way::Down | Way::Rows => {
            measured.rate < WORTH_BELOW_READING && all < WORTH_BELOW_READING * CORES
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use flate2::Compress as Deflater;
    use flate2::Compression as Level;
    use flate2::Decompress as Inflater;
    use flate2::FlushCompress;
    use flate2::FlushDecompress;

    use super::*;
    use crate::imap::script::Line;
    use crate::imap::script::Peer;
    use crate::imap::script::Sent;
    use crate::imap::script::connect;

    /// A server that says this to COMPRESS, and deflates from then on if it is an OK and it can.
    struct Server {
        answer: &'static str,
        /// Told right behind the OK, deflated.
        behind: &'static str,
        can: bool,
        deflater: Option<(Inflater, Deflater)>,
        input: Vec<u8>,
    }

    fn server(answer: &'static str) -> Server {
        Server { answer, behind: "", can: true, deflater: None, input: Vec::new() }
    }

    impl Server {
        fn says(&mut self, text: &str) -> Vec<u8> {
            let Some((_, deflater)) = &mut self.deflater else { return text.as_bytes().to_vec() };
            let mut octets = Vec::with_capacity(text.len() + 100);
            deflater.compress_vec(text.as_bytes(), &mut octets, FlushCompress::Sync).unwrap();
            octets
        }

        fn answer(&mut self, line: &str) -> Vec<u8> {
            let (tag, command) = line.split_once(' ').unwrap();
            if command != "COMPRESS DEFLATE" {
                return self.says(&format!("* 7 EXISTS\r\n{tag} OK done\r\n"));
            }
            let mut answer = self.says(&format!("* 6 EXISTS\r\n{tag} {}\r\n", self.answer));
            if self.answer.starts_with("OK") && self.can {
                self.deflater = Some((Inflater::new(false), Deflater::new(Level::new(6), false)));
                answer.extend(self.says(self.behind));
            }
            answer
        }
    }

    impl Peer for Server {
        fn take(&mut self, input: &mut Vec<u8>) -> Vec<u8> {
            let input = std::mem::take(input);
            match &mut self.deflater {
                None => self.input.extend(input),
                Some((inflater, _)) => {
                    self.input.reserve(10_000);
                    inflater
                        .decompress_vec(&input, &mut self.input, FlushDecompress::None)
                        .unwrap();
                }
            }
            let mut answers = Vec::new();
            while let Some(end) = memchr::memchr(b'\n', &self.input) {
                let line: Vec<u8> = self.input.drain(..=end).collect();
                answers.extend(self.answer(String::from_utf8(line).unwrap().trim_end()));
            }
            answers
        }
    }

    /// A session's wire and its compressor, and what will have been sent.
    fn session(server: Server, agreement: &Agreement) -> (Wire, Compressor, Sent) {
        let (wire, sent) = connect(server, Line::default());
        (wire, Compressor::new(agreement, true), sent)
    }

    fn consider(wire: &mut Wire, compressor: &mut Compressor) -> Vec<Data> {
        let mut heard = Vec::new();
        compressor.consider(wire, 1, &mut |data| heard.push(data)).unwrap();
        heard
    }

    fn is_answered(wire: &mut Wire) -> bool {
        run(wire, "NOOP", &mut |_| {}).is_ok_and(|ended| ended.status == Status::Ok)
    }

    /// Has the wire measure so many octets a second, for a second or for longer.
    fn measure(wire: &mut Wire, way: Way, rate: u64, seconds: u64) {
        let pace = wire.pace_mut();
        pace.moves(Some(way));
        let (octets, waited) = (rate * seconds, Duration::from_secs(seconds));
        match way {
            Way::Down | Way::Rows => {
                pace.received(1 << 20, waited, None);
                pace.received(octets, waited, None);
            }
            Way::First | Way::Up => {
                pace.sent(waited);
                pace.answered(octets);
            }
        }
        pace.moves(None);
    }

    #[test]
    fn where_it_is_demanded_the_session_goes_on_compressed() {
        let (mut wire, mut compressor, sent) =
            session(server("OK go"), &Agreement::new(Compress::On));
        let heard = consider(&mut wire, &mut compressor);
        assert_eq!(compressor.state(), Compression::Demanded);
        assert_eq!(heard, [Data::Exists(6), Data::Exists(7)], "news are not lost");
        assert!(is_answered(&mut wire));
        let sent = sent.lock().unwrap();
        assert!(sent.starts_with(b"X1 COMPRESS DEFLATE\r\n"));
        assert!(memchr::memmem::find(&sent, b"NOOP").is_none(), "{}", sent.escape_ascii());
    }

    #[test]
    fn what_came_right_behind_the_ok_is_deflated() {
        let server = Server { behind: "* 8 EXISTS\r\n", ..server("OK go") };
        let (mut wire, mut compressor, _) = session(server, &Agreement::new(Compress::On));
        let heard = consider(&mut wire, &mut compressor);
        assert_eq!(heard, [Data::Exists(6), Data::Exists(8), Data::Exists(7)]);
    }

    #[test]
    fn a_refusal_is_lived_without_and_not_asked_for_again() {
        let agreement = Agreement::new(Compress::On);
        for answer in ["NO [COMPRESSIONACTIVE] TLS does it", "BAD what"] {
            let (mut wire, mut compressor, _) = session(server(answer), &agreement);
            consider(&mut wire, &mut compressor);
            assert_eq!(compressor.state(), Compression::Refused, "{answer}");
            assert!(is_answered(&mut wire));
        }
        let (mut wire, mut compressor, sent) = session(server("OK go"), &agreement);
        consider(&mut wire, &mut compressor);
        assert_eq!(compressor.state(), Compression::Refused);
        assert!(sent.lock().unwrap().is_empty());
    }

    #[test]
    fn a_server_that_agrees_and_does_not_do_it_is_left_and_not_asked_again() {
        let agreement = Agreement::new(Compress::On);
        let broken = Server { can: false, ..server("OK go") };
        let (mut wire, mut compressor, _) = session(broken, &agreement);
        assert!(compressor.consider(&mut wire, 1, &mut |_| {}).is_err());
        assert!(!compressor.state().is_on());
        let (mut wire, mut compressor, sent) = session(server("OK go"), &agreement);
        consider(&mut wire, &mut compressor);
        assert!(sent.lock().unwrap().is_empty() && is_answered(&mut wire));
    }

    #[test]
    fn nothing_is_asked_where_it_is_forbidden_or_not_offered() {
        for (wish, offered, state) in [
            (Compress::Off, true, Compression::Forbidden),
            (Compress::Off, false, Compression::Forbidden),
            (Compress::On, false, Compression::NotOffered),
            (Compress::Auto, false, Compression::NotOffered),
            (Compress::Auto, true, Compression::Undecided),
        ] {
            let (mut wire, sent) = connect(server("OK go"), Line::default());
            let mut compressor = Compressor::new(&Agreement::new(wish), offered);
            if state != Compression::Undecided {
                measure(&mut wire, Way::Down, 1_000_000, 2);
            }
            consider(&mut wire, &mut compressor);
            assert_eq!(compressor.state(), state);
            assert!(sent.lock().unwrap().is_empty(), "{wish:?} {offered}");
        }
    }

    #[test]
    fn a_slow_line_is_compressed_and_so_is_that_of_the_next_session() {
        for (way, rate) in [(Way::Down, WORTH_BELOW_READING), (Way::Up, WORTH_BELOW_WRITING)] {
            let agreement = Agreement::new(Compress::Auto);
            let (mut wire, mut compressor, _) = session(server("OK go"), &agreement);
            assert!(!compressor.is_due(&wire));
            measure(&mut wire, way, rate - 1, 1);
            assert!(compressor.is_due(&wire));
            consider(&mut wire, &mut compressor);
            assert_eq!(compressor.state(), Compression::Worth(rate - 1));
            assert!(is_answered(&mut wire) && !compressor.is_due(&wire));
            let (mut wire, mut compressor, _) = session(server("OK go"), &agreement);
            consider(&mut wire, &mut compressor);
            assert_eq!(compressor.state(), Compression::Worth(rate - 1), "without measuring");
        }
    }

    #[test]
    fn many_connections_that_each_get_little_of_a_server_are_not_compressed() {
        for (way, connections, rate, is_worth) in [
            (Way::Down, 2, WORTH_BELOW_READING - 1, true),
            (Way::Down, 4, WORTH_BELOW_READING / 2, false),
            (Way::Down, 4, WORTH_BELOW_READING / 2 - 1, true),
            (Way::Up, 4, WORTH_BELOW_WRITING / 4, false),
            (Way::Up, 4, WORTH_BELOW_WRITING / 4 - 1, true),
        ] {
            let (mut wire, mut compressor, _) =
                session(server("OK go"), &Agreement::new(Compress::Auto));
            measure(&mut wire, way, rate, 1);
            let decided = compressor.decide(&mut wire, connections);
            assert_eq!(decided.is_some(), is_worth, "{way:?} {connections} {rate}");
        }
    }

    #[test]
    fn a_fast_line_is_not_compressed_until_it_has_been_slow_for_a_while() {
        for (way, rate) in [(Way::Down, WORTH_BELOW_READING), (Way::Up, WORTH_BELOW_WRITING)] {
            let agreement = Agreement::new(Compress::Auto);
            let (mut first, mut compressor, _) = session(server("OK go"), &agreement);
            measure(&mut first, way, rate, 1);
            consider(&mut first, &mut compressor);
            assert_eq!(compressor.state(), Compression::NotWorth(rate));
            let (mut wire, mut compressor, sent) = session(server("OK go"), &agreement);
            consider(&mut wire, &mut compressor);
            assert_eq!(compressor.state(), Compression::NotWorth(rate), "without measuring");
            measure(&mut wire, way, 1_000_000, 1);
            consider(&mut wire, &mut compressor);
            assert!(sent.lock().unwrap().is_empty(), "a second is a stall");
            measure(&mut wire, way, 1_000_000, 3);
            consider(&mut wire, &mut compressor);
            assert!(compressor.state().is_on());
        }
    }
}
