//! Mailboxes that the tests of this module move.

use crate::support::client::Client;
use crate::support::dovecot::Dovecot;
use crate::support::dovecot::DovecotOptions;
use crate::support::job::End;
use crate::support::job::Job;
use crate::support::mail;
use crate::support::proxy::Flow;
use crate::support::proxy::Proxy;
use crate::support::server::Server;

/// The user everywhere.
pub(super) const ANN: &str = "ann";

/// Two servers that differ in delimiter, prefix and storage.
pub(super) struct Servers {
    pub(super) old: Dovecot,
    pub(super) new: Dovecot,
}

impl Servers {
    pub(super) fn start() -> Self {
        Self::start_as(DovecotOptions::slash(), DovecotOptions::dot())
    }

    /// Two servers that offer COMPRESS=DEFLATE.
    pub(super) fn compressing() -> Self {
        let offers = |options| DovecotOptions { compress: true, ..options };
        Self::start_as(offers(DovecotOptions::slash()), offers(DovecotOptions::dot()))
    }

    fn start_as(old: DovecotOptions, new: DovecotOptions) -> Self {
        let old = std::thread::spawn(|| Dovecot::start(old));
        let new = Dovecot::start(new);
        Self { old: old.join().unwrap(), new }
    }

    /// A job from one to the other, without anything between.
    pub(super) fn job(&self) -> Job {
        Job::new(End::of(&self.old, ANN), End::of(&self.new, ANN))
    }

    /// A job whose both legs pass proxies.
    pub(super) fn watched(&self, from: &str, to: &str) -> Watched {
        self.watched_with(from, to, Flow::default(), Flow::default())
    }

    /// The same, with a flow each.
    pub(super) fn watched_with(&self, from: &str, to: &str, old: Flow, new: Flow) -> Watched {
        let source = Proxy::start_with(&self.old.host, self.old.imap_port, old);
        let destination = Proxy::start_with(&self.new.host, self.new.imap_port, new);
        let job = Job::new(
            End::at("127.0.0.1", source.port, from),
            End::at("127.0.0.1", destination.port, to),
        );
        Watched { job, source, destination }
    }
}

/// A job and the proxies that it passes.
pub(super) struct Watched {
    pub(super) job: Job,
    pub(super) source: Proxy,
    pub(super) destination: Proxy,
}

impl Watched {
    /// How many messages were sent to the destination so far: APPENDs of more than nothing.
    pub(super) fn appends(&self) -> usize {
        appends(&self.destination.commands())
    }
}

/// How many messages these commands append: as many as they have literals behind the folder's name. An
/// empty literal is a question, and stores nothing.
pub(super) fn appends(commands: &[String]) -> usize {
    let messages = |command: &String| {
        if !command.to_ascii_uppercase().starts_with("APPEND ") {
            return 0;
        }
        let literals = command.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
        let octets = literals.filter_map(|(octets, _)| octets.trim_end_matches('+').parse().ok());
        octets.filter(|octets: &usize| *octets > 0).count()
    };
    commands.iter().map(messages).sum()
}

/// Arguments with which a run sends what it copies by and by, so that it can be ended in the middle.
pub(super) const SLOWLY: [&str; 2] = ["--set", "destination.limits.messages-per-second=200"];

/// Fills a mailbox: INBOX, a folder below another one, drafts with a true duplicate among them, an
/// empty folder. `large` is the size of every fiftieth message of INBOX.
pub(super) fn fill(server: &dyn Server, user: &str, messages: u32, large: usize) {
    let mut client = server.login(user);
    let names = [vec!["INBOX"], vec!["Work", "2021"], vec!["Drafts"], vec!["Empty"]]
        .map(|components| server.name(&components));
    client.create(&server.name(&["Work"]));
    for name in &names[1..] {
        client.create(name);
    }
    for number in 0..messages {
        let (folder, octets) = match number % 10 {
            0..=5 if number % 50 == 1 => (&names[0], large),
            0..=5 => (&names[0], 900),
            6..=8 => (&names[1], 2_500),
            _ => (&names[2], 400),
        };
        put(&mut client, folder, &mail::sample_of(number, octets));
    }
    for _ in 0..2 {
        put(&mut client, &names[2], &mail::draft(1));
    }
    leave_a_gap(&mut client);
}

/// Puts a message into INBOX and takes it out again. Two servers that start within one second give
/// their folders the same UIDVALIDITY; without a gap the copy would then have the same UIDNEXT and
/// count as the original, and both ends would pass for one mailbox.
pub(super) fn leave_a_gap(client: &mut Client) {
    let uid = client.append("INBOX", &[], None, &mail::sample(1_000_000).octets).unwrap();
    client.remove("INBOX", &uid.to_string());
}

/// How often loopback may be slow before that is no accident.
const ATTEMPTS: usize = 30;

/// Tries something that takes loopback to be near with one new account after the other, until it succeeds:
/// where other tests keep the processors busy, both answers that come before login may take as long as those
/// of a line.
pub(super) fn succeeds_where_loopback_is_near(mut attempt: impl FnMut(&str) -> bool) {
    let succeeded = (0..ATTEMPTS).any(|number| attempt(&format!("near{number}")));
    assert!(succeeded, "not near in {ATTEMPTS} attempts");
}

/// Puts a message into a folder.
pub(super) fn put(client: &mut Client, folder: &str, mail: &mail::Mail) -> u64 {
    client.append(folder, &mail.flags, Some(&mail.date), &mail.octets).unwrap()
}

/// Says what was measured; the test program shows it under `--nocapture`, and when a test fails.
#[expect(clippy::print_stdout, reason = "a measurement is for people")]
pub(super) fn measured(text: &str) {
    println!("{text}");
}
