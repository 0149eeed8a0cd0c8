//! Two servers, and the mailbox that the suite moves between them.

use crate::support::census::Census;
use crate::support::client::Client;
use crate::support::job::End;
use crate::support::job::Job;
use crate::support::mail;
use crate::support::mail::Mail;
use crate::support::proxy::Proxy;
use crate::support::server::Server;

/// The user everywhere.
pub(super) const ANN: &str = "ann";

/// `Entwürfe/Größe 2021` and `受信/Ablage`, as IMAP writes them (modified UTF-7).
pub(super) const DRAFTS: [&str; 2] = ["Entw&APw-rfe", "Gr&APYA3w-e 2021"];
const INCOMING: [&str; 2] = ["&U9dP4Q-", "Ablage"];
/// A folder with a name that holds what other programs trip over.
const ODD: [&str; 3] = ["Work &- Co", "A - B", "deep"];

/// How many messages [`Pair::fill`] makes.
pub(super) const MESSAGES: u32 = 48;

/// Two servers.
pub(super) struct Pair {
    pub(super) old: Box<dyn Server>,
    pub(super) new: Box<dyn Server>,
}

impl Pair {
    pub(super) fn start<O, N>(old: O, new: N) -> Self
    where
        O: FnOnce() -> Box<dyn Server + Send> + Send,
        N: FnOnce() -> Box<dyn Server + Send>,
    {
        std::thread::scope(|scope| {
            let old = scope.spawn(old);
            let new = new();
            Self { old: old.join().unwrap(), new }
        })
    }

    /// A job from one to the other.
    pub(super) fn job(&self) -> Job {
        Job::new(End::of(&*self.old, ANN), End::of(&*self.new, ANN))
    }

    /// A job to a user of its own at the destination, whose legs pass proxies.
    pub(super) fn watched(&self, to: &str) -> (Job, Proxy, Proxy) {
        let source = Proxy::start(self.old.host(), self.old.port());
        let destination = Proxy::start(self.new.host(), self.new.port());
        let job = Job::new(
            End::at("127.0.0.1", source.port, ANN),
            End::at("127.0.0.1", destination.port, to),
        );
        (job, source, destination)
    }

    /// The source, as it is now.
    pub(super) fn source(&self) -> Census {
        Census::of(&*self.old, ANN)
    }

    /// The destination, as it is now.
    pub(super) fn destination(&self) -> Census {
        Census::of(&*self.new, ANN)
    }

    /// Fills the source: nested folders, names beyond ASCII, an empty folder, drafts that are equal,
    /// messages with one Message-ID and other contents, all flags.
    pub(super) fn fill(&self) {
        let mut client = self.old.login(ANN);
        // A server counts UIDVALIDITY by the second: a gap tells the two ends apart.
        leave_a_gap(&mut client);
        let names: Vec<String> = [&DRAFTS[..], &INCOMING, &ODD]
            .iter()
            .flat_map(|path| (1..=path.len()).map(|depth| self.old.name(&path[..depth])))
            .collect();
        for name in &names {
            client.create(name);
        }
        client.create(&self.old.name(&["Empty"]));
        let drafts = self.old.name(&DRAFTS);
        for number in 0..MESSAGES - 8 {
            let at = usize::try_from(number).unwrap() % (names.len() + 3);
            let name = names.get(at).map_or("INBOX", String::as_str);
            put(&mut client, name, &mail::sample_of(number, 300 + (at << 8)));
        }
        for mail in [mail::draft(1), mail::draft(1), mail::draft(2), mail::draft(2)] {
            put(&mut client, &drafts, &mail);
        }
        for text in ["first content", "other content", "first content", "first conTENT"] {
            put(&mut client, "INBOX", &same_key(text));
        }
    }
}

/// Messages that headers do not tell apart.
fn same_key(text: &str) -> Mail {
    let octets = format!(
        "From: ann@example.org\r\nDate: Fri, 1 Jan 2021 10:00:00 +0000\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\
         Message-ID: <same@example.org>\r\n\r\n{text}\r\n"
    );
    Mail { octets: octets.into_bytes(), ..mail::draft(1) }
}

/// Puts messages into INBOX and takes them out again: more than any test copies there twice, so that
/// two accounts that were made in one second are never taken for one.
pub(super) fn leave_a_gap(client: &mut Client) {
    for _ in 0..7 {
        let uid = client.append("INBOX", &[], None, &mail::sample(1_000_000).octets).unwrap();
        client.remove("INBOX", &uid.to_string());
    }
}

/// Puts a message into a folder.
pub(super) fn put(client: &mut Client, folder: &str, mail: &Mail) -> u64 {
    client.append(folder, &mail.flags, Some(&mail.date), &mail.octets).unwrap()
}
