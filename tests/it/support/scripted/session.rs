//! One connection: reads commands, asks the hook, answers.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::support::scripted::BadLiteral;
use crate::support::scripted::Event;
use crate::support::scripted::Reaction;
use crate::support::scripted::Shared;
use crate::support::scripted::append::Fault;
use crate::support::scripted::lock;
use crate::support::scripted::world::World;
use crate::support::syntax::Literal;
use crate::support::syntax::Value;
use crate::support::syntax::announced_literal;

/// What a command came to: untagged octets, and the tagged text.
pub(super) struct Answer {
    pub(super) untagged: Vec<u8>,
    pub(super) status: String,
}

impl Answer {
    pub(super) fn ok(untagged: impl Into<Vec<u8>>, text: &str) -> Self {
        Self { untagged: untagged.into(), status: format!("OK {text}") }
    }

    pub(super) fn no(text: &str) -> Self {
        Self { untagged: Vec::new(), status: format!("NO {text}") }
    }

    pub(super) fn bad(text: &str) -> Self {
        Self { untagged: Vec::new(), status: format!("BAD {text}") }
    }
}

/// A folder that is open, and whether for changes.
#[derive(Clone, Debug)]
pub(super) struct Opened {
    pub(super) name: Vec<u8>,
    pub(super) writable: bool,
}

/// One connection.
pub(super) struct Session {
    pub(super) shared: Arc<Shared>,
    pub(super) opened: Option<Opened>,
    stream: BufReader<TcpStream>,
    number: usize,
    user: Option<String>,
    /// Octets of a message that are about to be taken for commands.
    hazard: usize,
}

struct Command {
    tag: String,
    verb: String,
    /// With literals in place.
    values: Vec<Value>,
    /// With literals shortened.
    line: String,
}

enum Read1 {
    Whole(Vec<u8>, String),
    Answered,
    End,
}

impl Session {
    pub(super) fn new(shared: Arc<Shared>, stream: TcpStream, number: usize) -> Self {
        Self { shared, opened: None, stream: BufReader::new(stream), number, user: None, hazard: 0 }
    }

    /// Serves until the client leaves.
    pub(super) fn serve(&mut self) -> std::io::Result<()> {
        self.stream.get_mut().set_nodelay(true)?;
        let event = Event {
            number: 0,
            connection: self.number,
            verb: "GREETING".to_owned(),
            line: String::new(),
        };
        let greeting = format!("* OK [CAPABILITY {}] Scripted ready.\r\n", self.capabilities());
        match self.reaction(&event) {
            Reaction::Normal => self.send(greeting.as_bytes())?,
            Reaction::Close => return self.stream.get_ref().shutdown(std::net::Shutdown::Both),
            other => {
                self.say_instead(&other, "*")?;
            }
        }
        loop {
            let (octets, line) = match self.read_command()? {
                Read1::Whole(octets, line) => (octets, line),
                Read1::Answered => continue,
                Read1::End => return Ok(()),
            };
            let Some(command) = parse(&octets, &line) else {
                self.send(b"* BAD not a command\r\n")?;
                continue;
            };
            if !self.handle(&command)? {
                return Ok(());
            }
        }
    }

    /// Carries out one command; tells whether the connection goes on.
    fn handle(&mut self, command: &Command) -> std::io::Result<bool> {
        let number = {
            let mut world = lock(&self.shared.world);
            world.numbered += 1;
            world.commands.push(command.line.clone());
            world.numbered
        };
        let event = Event {
            number,
            connection: self.number,
            verb: command.verb.clone(),
            line: command.line.clone(),
        };
        let reaction = self.reaction(&event);
        let tag = &command.tag;
        match reaction {
            Reaction::Normal => {}
            Reaction::Instead(_) | Reaction::Forever(_) | Reaction::Drip(..) => {
                self.say_instead(&reaction, tag)?;
                return Ok(true);
            }
            Reaction::No(text) => return self.finish(tag, &Answer::no(&text)),
            Reaction::Bad(text) => return self.finish(tag, &Answer::bad(&text)),
            Reaction::Close => {
                self.stream.get_ref().shutdown(std::net::Shutdown::Both)?;
                return Ok(false);
            }
            Reaction::DoAndClose => {
                self.run(command)?;
                self.stream.get_ref().shutdown(std::net::Shutdown::Both)?;
                return Ok(false);
            }
            Reaction::DoAndSay(octets) => {
                self.run(command)?;
                self.send(&with_tag(&octets, tag))?;
                return Ok(true);
            }
            Reaction::SayFirst(octets) => self.send(&with_tag(&octets, tag))?,
            Reaction::Wait(time) => std::thread::sleep(time),
        }
        let answer = self.run(command)?;
        self.finish(tag, &answer)?;
        if command.verb == "LOGOUT" {
            self.stream.get_ref().shutdown(std::net::Shutdown::Both)?;
            return Ok(false);
        }
        Ok(true)
    }

