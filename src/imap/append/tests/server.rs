//! A server that takes appends, and runs as commands what it does not understand.

use std::sync::Arc;
use std::sync::Mutex;

use crate::imap::script::Peer;

/// What a server is like.
#[derive(Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a habit of its own")]
pub(super) struct Nature {
    /// A flag that is answered with BAD.
    pub(super) bad_flag: Option<&'static str>,
    /// BAD to every date.
    pub(super) bad_dates: bool,
    /// A flag that is answered with this NO, before a continuation.
    pub(super) no_flag: Option<(&'static str, &'static str)>,
    /// Appends of nothing are refused.
    pub(super) refuses_empty: bool,
    /// ... with NO before the line is looked at.
    pub(super) refuses_blindly: bool,
    /// Asks for literals that do not wait, too.
    pub(super) asks_for_all: bool,
    /// Answers are held back until so many commands are there.
    pub(super) answers_late: usize,
    /// Body octets that are refused after the body.
    pub(super) poison: Option<&'static str>,
    /// What is said to them.
    pub(super) says_to_poison: Option<&'static str>,
    /// Refuses a batch at the message that it minds, not at its end.
    pub(super) refuses_early: bool,
    /// Tells one UID too few of a batch.
    pub(super) short_sets: bool,
    /// Says this in place of the answer to this message.
    pub(super) says_at: Option<(usize, &'static str)>,
}

/// What happened at the server.
#[derive(Default)]
pub(super) struct Log {
    pub(super) stored: Vec<String>,
    pub(super) executed: Vec<String>,
    pub(super) late: usize,
}

/// A server that runs the body as commands where it does not understand the line.
pub(super) struct Server {
    pub(super) nature: Nature,
    pub(super) log: Arc<Mutex<Log>>,
    pub(super) command: Option<Command>,
    /// Octets of a literal that are due.
    pub(super) literal: Option<usize>,
    pub(super) held: Vec<u8>,
}

/// An APPEND that has begun.
#[derive(Default)]
pub(super) struct Command {
    pub(super) tag: String,
    pub(super) mailbox: String,
    /// Flags and date, and body, of each message.
    pub(super) messages: Vec<(String, String)>,
    pub(super) name_is_due: bool,
    pub(super) refused: Option<String>,
    pub(super) is_told: bool,
}

impl Server {
    pub(super) fn new(nature: Nature, log: &Arc<Mutex<Log>>) -> Self {
        let log = Arc::clone(log);
        Self { nature, log, command: None, literal: None, held: Vec::new() }
    }

    pub(super) fn verdict(&self, arguments: &str, octets: usize) -> Option<String> {
        if self.nature.refuses_blindly && octets == 0 {
            return Some("NO empty".to_owned());
        }
        if arguments.contains("\\Mailferry")
            || self.nature.bad_flag.is_some_and(|bad| arguments.contains(bad))
        {
            return Some("BAD invalid flag".to_owned());
        }
        if self.nature.bad_dates && arguments.ends_with('"') {
            return Some("BAD invalid date".to_owned());
        }
        if let Some((flag, answer)) = self.nature.no_flag
            && arguments.contains(flag)
        {
            return Some(answer.to_owned());
        }
        (self.nature.refuses_empty && octets == 0).then(|| "NO empty".to_owned())
    }

    pub(super) fn line(&mut self, text: &str) -> String {
        if let Some(command) = self.command.take() {
            if text.is_empty() {
                return self.finish(command);
            }
            return self.part(command, text);
        }
        let (tag, rest) = text.split_once(' ').unwrap_or((text, ""));
        if text.is_empty() {
            return "* BAD empty line\r\n".to_owned();
        }
        if ["NOOP", "UNSELECT"].contains(&rest) {
            return format!("{tag} OK done\r\n");
        }
        let Some(rest) = rest.strip_prefix("APPEND ").filter(|rest| rest.ends_with('}')) else {
            self.log.lock().unwrap().executed.push(text.to_owned());
            return format!("{tag} OK executed\r\n");
        };
        let command = Command { tag: tag.to_owned(), ..Command::default() };
        if rest.starts_with('{') {
            let octets = rest.trim_matches(['{', '}']).parse().unwrap();
            self.literal = Some(octets);
            self.command = Some(Command { name_is_due: true, ..command });
            return "+ name\r\n".to_owned();
        }
        let (mailbox, arguments) = rest.split_once(' ').unwrap();
        self.part(Command { mailbox: mailbox.to_owned(), ..command }, &format!(" {arguments}"))
    }

