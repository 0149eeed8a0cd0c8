//! Which messages there are, and where.

use clap::ValueEnum;

use crate::chance::Chance;
use crate::text;
use crate::text::Seal;

/// How much mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "UPPER")]
pub(crate) enum Size {
    /// 1,000 messages of realistic sizes
    S,
    /// 10,000 messages of realistic sizes
    M,
    /// 100,000 small messages
    L,
    /// One message of 50 MB
    H,
}

/// Octets of messages: in so many of 1,000 cases it is at most so much, evenly spread in between.
/// Half are below 10 KB; one of 300 is above 700 KB.
const SIZES: [(u64, u64); 10] = [
    (0, 600),
    (50, 1_200),
    (250, 4_300),
    (500, 10_000),
    (750, 25_000),
    (900, 45_000),
    (950, 75_000),
    (990, 280_000),
    (997, 700_000),
    (1000, 5_000_000),
];

/// Folders in the server's octets (modified UTF-7, RFC 3501 §5.1.3); the first one gets most.
const FOLDERS: [&str; 25] = [
    "INBOX",
    "Sent",
    "Archive",
    "Drafts",
    "Trash",
    "Archive/2022",
    "Archive/2023",
    "Archive/2023/Spring",
    "Archive/2023/Autumn",
    "Archive/2024",
    "Bills",
    "Bills/Water & Gas",
    "Projects",
    "Projects/Bridge",
    "Projects/Bridge/Drawings",
    "Projects/Bridge/Letters",
    "Gr&APwA3w-e",
    "Gr&APwA3w-e/Entw&APw-rfe",
    "&ZeVnLIqe-",
    "&ZeVnLIqe-/&U,BTFw-",
    "&BBsEOARHBD0EPgQ1-",
    "Lists",
    "Lists/users.announce",
    "two words",
    "Travel",
];

pub(crate) const KEYWORDS: [&str; 6] =
    ["$Forwarded", "$MDNSent", "$Label1", "NonJunk", "later", "project-x"];

/// 2014-01-01 and 2026-01-01, UTC.
const DATES: (u64, u64) = (1_388_534_400, 1_767_225_600);

/// Messages that may come a second time.
const REMEMBERED: usize = 64;

/// One message and where it lies.
#[derive(Clone)]
pub(crate) struct Sample {
    /// The number of its folder.
    pub(crate) folder: usize,
    /// Seconds since 1970.
    pub(crate) seconds: i64,
    /// Its system flags as a maildir has them, sorted.
    pub(crate) flags: &'static str,
    /// A keyword, by number.
    pub(crate) keyword: Option<usize>,
    /// With bare LF.
    pub(crate) text: String,
}

impl Size {
    /// The names of all folders.
    pub(crate) fn folders(self) -> Vec<String> {
        let number = match self {
            Self::S | Self::M => 60,
            Self::L => 40,
            Self::H => 1,
        };
        let more = (1..)
            .map(|client| format!("Clients/{}/Client {client:02}", ["A-K", "L-Z"][client % 2]));
        FOLDERS.iter().map(|name| (*name).to_owned()).chain(more).take(number).collect()
    }

    fn messages(self) -> u64 {
        match self {
            Self::S => 1_000,
            Self::M => 10_000,
            Self::L => 100_000,
            Self::H => 1,
        }
    }

    fn octets(self, chance: &mut Chance) -> u64 {
        match self {
            Self::S | Self::M => spread(chance),
            Self::L => chance.between(700, 1_400),
            Self::H => 50_000_000,
        }
    }
}

fn spread(chance: &mut Chance) -> u64 {
    // Finer than the table, so that its last row is reached.
    let place = chance.below(1_000_000);
    let above =
        SIZES.iter().position(|(permille, _)| permille * 1000 > place).unwrap_or(SIZES.len() - 1);
    let ((from, smallest), (to, largest)) = (SIZES[above - 1], SIZES[above]);
    smallest + (largest - smallest) * (place - from * 1000) / ((to - from) * 1000)
}

/// Hands out every message of a corpus.
///
/// # Errors
///
/// Those of `each`.
pub(crate) fn each<E>(
    size: Size,
    seed: u64,
    mut each: impl FnMut(&Sample) -> Result<(), E>,
) -> Result<(), E> {
    let mut chance = Chance::new(seed);
    let folders = u64::try_from(size.folders().len()).unwrap_or(1);
    let mut remembered: Vec<Sample> = Vec::new();
    for number in 0..size.messages() {
        let folder = folder(&mut chance, folders);
        // 1 of 100 is there twice, every second time in the same folder.
        if !remembered.is_empty() && chance.permille(10) {
            let mut again = chance.of(&remembered).clone();
            if chance.permille(500) {
                again.folder = folder;
            }
            each(&again)?;
            continue;
        }
        let seconds = i64::try_from(chance.between(DATES.0, DATES.1)).unwrap_or_default();
        let seal = Seal { number, seconds, has_id: !chance.permille(10) };
        let octets = size.octets(&mut chance);
        let text = text::message(&mut chance, &seal, octets);
        let sample = Sample {
            folder,
            seconds,
            flags: flags(&mut chance),
            keyword: keyword(&mut chance),
            text,
        };
        each(&sample)?;
        if remembered.len() < REMEMBERED {
            remembered.push(sample);
        }
    }
    Ok(())
}

/// A quarter lies in the first folder; of the others the first ones get more.
fn folder(chance: &mut Chance, folders: u64) -> usize {
    let folder =
        if chance.permille(250) { 0 } else { chance.below(folders).min(chance.below(folders)) };
    usize::try_from(folder).unwrap_or_default()
}

/// Never `\Deleted`, of which every tool has its own opinion: then counts could not be compared.
fn flags(chance: &mut Chance) -> &'static str {
    match chance.below(100) {
        0..55 => "S",
        55..72 => "RS",
        72..78 => "FS",
        78..80 => "FRS",
        80..82 => "DS",
        82..84 => "F",
        _ => "",
    }
}

fn keyword(chance: &mut Chance) -> Option<usize> {
    let number = usize::try_from(chance.below(6)).unwrap_or_default();
    chance.permille(80).then_some(number)
}