    fn reaction(&self, event: &Event) -> Reaction {
        lock(&self.shared.hook).as_mut().map_or(Reaction::Normal, |hook| hook(event))
    }

    /// Says what the hook wants said, for ever if need be.
    fn say_instead(&mut self, reaction: &Reaction, tag: &str) -> std::io::Result<()> {
        match reaction {
            Reaction::Instead(octets) => self.send(&with_tag(octets, tag)),
            Reaction::Forever(octets) => loop {
                self.send(octets)?;
            },
            Reaction::Drip(octets, pause) => loop {
                for octet in octets {
                    self.send(&[*octet])?;
                    std::thread::sleep(*pause);
                }
            },
            _ => Ok(()),
        }
    }

    fn finish(&mut self, tag: &str, answer: &Answer) -> std::io::Result<bool> {
        let mut octets = answer.untagged.clone();
        octets.extend(format!("{tag} {}\r\n", answer.status).bytes());
        self.send(&octets)?;
        Ok(true)
    }

    fn run(&mut self, command: &Command) -> std::io::Result<Answer> {
        let values = &command.values[..];
        let public = ["CAPABILITY", "NOOP", "LOGOUT", "ID", "LOGIN", "AUTHENTICATE"];
        if self.user.is_none() && !public.contains(&command.verb.as_str()) {
            return Ok(Answer::bad("log in first"));
        }
        self.note_changes(command);
        Ok(match command.verb.as_str() {
            "CAPABILITY" => Answer::ok(format!("* CAPABILITY {}\r\n", self.capabilities()), "done"),
            "NOOP" | "CHECK" => Answer::ok("", "done"),
            "LOGOUT" => Answer::ok("* BYE bye\r\n", "done"),
            "ID" if self.shared.options.offers("ID") => {
                Answer::ok("* ID (\"name\" \"Scripted\" \"version\" \"1\")\r\n", "done")
            }
            "ENABLE" if self.shared.options.offers("ENABLE") => Answer::ok("* ENABLED\r\n", "done"),
            "LOGIN" if !self.shared.options.offers("LOGINDISABLED") => {
                self.log_in(values.first(), values.get(1))
            }
            "AUTHENTICATE" => return self.authenticate(values),
            "APPEND" => self.append(values),
            "UID FETCH" => self.fetch(values),
            "UID STORE" => self.store(values),
            "UID SEARCH" => self.search(values),
            "EXPUNGE" => self.expunge("1:*"),
            "UID EXPUNGE" if self.shared.options.offers("UIDPLUS") => {
                self.expunge(&values.first().map(Value::text).unwrap_or_default())
            }
            verb => self.folder_command(verb, values),
        })
    }

    /// Notes what is against the rules of the moment.
    fn note_changes(&self, command: &Command) {
        const CHANGING: [&str; 14] = [
            "CREATE",
            "DELETE",
            "RENAME",
            "SUBSCRIBE",
            "UNSUBSCRIBE",
            "APPEND",
            "STORE",
            "UID STORE",
            "EXPUNGE",
            "UID EXPUNGE",
            "COPY",
            "UID COPY",
            "SELECT",
            "UID MOVE",
        ];
        let mut world = lock(&self.shared.world);
        if !world.changes_forbidden {
            return;
        }
        let verb = command.verb.as_str();
        let closes = verb == "CLOSE" && self.opened.as_ref().is_some_and(|open| open.writable);
        let upper = command.line.to_ascii_uppercase();
        let marks = verb.ends_with("FETCH")
            && (upper.contains("BODY[")
                || upper.contains("RFC822 ")
                || upper.contains("RFC822)")
                || upper.contains("RFC822.TEXT"));
        if CHANGING.contains(&verb) || closes || marks {
            world.violations.push(format!("changes are forbidden: {}", command.line));
        }
    }

    fn capabilities(&self) -> String {
        let mut words = vec!["IMAP4rev1".to_owned()];
        words.extend(self.shared.options.capabilities.iter().cloned());
        words.join(" ")
    }

    fn log_in(&mut self, user: Option<&Value>, password: Option<&Value>) -> Answer {
        if password.is_none_or(|password| password.text() != self.shared.options.password) {
            return Answer::no("[AUTHENTICATIONFAILED] wrong");
        }
        self.user = user.map(Value::text);
        Answer::ok("", "logged in")
    }

    fn authenticate(&mut self, values: &[Value]) -> std::io::Result<Answer> {
        let mechanism = values.first().map(Value::upper).unwrap_or_default();
        if !self.shared.options.offers(&format!("AUTH={mechanism}")) {
            return Ok(Answer::no("unknown mechanism"));
        }
        let initial = values.get(1).map(Value::text);
        let (user, password) = if mechanism == "PLAIN" {
            let line = if let Some(line) = initial { line } else { self.challenge("")? };
            let octets = decode(&line);
            let mut parts = octets.split(|octet| *octet == 0).skip(1);
            let mut next = || Value::Text(parts.next().unwrap_or_default().to_vec());
            (next(), next())
        } else {
            let user = self.challenge("VXNlcm5hbWU6")?;
            let password = self.challenge("UGFzc3dvcmQ6")?;
            (Value::Text(decode(&user)), Value::Text(decode(&password)))
        };
        Ok(self.log_in(Some(&user), Some(&password)))
    }

