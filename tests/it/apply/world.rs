//! Two servers in memory, state, a clock that a test turns, and a notation for what they hold.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use mailferry::apply::Applied;
use mailferry::apply::Ends;
use mailferry::apply::Only;
use mailferry::apply::Settings;
use mailferry::apply::Surroundings;
use mailferry::apply::Unwatched;
use mailferry::apply::Work;
use mailferry::apply::apply;
use mailferry::mail::Flag;
use mailferry::mail::FlagSet;
use mailferry::mail::FolderName;
use mailferry::mail::InternalDate;
use mailferry::mail::Side;
use mailferry::mail::Timestamp;
use mailferry::plan::Action;
use mailferry::plan::Line;
use mailferry::plan::PlanLines;
use mailferry::plan::PlanWriter;
use mailferry::plan::Reason;
use mailferry::plan::Spool;
use mailferry::plan::Totals;
use mailferry::plan::check;
use mailferry::planning;
use mailferry::planning::About;
use mailferry::planning::Order;
use mailferry::planning::PlanningFault;
use mailferry::rule::FolderRules;
use mailferry::rule::MapFrom;
use mailferry::rule::Mapping;
use mailferry::rule::MessageRules;
use mailferry::rule::NameRules;
use mailferry::rule::Ruled;
use mailferry::rule::Rules;
use mailferry::rule::policy::OnExisting;
use mailferry::session;
use mailferry::session::Clock;
use mailferry::session::Stop;
use mailferry::state::memory::MemoryState;
use mailferry::store::Listing;
use mailferry::store::memory::Account;
use mailferry::store::memory::MemoryServer;
use mailferry::store::memory::Operation;
use mailferry::store::memory::Options;
use mailferry::store::memory::wire;

/// When every test begins: the clock of a new server in memory.
pub(crate) const BEGINNING: i64 = 1_795_000_000;

/// The date of a message for which the notation tells none.
const DATE: i64 = 1_600_000_000;

/// How long an append without a reply may still arrive.
pub(crate) const SETTLE: Duration = Duration::from_mins(1);

/// A clock that only sleeping moves; the servers' clocks go with it.
pub(crate) struct Turned {
    elapsed: Mutex<Duration>,
    servers: [MemoryServer; 2],
}

impl Clock for Turned {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(BEGINNING).plus(self.elapsed().as_secs().cast_signed())
    }

    fn elapsed(&self) -> Duration {
        *self.elapsed.lock().unwrap()
    }

    fn sleep(&self, time: Duration) {
        let mut elapsed = self.elapsed.lock().unwrap();
        let before = elapsed.as_secs();
        *elapsed += time;
        let seconds = elapsed.as_secs() - before;
        drop(elapsed);
        for server in &self.servers {
            server.advance(seconds.cast_signed());
        }
    }
}

/// A source, a destination, and one machine that moves mail between them.
pub(crate) struct World {
    pub(crate) source: MemoryServer,
    pub(crate) destination: MemoryServer,
    pub(crate) state: MemoryState,
    pub(crate) clock: Arc<Turned>,
    pub(crate) rules: Rules,
    pub(crate) settings: Settings,
    pub(crate) stop: Stop,
    pub(crate) only: Only,
    /// What the last plan listed, for the next run.
    pub(crate) listed: Option<Listing>,
}

/// A plan as its file holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan(pub(crate) Vec<u8>);

impl Plan {
    pub(crate) fn lines(&self) -> Vec<Line> {
        PlanLines::new(&self.0[..]).unwrap().map(Result::unwrap).collect()
    }

