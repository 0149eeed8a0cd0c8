//! The little IMAP that the tools speak, to servers that are known.

use std::collections::BTreeMap;
use std::io::BufRead as _;
use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;

use crate::Fault;
use crate::line;
use crate::line::Reader;
use crate::line::Writer;

/// The two mailboxes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Ends {
    /// The source, HOST:PORT
    #[arg(long)]
    from: String,
    /// Its user
    #[arg(long)]
    from_user: String,
    /// The destination, HOST:PORT
    #[arg(long)]
    to: String,
    /// Its user
    #[arg(long)]
    to_user: String,
    /// Speak TLS, and take certificates of this authority (PEM)
    #[arg(long)]
    ca: Option<PathBuf>,
}

impl Ends {
    /// Logs in to the source.
    pub(crate) fn source(&self) -> Result<Session, Fault> {
        Session::open(self, &self.from, &self.from_user)
    }

    /// Logs in to the destination.
    pub(crate) fn destination(&self) -> Result<Session, Fault> {
        Session::open(self, &self.to, &self.to_user)
    }
}

/// A session that has logged in.
pub(crate) struct Session {
    /// What the server says.
    pub(crate) reader: Reader,
    /// What is said to it.
    pub(crate) writer: Writer,
}

impl Session {
    fn open(ends: &Ends, address: &str, user: &str) -> Result<Self, Fault> {
        let (reader, writer) = line::connect(address, ends.ca.as_deref())?;
        let mut session = Self { reader, writer };
        // The greeting.
        session.line()?;
        // The password of every user of scripts/dovecot.sh.
        session.say(&format!("l LOGIN \"{user}\" pass\r\n"))?;
        session.until("l")?;
        Ok(session)
    }

    /// Sends commands.
    pub(crate) fn say(&mut self, commands: &str) -> Result<(), Fault> {
        self.writer.write_all(commands.as_bytes())?;
        Ok(self.writer.flush()?)
    }

    /// Reads one line with its end.
    pub(crate) fn line(&mut self) -> Result<Vec<u8>, Fault> {
        let mut line = Vec::new();
        if self.reader.read_until(b'\n', &mut line)? == 0 {
            return Err("a server has closed the connection".into());
        }
        Ok(line)
    }

    /// Reads lines until the command with this tag has ended well.
    pub(crate) fn until(&mut self, tag: &str) -> Result<Vec<String>, Fault> {
        let mut lines = Vec::new();
        loop {
            let line = String::from_utf8_lossy(&self.line()?).trim_end().to_owned();
            match line.strip_prefix(tag).and_then(|rest| rest.strip_prefix(' ')) {
                Some(rest) if rest.starts_with("OK") => return Ok(lines),
                Some(_) => return Err(line.into()),
                None => lines.push(line),
            }
        }
    }

    /// The names of all folders that can be opened, in quotes.
    pub(crate) fn list(&mut self) -> Result<Vec<String>, Fault> {
        self.say("a LIST \"\" \"*\"\r\n")?;
        let lines = self.until("a")?;
        let names = lines.iter().filter_map(|line| {
            let (attributes, rest) = line.strip_prefix("* LIST (")?.split_once(") ")?;
            let attributes = attributes.to_ascii_lowercase();
            let shut = attributes.contains("\\noselect") || attributes.contains("\\nonexistent");
            let (_, name) = rest.split_once(' ')?;
            (!shut).then(|| format!("\"{}\"", name.trim_matches('"')))
        });
        Ok(names.collect())
    }

    /// How many messages each folder holds; empty folders are left out.
    pub(crate) fn counts(&mut self) -> Result<BTreeMap<String, u64>, Fault> {
        let names = self.list()?;
        let commands: String =
            names.iter().map(|name| format!("s STATUS {name} (MESSAGES)\r\n")).collect();
        self.say(&commands)?;
        let mut counts = BTreeMap::new();
        for name in names {
            let lines = self.until("s")?;
            let count = lines.iter().find_map(|line| {
                let (_, count) = line.strip_prefix("* STATUS ")?.rsplit_once("(MESSAGES ")?;
                count.strip_suffix(')')?.parse().ok()
            });
            let count: u64 = count.ok_or_else(|| format!("no count of {name}: {lines:?}"))?;
            if count > 0 {
                counts.insert(name, count);
            }
        }
        Ok(counts)
    }
}
