//! The least that a copier over IMAP can do: everything is asked for at once, what comes is handed on
//! as it comes, and nobody waits for an answer.
//!
//! No state, no check of what is there, no second try: to be compared with, not to be used. Faster than
//! this is only who sends less or asks the servers for less.

use std::io::BufRead as _;
use std::io::Read as _;
use std::io::Write as _;
use std::thread;

use crate::Fault;
use crate::line::Reader;
use crate::line::Writer;
use crate::session::Ends;
use crate::session::Session;

/// What one command appends at most, as long as there is MULTIAPPEND (RFC 3502).
const BATCH_MESSAGES: u64 = 100;
const BATCH_OCTETS: u64 = 8 << 20;

/// What to do.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    ends: Ends,
    /// Connections to each side
    #[arg(long, default_value_t = 1)]
    connections: usize,
    /// One message in each APPEND
    #[arg(long)]
    single: bool,
    /// Copy nothing: read the flags of all messages on both sides, the least before "nothing to do"
    #[arg(long, conflicts_with_all = ["connections", "single"])]
    look: bool,
}

/// Does it and prints how many messages there were.
pub(crate) fn run(args: &Args) -> Result<(), Fault> {
    if args.look {
        let (source, destination) = thread::scope(|scope| {
            let source = scope.spawn(|| look(args.ends.source()?));
            (source.join(), args.ends.destination().and_then(look))
        });
        let source = source.map_err(|_| "the source's thread has died")??;
        println!("{source} rows at the source, {} at the destination", destination?);
        return Ok(());
    }
    let folders = args.ends.source()?.list()?;
    let connections = args.connections.max(1);
    let copied = thread::scope(|scope| {
        let workers: Vec<_> = (0..connections)
            .map(|first| {
                let own: Vec<&str> =
                    folders.iter().skip(first).step_by(connections).map(String::as_str).collect();
                scope.spawn(move || work(args, &own))
            })
            .collect();
        let results =
            workers.into_iter().map(|worker| worker.join().map_err(|_| "a thread has died")?);
        results.sum::<Result<u64, Fault>>()
    })?;
    println!("{copied} messages");
    Ok(())
}

/// Commands that read all folders, one after the other; the tags end with the folder's number.
fn questions(folders: &[&str], items: &str) -> String {
    let ask = |(number, name)| {
        format!("e{number} EXAMINE {name}\r\nf{number} UID FETCH 1:* ({items})\r\n")
    };
    folders.iter().enumerate().map(ask).collect()
}

fn look(mut session: Session) -> Result<u64, Fault> {
    let names = session.list()?;
    let folders: Vec<&str> = names.iter().map(String::as_str).collect();
    session.say(&questions(&folders, "FLAGS"))?;
    let mut rows = 0;
    for number in 0..folders.len() {
        let lines = session.until(&format!("f{number}"))?;
        rows += u64::try_from(lines.iter().filter(|line| line.contains(" FETCH (")).count())?;
    }
    Ok(rows)
}

fn work(args: &Args, folders: &[&str]) -> Result<u64, Fault> {
    let mut source = args.ends.source()?;
    let Session { reader: mut answers, writer } = args.ends.destination()?;
    source.say(&questions(folders, "FLAGS INTERNALDATE BODY.PEEK[]"))?;
    let draining = thread::spawn(move || drain(&mut answers));
    let batch_messages = if args.single { 1 } else { BATCH_MESSAGES };
    let mut outlet = Outlet { writer, batch_messages, folder: "", messages: 0, octets: 0 };
    let mut copied = 0;
    for (number, folder) in folders.iter().enumerate() {
        outlet.enter(folder)?;
        let end = format!("f{number} ");
        loop {
            let line = source.line()?;
            if line.starts_with(end.as_bytes()) {
                if !line[end.len()..].starts_with(b"OK") {
                    return Err(String::from_utf8_lossy(&line).into_owned().into());
                }
                break;
            }
            if let Some(row) = Row::read(&line)? {
                outlet.pass(&row, &mut source.reader)?;
                // The rest of the row.
                source.line()?;
                copied += 1;
            }
        }
        outlet.end_batch()?;
    }
    outlet.writer.write_all(b"z NOOP\r\n")?;
    outlet.writer.flush()?;
    draining.join().map_err(|_| "the thread that takes answers has died")??;
    Ok(copied)
}

/// Takes what the destination answers; the first APPEND that is refused is a fault.
fn drain(answers: &mut Reader) -> Result<(), Fault> {
    let mut line = Vec::new();
    loop {
        line.clear();
        if answers.read_until(b'\n', &mut line)? == 0 {
            return Err("the destination has closed the connection".into());
        }
        if line.starts_with(b"z ") {
            return Ok(());
        }
        if line.starts_with(b"m ") && !line.starts_with(b"m OK") {
            return Err(String::from_utf8_lossy(&line).into_owned().into());
        }
    }
}

/// The first line of a row: what stands before the body.
struct Row {
    flags: String,
    date: String,
    octets: u64,
}

impl Row {
    /// Reads a line; nothing for one that is not a row with a body.
    fn read(line: &[u8]) -> Result<Option<Self>, Fault> {
        let line = String::from_utf8_lossy(line);
        let Some((_, items)) = line.split_once(" FETCH (") else { return Ok(None) };
        if !items.contains("BODY[] ") {
            return Ok(None);
        }
        let between = |before: &str, after: &str| {
            let (_, rest) = items.split_once(before)?;
            Some(rest.split_once(after)?.0.to_owned())
        };
        let read = || {
            let flags = between("FLAGS (", ")")?;
            let kept: Vec<&str> = flags.split(' ').filter(|flag| *flag != "\\Recent").collect();
            let octets = between("BODY[] {", "}")?.parse().ok()?;
            Some(Self { flags: kept.join(" "), date: between("INTERNALDATE \"", "\"")?, octets })
        };
        read().map(Some).ok_or_else(|| format!("a row that the floor cannot read: {line}").into())
    }
}

/// The side that writes.
struct Outlet<'a> {
    writer: Writer,
    batch_messages: u64,
    folder: &'a str,
    messages: u64,
    octets: u64,
}

impl<'a> Outlet<'a> {
    fn enter(&mut self, folder: &'a str) -> Result<(), Fault> {
        self.folder = folder;
        if folder != "\"INBOX\"" {
            write!(self.writer, "c CREATE {folder}\r\n")?;
        }
        Ok(())
    }

    /// Hands one message on.
    fn pass(&mut self, row: &Row, body: &mut Reader) -> Result<(), Fault> {
        if self.messages == 0 {
            write!(self.writer, "m APPEND {}", self.folder)?;
        }
        write!(self.writer, " ({}) \"{}\" {{{}+}}\r\n", row.flags, row.date, row.octets)?;
        let mut body = body.take(row.octets);
        loop {
            let piece = body.fill_buf()?;
            if piece.is_empty() {
                break;
            }
            self.writer.write_all(piece)?;
            let octets = piece.len();
            body.consume(octets);
        }
        if body.limit() > 0 {
            return Err("the source has closed the connection".into());
        }
        self.messages += 1;
        self.octets += row.octets;
        if self.messages >= self.batch_messages || self.octets >= BATCH_OCTETS {
            self.end_batch()?;
        }
        Ok(())
    }

    fn end_batch(&mut self) -> Result<(), Fault> {
        if self.messages > 0 {
            self.writer.write_all(b"\r\n")?;
        }
        self.messages = 0;
        self.octets = 0;
        // What waits in the buffer is of no use to anybody there.
        Ok(self.writer.flush()?)
    }
}
