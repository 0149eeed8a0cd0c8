//! A raw blocking IMAP client, for filling mailboxes and for checking what is in them. It shares no
//! code with the program under test.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use crate::support::syntax::Literal;
use crate::support::syntax::Value;
use crate::support::syntax::announced_literal;
use crate::support::syntax::quoted;

/// A connection.
#[derive(Debug)]
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    next_tag: u32,
}

/// What a command brought.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    /// Untagged responses, without `* `, literals in place.
    pub(crate) untagged: Vec<Vec<u8>>,
    /// The tagged response, without the tag: `OK ...`.
    pub(crate) status: String,
}

impl Reply {
    /// Tells whether the command was carried out.
    pub(crate) fn is_ok(&self) -> bool {
        self.status.starts_with("OK")
    }

    /// Returns the number that stands after `key` in a response code: `[UIDNEXT 5]`.
    pub(crate) fn code_number(&self, key: &str) -> Option<u64> {
        let texts = self.untagged.iter().map(|line| String::from_utf8_lossy(line).into_owned());
        texts.chain([self.status.clone()]).find_map(|text| {
            let after = text.split_once(&format!("[{key} "))?.1;
            after.split([']', ' ']).next()?.parse().ok()
        })
    }
}

/// One message as it lies on the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredMessage {
    /// Its UID.
    pub(crate) uid: u64,
    /// Its flags, sorted, without `\Recent`.
    pub(crate) flags: Vec<String>,
    /// INTERNALDATE as the server writes it.
    pub(crate) date: String,
    /// RFC822.SIZE.
    pub(crate) size: u64,
    /// Its octets.
    pub(crate) octets: Vec<u8>,
}