    fn challenge(&mut self, text: &str) -> std::io::Result<String> {
        self.send(format!("+ {text}\r\n").as_bytes())?;
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    /// Reads a command with its literals.
    fn read_command(&mut self) -> std::io::Result<Read1> {
        let (mut octets, mut line) = (Vec::new(), Vec::new());
        loop {
            let start = octets.len();
            if self.stream.read_until(b'\n', &mut octets)? == 0 {
                return Ok(Read1::End);
            }
            self.note_hazard(&octets[start..]);
            line.extend_from_slice(octets[start..].trim_ascii_end());
            let Some((length, kind)) = announced_literal(&octets[start..]) else {
                return Ok(Read1::Whole(octets, String::from_utf8_lossy(&line).into_owned()));
            };
            self.note_literal(length, kind);
            let fault = self.append_fault(&octets, length);
            match (kind, fault) {
                (Literal::Synchronising, Some(fault)) => {
                    self.refuse(&octets, &line, fault)?;
                    return Ok(Read1::Answered);
                }
                (Literal::NonSynchronising, Some(Fault::Bad(text))) => {
                    if self.shared.options.bad_literal == BadLiteral::Skipped {
                        let mut skipped = vec![0; length];
                        self.stream.read_exact(&mut skipped)?;
                        self.stream.read_until(b'\n', &mut skipped)?;
                    } else {
                        self.hazard = length;
                    }
                    self.refuse(&octets, &line, Fault::Bad(text))?;
                    return Ok(Read1::Answered);
                }
                // A literal that is under way is read; the refusal comes after it.
                (Literal::NonSynchronising, _) => {}
                (Literal::Synchronising, None) => self.send(b"+ go on\r\n")?,
            }
            let start = octets.len();
            octets.resize(start + length, 0);
            self.stream.read_exact(&mut octets[start..])?;
        }
    }

    /// Refuses an APPEND by its line alone.
    fn refuse(&mut self, octets: &[u8], line: &[u8], fault: Fault) -> std::io::Result<()> {
        let line = String::from_utf8_lossy(line).into_owned();
        let Some(command) = parse(octets, &line) else { return Ok(()) };
        {
            let mut world = lock(&self.shared.world);
            world.numbered += 1;
            world.commands.push(command.line.clone());
        }
        self.note_changes(&command);
        let answer = match fault {
            Fault::Bad(text) => Answer::bad(&text),
            Fault::No(text) => Answer::no(&text),
        };
        self.finish(&command.tag, &answer)?;
        Ok(())
    }

    fn note_hazard(&mut self, line: &[u8]) {
        if self.hazard == 0 {
            return;
        }
        self.hazard = self.hazard.saturating_sub(line.len());
        let text = String::from_utf8_lossy(line.trim_ascii_end()).into_owned();
        lock(&self.shared.world).violations.push(format!("mail taken for a command: {text}"));
    }

    fn note_literal(&self, length: usize, kind: Literal) {
        let options = &self.shared.options;
        let allowed = options.offers("LITERAL+") || (options.offers("LITERAL-") && length <= 4_096);
        if kind == Literal::NonSynchronising && !allowed {
            let text = format!("non-synchronising literal of {length} octets is not offered");
            lock(&self.shared.world).violations.push(text);
        }
    }

    fn send(&mut self, octets: &[u8]) -> std::io::Result<()> {
        self.stream.get_mut().write_all(octets)
    }

    /// Does something with the open folder.
    pub(super) fn with_opened(&mut self, act: impl FnOnce(&mut World, &[u8]) -> Answer) -> Answer {
        let Some(opened) = &self.opened else { return Answer::bad("no folder is open") };
        let mut world = lock(&self.shared.world);
        if world.folder_mut(&opened.name).is_none() {
            return Answer::no("[NONEXISTENT] the folder is gone");
        }
        act(&mut world, &opened.name)
    }
}

fn parse(octets: &[u8], line: &str) -> Option<Command> {
    let mut values = Value::read_all(octets).into_iter();
    let tag = values.next()?.text();
    let mut verb = values.next()?.upper();
    if verb == "UID" {
        verb = format!("UID {}", values.next()?.upper());
    }
    let line = line.split_once(' ')?.1.to_owned();
    Some(Command { tag, verb, values: values.collect(), line })
}

fn with_tag(octets: &[u8], tag: &str) -> Vec<u8> {
    let marker = b"{tag}";
    let Some(at) = octets.windows(marker.len()).position(|window| window == marker) else {
        return octets.to_vec();
    };
    [&octets[..at], tag.as_bytes(), &with_tag(&octets[at + marker.len()..], tag)].concat()
}

fn decode(line: &str) -> Vec<u8> {
    BASE64_STANDARD.decode(line.trim()).unwrap_or_default()
}