    pub(crate) fn actions(&self) -> Vec<Action> {
        let lines = self.lines().into_iter();
        lines
            .filter_map(|line| match line {
                Line::Action(action) => Some(action),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn totals(&self) -> Totals {
        check(&mut &self.0[..]).unwrap().footer.totals
    }

    pub(crate) fn changes_nothing(&self) -> bool {
        self.totals().changes_nothing()
    }

    /// The reasons of what is not done, and of nothing else.
    pub(crate) fn reasons(&self) -> Vec<Reason> {
        self.actions().iter().map(Action::reason).collect()
    }
}

impl World {
    /// A world in which both servers are of the usual kind.
    pub(crate) fn new(source: &str, destination: &str) -> Self {
        Self::of(Options::numbered(1), source, Options::numbered(2), destination)
    }

    /// A world of these servers.
    pub(crate) fn of(here: Options, source: &str, there: Options, destination: &str) -> Self {
        let servers = [MemoryServer::new(here), MemoryServer::new(there)];
        servers[0].with(|account| fill(account, source));
        servers[1].with(|account| fill(account, destination));
        let clock = Turned { elapsed: Mutex::new(Duration::ZERO), servers: servers.clone() };
        let [source, destination] = servers;
        Self {
            source,
            destination,
            state: MemoryState::default(),
            clock: Arc::new(clock),
            rules: rules(),
            settings: Settings {
                retries: 3,
                settle: SETTLE,
                reconnect_for: Duration::from_mins(5),
                max_items: None,
                memory: 1 << 20,
                connections: 1,
                connections_nearby: 1,
                connection_worth: 1,
                wave: 2,
            },
            stop: Stop::default(),
            only: Only::All,
            listed: None,
        }
    }

    /// Sends a source folder to another destination folder.
    pub(crate) fn map(mut self, from: &str, to: &str) -> Self {
        let value = Mapping {
            from: MapFrom::Name(FolderName::parse(from).unwrap()),
            to: FolderName::parse(to).unwrap(),
        };
        self.rules.folders.map.push(Ruled { value, place: "map".to_owned() });
        self
    }

    /// Another machine: the same servers and clock, state of its own.
    pub(crate) fn elsewhere(&self) -> Self {
        Self {
            source: self.source.clone(),
            destination: self.destination.clone(),
            state: MemoryState::default(),
            clock: Arc::clone(&self.clock),
            rules: self.rules.clone(),
            settings: self.settings,
            stop: Stop::default(),
            only: self.only,
            listed: None,
        }
    }

    pub(crate) fn try_plan(&mut self) -> Result<Plan, PlanningFault> {
        self.state = self.state.reopen();
        let planned = planning::make(
            session::Ends {
                source: Box::new(self.source.connector(Side::Source)),
                destination: Box::new(self.destination.connector(Side::Destination)),
            },
            Order {
                rules: &self.rules,
                about: about(self.clock.now()),
                state: &mut self.state,
                clock: &*self.clock,
                stop: &self.stop,
                retries: self.settings.retries,
                reconnect_for: self.settings.reconnect_for,
                make_spool: &mut || Ok(Box::new(std::io::Cursor::new(Vec::new())) as Box<dyn Spool>),
                tell: &mut |_| {},
                foretell: &mut |_| {},
            },
        )?;
        self.listed = Some(planned.listed);
        Ok(finish(planned.writer))
    }

    /// A plan that is saved, and applied at any time.
    pub(crate) fn plan(&mut self) -> Plan {
        let plan = self.try_plan().unwrap();
        self.listed = None;
        plan
    }

    /// A plan that is applied in the same sessions.
    pub(crate) fn plan_and_go_on(&mut self) -> Plan {
        self.try_plan().unwrap()
    }

    pub(crate) fn apply(&mut self, plan: &Plan) -> Applied {
        self.state = self.state.reopen();
        let work = Work::read(PlanLines::new(&plan.0[..]).unwrap()).unwrap();
        let ends = Ends {
            source: Box::new(self.source.connector(Side::Source)),
            destination: Box::new(self.destination.connector(Side::Destination)),
        };
        let surroundings = Surroundings {
            state: &mut self.state,
            settings: self.settings,
            clock: &*self.clock,
            stop: &self.stop,
            watch: &mut Unwatched,
            only: self.only,
            listed: self.listed.take(),
        };
        apply(work, ends, surroundings)
    }

    /// Plans and applies once; the run must have nothing to tell.
    #[track_caller]
    pub(crate) fn migrate(&mut self) -> Applied {
        let plan = self.plan();
        let applied = self.apply(&plan);
        assert_in_order(&applied);
        applied
    }

    /// Holds the destination to the notation: same folders, same messages in the same order.
    #[track_caller]
    pub(crate) fn holds(&self, expected: &str) {
        assert_eq!(self.destination.with(|account| written(account)), expected);
    }

    /// Holds the destination to the notation, where the order of messages does not count.
    #[track_caller]
    pub(crate) fn holds_in_any_order(&self, expected: &str) {
        assert_eq!(sorted(&self.destination.with(|account| written(account))), sorted(expected));
    }

    /// Holds state to having no intent whose outcome is open.
    #[track_caller]
    pub(crate) fn journal_is_clean(&self) {
        assert_eq!(self.state.all_open_intents(), []);
    }

    /// Planning anew and applying anew must change nothing and read no body.
    #[track_caller]
    pub(crate) fn nothing_is_left(&mut self) {
        self.source.forget_log();
        self.destination.forget_log();
        let plan = self.plan();
        assert_eq!(self.bodies_read(), 0);
        self.is_of_no_effect(&plan);
    }

    /// As [`nothing_is_left`](Self::nothing_is_left), where only the content tells of some messages
    /// what they are: planning reads it anew each time.
    #[track_caller]
    pub(crate) fn nothing_but_doubt_is_left(&mut self) {
        let plan = self.plan();
        self.is_of_no_effect(&plan);
    }

    #[track_caller]
    fn is_of_no_effect(&mut self, plan: &Plan) {
        assert!(plan.changes_nothing(), "{:?}", plan.actions());
        self.source.forget_log();
        self.destination.forget_log();
        let applied = self.apply(plan);
        assert_eq!(applied.fatal.map(|fatal| fatal.to_string()), None);
        assert_eq!(self.destination.effect_log(), []);
        assert_eq!(self.bodies_read(), 0);
    }

    /// How many times bodies were asked for since the log began.
    pub(crate) fn bodies_read(&self) -> usize {
        let fetches = |operation: &&Operation| matches!(operation, Operation::Fetch { .. });
        let log = [self.source.log(), self.destination.log()].concat();
        log.iter().filter(fetches).count()
    }

    /// Lengths of the messages that were appended since the log began, by folder.
    pub(crate) fn appends(&self) -> usize {
        let appends = |operation: &&Operation| matches!(operation, Operation::Append { .. });
        self.destination.effect_log().iter().filter(appends).count()
    }

    /// Lets time go by between runs.
    pub(crate) fn wait(&self, seconds: u64) {
        self.clock.sleep(Duration::from_secs(seconds));
    }
}

fn finish(writer: PlanWriter) -> Plan {
    let mut octets = Vec::new();
    writer.finish(&mut octets).unwrap();
    check(&mut &octets[..]).unwrap();
    Plan(octets)
}

fn about(now: Timestamp) -> About {
    About {
        manifest: "test.toml".to_owned(),
        digest: "0".repeat(64),
        account: "test".to_owned(),
        source: ("here".to_owned(), 993),
        destination: ("there".to_owned(), 993),
        foreign_values: Vec::new(),
        now,
    }
}

fn rules() -> Rules {
    Rules {
        source: NameRules::default(),
        destination: NameRules::default(),
        folders: FolderRules::default(),
        messages: MessageRules::default(),
        on_existing_flags: OnExisting::Merge,
        message_ceiling: None,
        allow_empty_source: false,
    }
}

/// The reasons of a run's items.
pub(crate) fn item_reasons(applied: &Applied) -> Vec<Reason> {
    applied.items.iter().map(|item| item.reason).collect()
}

/// Holds a run to having ended well, with nothing that needs a reader.
#[track_caller]
pub(crate) fn assert_in_order(applied: &Applied) {
    assert_eq!(applied.fatal.as_ref().map(ToString::to_string), None);
    assert!(applied.items.is_empty(), "{:?}", applied.items);
    assert!(!applied.stale && !applied.somebody_else && !applied.quota, "{applied:?}");
}

/// Fills an account from notation: folders apart by ` | `, messages apart by blanks.
///
/// A message is a word: `a` has a Message-ID and a Date, `-a` has no Message-ID, `~a` has no header,
/// `=a` has the header of `a` and another content of the same length, `0` is empty. Behind `/` stand
/// flags: S seen, A answered, F flagged, T draft, D deleted, k `$Forwarded`. Behind `@` stands
/// INTERNALDATE in seconds. `a*3` is three of them.
pub(crate) fn fill(account: &mut Account, notation: &str) {
    for part in notation.split('|') {
        let Some((folder, words)) = part.split_once(':') else { continue };
        let folder = folder.trim();
        account.folder(folder);
        for word in words.split_whitespace() {
            let (word, times) = word.split_once('*').unwrap_or((word, "1"));
            for _ in 0..times.parse().unwrap() {
                deliver(account, folder, word);
            }
        }
    }
}

fn deliver(account: &mut Account, folder: &str, word: &str) {
    let (word, date) = word.split_once('@').unwrap_or((word, ""));
    let (word, letters) = word.split_once('/').unwrap_or((word, ""));
    let date = if date.is_empty() { DATE } else { date.parse().unwrap() };
    let date = InternalDate::new(Timestamp::from_seconds(date), 0);
    account.store(&wire(folder), &flags(letters), date, &message(word));
}

/// The octets of a message of the notation.
pub(crate) fn message(word: &str) -> Vec<u8> {
    let (kind, name) = match word.as_bytes()[0] {
        b'0' => return Vec::new(),
        kind @ (b'-' | b'~' | b'=') => (kind, &word[1..]),
        _ => (b' ', word),
    };
    let date = "Date: Sun, 13 Sep 2020 12:26:40 +0000\r\n";
    match kind {
        b'-' => format!("From: {name}@example.org\r\n{date}Subject: {name}\r\n\r\nno {name}\r\n"),
        b'~' => format!("\r\nbare {name}\r\n"),
        kind => {
            let text = if kind == b'=' { "other" } else { "plain" };
            format!(
                "Message-ID: <{name}@example.org>\r\n{date}From: x@example.org\r\n\
                 Subject: {name}\r\n\r\n{text} {name}\r\n"
            )
        }
    }
    .into_bytes()
}

/// The word of a message; its text where it is none of the notation.
fn word(octets: &[u8]) -> String {
    let text = String::from_utf8_lossy(octets);
    let Some(name) = text.trim_end().rsplit(' ').next().filter(|name| !name.is_empty()) else {
        return "0".to_owned();
    };
    let kinds = ["", "-", "~", "="].map(|kind| format!("{kind}{name}"));
    kinds.into_iter().find(|word| message(word) == octets).unwrap_or_else(|| format!("?{text}"))
}

const LETTERS: [(char, Flag); 5] = [
    ('S', Flag::Seen),
    ('A', Flag::Answered),
    ('F', Flag::Flagged),
    ('T', Flag::Draft),
    ('D', Flag::Deleted),
];

/// Flags from their letters.
pub(crate) fn flags(letters: &str) -> FlagSet {
    let flag = |letter: char| match LETTERS.iter().find(|(known, _)| *known == letter) {
        Some((_, flag)) => flag.clone(),
        None => Flag::from_wire(b"$Forwarded").unwrap(),
    };
    letters.chars().map(flag).collect()
}

/// Writes an account in the notation, empty folders left out.
pub(crate) fn written(account: &Account) -> String {
    let folders = account.folders.iter().filter(|folder| !folder.mails.is_empty());
    let folders = folders.map(|folder| {
        let mails = folder.mails.iter().map(|mail| {
            let letters = LETTERS.iter().filter(|(_, flag)| mail.flags.contains(flag));
            let mut letters: String = letters.map(|(letter, _)| *letter).collect();
            if mail.flags.iter().any(Flag::is_keyword) {
                letters.push('k');
            }
            let slash = if letters.is_empty() { "" } else { "/" };
            let date = mail.date.instant().seconds();
            let date = if date == DATE { String::new() } else { format!("@{date}") };
            format!(" {}{slash}{letters}{date}", word(&mail.octets))
        });
        format!("{}:{}", folder.wire.escaped(), mails.collect::<String>())
    });
    let mut folders: Vec<String> = folders.collect();
    folders.sort();
    folders.join(" | ")
}

/// The same notation with the messages of each folder in order.
pub(crate) fn sorted(notation: &str) -> String {
    let folders = notation.split('|').map(|part| {
        let (folder, words) = part.split_once(':').unwrap();
        let mut words: Vec<_> = words.split_whitespace().collect();
        words.sort_unstable();
        format!("{}: {}", folder.trim(), words.join(" "))
    });
    folders.collect::<Vec<_>>().join(" | ")
}

/// How often each message is in each folder, whatever its flags and date.
pub(crate) fn words(notation: &str) -> BTreeMap<(String, String), usize> {
    let mut words = BTreeMap::new();
    for (folder, held) in notation.split('|').filter_map(|part| part.split_once(':')) {
        for word in held.split_whitespace().filter_map(|word| word.split(['/', '@']).next()) {
            *words.entry((folder.trim().to_owned(), word.to_owned())).or_default() += 1;
        }
    }
    words
}