impl Client {
    /// Connects and reads the greeting.
    pub(crate) fn connect(host: &str, port: u16) -> Self {
        let stream = TcpStream::connect((host, port)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        let mut client = Self { stream: BufReader::new(stream), next_tag: 1 };
        let greeting = client.read_response();
        assert!(greeting.starts_with(b"* OK"), "{}", String::from_utf8_lossy(&greeting));
        client
    }

    /// Logs in.
    pub(crate) fn login(&mut self, user: &str, password: &str) {
        let mut line = b"LOGIN ".to_vec();
        line.extend(quoted(user.as_bytes()));
        line.push(b' ');
        line.extend(quoted(password.as_bytes()));
        self.ok(&line);
    }

    /// Sends a command and returns all that came. Literals in it are sent when asked for.
    pub(crate) fn command(&mut self, line: impl AsRef<[u8]>) -> Reply {
        let tag = format!("t{}", self.next_tag);
        self.next_tag += 1;
        let mut text = format!("{tag} ").into_bytes();
        text.extend_from_slice(line.as_ref());
        text.extend_from_slice(b"\r\n");
        let mut untagged = Vec::new();
        let (mut sent, mut literal_end) = (0, 0);
        loop {
            let line_end = text[literal_end..].iter().position(|octet| *octet == b'\n').unwrap();
            let line_end = literal_end + line_end + 1;
            let literal = announced_literal(&text[literal_end..line_end]);
            self.stream.get_mut().write_all(&text[sent..line_end]).unwrap();
            sent = line_end;
            if let Some((octets, kind)) = literal {
                literal_end = line_end + octets;
                if kind == Literal::NonSynchronising {
                    continue;
                }
            }
            if let Some(status) = self.read_until_turn(&tag, &mut untagged) {
                return Reply { untagged, status };
            }
        }
    }

    /// Reads up to the tagged response, or up to the server's wish for a literal.
    fn read_until_turn(&mut self, tag: &str, untagged: &mut Vec<Vec<u8>>) -> Option<String> {
        loop {
            let response = self.read_response();
            if let Some(line) = response.strip_prefix(b"* ") {
                untagged.push(line.to_vec());
            } else if response.starts_with(b"+") {
                return None;
            } else {
                let response = String::from_utf8_lossy(&response).into_owned();
                let status = response.strip_prefix(&format!("{tag} ")).unwrap_or(&response);
                return Some(status.trim_end().to_owned());
            }
        }
    }

    /// Sends a command that has to succeed.
    pub(crate) fn ok(&mut self, line: impl AsRef<[u8]>) -> Reply {
        let line = line.as_ref();
        let reply = self.command(line);
        let shown = String::from_utf8_lossy(&line[..line.len().min(200)]).into_owned();
        assert!(reply.is_ok(), "{shown}: {}", reply.status);
        reply
    }

    /// Appends a message, and returns its UID where the server tells.
    pub(crate) fn append(
        &mut self,
        folder: &str,
        flags: &[&str],
        date: Option<&str>,
        octets: &[u8],
    ) -> Option<u64> {
        let reply = self.try_append(folder, flags, date, octets);
        assert!(reply.is_ok(), "APPEND to {folder}: {}", reply.status);
        let code = reply.status.split_once("[APPENDUID ")?.1;
        code.split([' ', ']']).nth(1)?.parse().ok()
    }

    /// Appends a message that the server may refuse.
    pub(crate) fn try_append(
        &mut self,
        folder: &str,
        flags: &[&str],
        date: Option<&str>,
        octets: &[u8],
    ) -> Reply {
        let mut line = b"APPEND ".to_vec();
        line.extend(quoted(folder.as_bytes()));
        line.extend(format!(" ({})", flags.join(" ")).bytes());
        if let Some(date) = date {
            line.extend(format!(" \"{date}\"").bytes());
        }
        line.extend(format!(" {{{}}}\r\n", octets.len()).bytes());
        line.extend_from_slice(octets);
        self.command(line)
    }

    /// Sends `VERB "folder"`, which has to succeed.
    pub(crate) fn on_folder(&mut self, verb: &str, folder: &str) -> Reply {
        let mut line = format!("{verb} ").into_bytes();
        line.extend(quoted(folder.as_bytes()));
        self.ok(line)
    }

    /// Creates a folder.
    pub(crate) fn create(&mut self, folder: &str) {
        self.on_folder("CREATE", folder);
    }

    /// Deletes a folder.
    pub(crate) fn delete(&mut self, folder: &str) {
        self.on_folder("DELETE", folder);
    }

    /// Subscribes to a folder.
    pub(crate) fn subscribe(&mut self, folder: &str) {
        self.on_folder("SUBSCRIBE", folder);
    }

    /// Renames a folder.
    pub(crate) fn rename(&mut self, from: &str, to: &str) {
        let mut line = b"RENAME ".to_vec();
        line.extend(quoted(from.as_bytes()));
        line.push(b' ');
        line.extend(quoted(to.as_bytes()));
        self.ok(line);
    }

    /// Opens a folder for changes.
    pub(crate) fn select(&mut self, folder: &str) -> Reply {
        self.on_folder("SELECT", folder)
    }

    /// Changes flags of messages of the open folder: `store("1:*", "+FLAGS (\\Seen)")`.
    pub(crate) fn store(&mut self, uids: &str, change: &str) {
        self.ok(format!("UID STORE {uids} {change}"));
    }

    /// Removes messages of a folder for good.
    pub(crate) fn remove(&mut self, folder: &str, uids: &str) {
        self.select(folder);
        self.store(uids, "+FLAGS (\\Deleted)");
        self.ok(format!("UID EXPUNGE {uids}"));
    }

    /// Lists all folders, sorted.
    pub(crate) fn folders(&mut self) -> Vec<String> {
        self.listed("LIST \"\" \"*\"")
    }

    /// Lists all subscribed folders, sorted.
    pub(crate) fn subscribed(&mut self) -> Vec<String> {
        self.listed("LSUB \"\" \"*\"")
    }

    /// Lists the folders that can be opened, sorted.
    pub(crate) fn selectable(&mut self) -> Vec<String> {
        let held = ["\\NOSELECT", "\\NONEXISTENT"];
        self.rows("LIST \"\" \"*\"")
            .into_iter()
            .filter(|row| !row[1].items().iter().any(|word| held.contains(&&*word.upper())))
            .map(|row| row[3].text())
            .collect()
    }

    fn listed(&mut self, command: &str) -> Vec<String> {
        self.rows(command).into_iter().map(|row| row[3].text()).collect()
    }

    fn rows(&mut self, command: &str) -> Vec<Vec<Value>> {
        let reply = self.ok(command);
        let rows = reply.untagged.iter().map(|line| Value::read_all(line));
        let mut rows: Vec<Vec<Value>> = rows
            .filter(|row| {
                row.first().is_some_and(|word| ["LIST", "LSUB"].contains(&&*word.upper()))
            })
            .collect();
        rows.sort_by_key(|row| row[3].text());
        rows
    }

    /// Reads one number of STATUS: `MESSAGES`, `UIDNEXT`, `UIDVALIDITY`.
    pub(crate) fn status(&mut self, folder: &str, item: &str) -> u64 {
        let mut line = b"STATUS ".to_vec();
        line.extend(quoted(folder.as_bytes()));
        line.extend(format!(" ({item})").bytes());
        let reply = self.ok(line);
        let rows = reply.untagged.iter().map(|line| Value::read_all(line));
        let row = rows.into_iter().find(|row| row[0].upper() == "STATUS").unwrap();
        let items = row.last().unwrap().items();
        let at = items.iter().position(|key| key.upper() == item).unwrap();
        items[at + 1].number().unwrap()
    }

    /// Reads UIDVALIDITY.
    pub(crate) fn uid_validity(&mut self, folder: &str) -> u64 {
        self.status(folder, "UIDVALIDITY")
    }

    /// Reads all messages of a folder, by UID, without leaving a mark.
    pub(crate) fn messages(&mut self, folder: &str) -> Vec<StoredMessage> {
        let opened = self.on_folder("EXAMINE", folder);
        if opened.untagged.iter().any(|line| line.starts_with(b"0 EXISTS")) {
            return Vec::new();
        }
        let reply = self.ok("UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])");
        let mut messages: Vec<StoredMessage> = reply
            .untagged
            .iter()
            .map(|line| Value::read_all(line))
            .filter(|row| row.get(1).is_some_and(|word| word.upper() == "FETCH"))
            .filter_map(|row| read_message(row[2].items()))
            .collect();
        messages.sort_by_key(|message| message.uid);
        messages
    }

    fn read_response(&mut self) -> Vec<u8> {
        let mut response = Vec::new();
        loop {
            let start = response.len();
            self.stream.read_until(b'\n', &mut response).unwrap();
            let whole = response[start..].ends_with(b"\n");
            assert!(whole, "the server closed: {}", String::from_utf8_lossy(&response));
            let Some((octets, _)) = announced_literal(&response[start..]) else {
                return response;
            };
            let start = response.len();
            response.resize(start + octets, 0);
            self.stream.read_exact(&mut response[start..]).unwrap();
        }
    }
}

fn read_message(items: &[Value]) -> Option<StoredMessage> {
    let value = |name: &str| {
        let at = items.iter().position(
            |item| matches!(item, Value::Atom(word) if word.eq_ignore_ascii_case(name)),
        )?;
        items.get(at + 1)
    };
    let mut flags: Vec<String> =
        value("FLAGS")?.items().iter().map(Value::text).filter(|flag| flag != "\\Recent").collect();
    flags.sort();
    Some(StoredMessage {
        uid: value("UID")?.number()?,
        flags,
        date: value("INTERNALDATE")?.text(),
        size: value("RFC822.SIZE")?.number()?,
        octets: value("BODY[]")?.octets().to_vec(),
    })
}