    /// Flags, date and the announcement of a literal.
    pub(super) fn part(&mut self, mut command: Command, text: &str) -> String {
        let tag = command.tag.clone();
        let Some((arguments, announced)) =
            text.strip_suffix('}').and_then(|text| text.rsplit_once('{'))
        else {
            self.log.lock().unwrap().executed.push(text.to_owned());
            return format!("{tag} BAD neither an end nor a message\r\n");
        };
        let waits = !announced.ends_with('+');
        let octets: usize = announced.trim_end_matches('+').parse().unwrap();
        let arguments = arguments.trim_end();
        match self.verdict(arguments, octets) {
            Some(answer) if waits || answer.starts_with("BAD") => {
                return format!("{tag} {answer}\r\n");
            }
            refused => command.refused = command.refused.take().or(refused),
        }
        command.messages.push((arguments.to_owned(), String::new()));
        let told = self.tell_early(&mut command);
        self.command = Some(command);
        self.literal = Some(octets);
        let asks = waits || self.nature.asks_for_all;
        format!("{told}{}", if asks { "+ go on\r\n" } else { "" })
    }

    pub(super) fn tell_early(&self, command: &mut Command) -> String {
        match &command.refused {
            Some(answer) if self.nature.refuses_early && !command.is_told => {
                command.is_told = true;
                format!("{} {answer}\r\n", command.tag)
            }
            _ => String::new(),
        }
    }

    pub(super) fn literal(&mut self, body: String) -> String {
        let Some(mut command) = self.command.take() else { return String::new() };
        let mut told = String::new();
        if std::mem::take(&mut command.name_is_due) {
            command.mailbox = format!("<{body}>");
        } else {
            if self.nature.poison.is_some_and(|poison| body.contains(poison)) {
                let says = self.nature.says_to_poison.unwrap_or("NO [LIMIT] poison");
                command.refused.get_or_insert_with(|| says.to_owned());
            }
            command.messages.last_mut().unwrap().1 = body;
            told = self.tell_early(&mut command);
        }
        self.command = Some(command);
        told
    }

    /// Stores all messages of a command, or none.
    pub(super) fn finish(&mut self, command: Command) -> String {
        let tag = command.tag;
        match command.refused {
            Some(_) if command.is_told => return String::new(),
            Some(answer) => return format!("{tag} {answer}\r\n"),
            None => {}
        }
        let mut log = self.log.lock().unwrap();
        let first = log.stored.len() + 1;
        for (arguments, body) in command.messages {
            let shown: String = body.chars().take(9).collect();
            log.stored.push(format!("{}{arguments} {shown}", command.mailbox));
        }
        let last = log.stored.len();
        if let Some((at, words)) = self.nature.says_at
            && (first..=last).contains(&at)
        {
            return format!("{words}\r\n");
        }
        let told = if self.nature.short_sets && last > first { last - 1 } else { last };
        let set = if told > first { format!("{first}:{told}") } else { first.to_string() };
        format!("{tag} OK [APPENDUID 7 {set}] stored\r\n")
    }
}

impl Peer for Server {
    fn take(&mut self, input: &mut Vec<u8>) -> Vec<u8> {
        let mut from = 0;
        let mut answers = Vec::new();
        loop {
            let rest = &input[from..];
            let answer = if let Some(octets) = self.literal {
                if rest.len() < octets {
                    break;
                }
                self.literal = None;
                from += octets;
                self.literal(String::from_utf8_lossy(&rest[..octets]).into_owned())
            } else {
                let Some(end) = memchr::memchr(b'\n', rest) else { break };
                let line = String::from_utf8_lossy(&rest[..end]).trim_end().to_owned();
                from += end + 1;
                self.line(&line)
            };
            answers.extend_from_slice(answer.as_bytes());
        }
        input.drain(..from);
        self.held.extend(answers);
        let lines = memchr::memchr_iter(b'\n', &self.held).count();
        self.log.lock().unwrap().late = lines;
        if lines >= self.nature.answers_late { std::mem::take(&mut self.held) } else { Vec::new() }
    }
}
