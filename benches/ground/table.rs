//! Figures: kept as lines, shown as medians and ratios.

use std::fmt;
use std::path::Path;

use crate::Fault;

/// What one run took.
pub(crate) struct Note {
    /// Who ran.
    pub(crate) peer: String,
    /// What it did.
    pub(crate) phase: String,
    /// Which time; 0 does not count.
    pub(crate) round: u32,
    /// From start to end, in microseconds.
    pub(crate) wall_us: u64,
    /// In user and system mode, in microseconds.
    pub(crate) cpu_us: u64,
    /// The most memory that it held at once.
    pub(crate) memory_kib: u64,
    /// It ended well and all messages were there.
    pub(crate) whole: bool,
}

impl Note {
    /// As it is kept.
    pub(crate) fn line(&self) -> String {
        let Self { peer, phase, round, wall_us, cpu_us, memory_kib, whole } = self;
        format!("{peer}\t{phase}\t{round}\t{wall_us}\t{cpu_us}\t{memory_kib}\t{whole}")
    }

    fn read(line: &str) -> Option<Self> {
        let mut fields = line.split('\t');
        let mut next = || fields.next();
        Some(Self {
            peer: next()?.to_owned(),
            phase: next()?.to_owned(),
            round: next()?.parse().ok()?,
            wall_us: next()?.parse().ok()?,
            cpu_us: next()?.parse().ok()?,
            memory_kib: next()?.parse().ok()?,
            whole: next()?.parse().ok()?,
        })
    }
}

impl fmt::Display for Note {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { peer, phase, round, .. } = self;
        let round = if *round == 0 { "warm-up".to_owned() } else { format!("round {round}") };
        let (wall, cpu, memory) =
            (seconds(self.wall_us), seconds(self.cpu_us), mebi(self.memory_kib));
        write!(
            formatter,
            "{phase:<11} {round:<8} {peer:<16} {wall:>8} s  CPU {cpu:>7} s  {memory:>6} MiB"
        )?;
        formatter.write_str(if self.whole { "" } else { "  BROKEN" })
    }
}

/// Prints one table for each phase.
pub(crate) fn print(notes: &Path) -> Result<(), Fault> {
    let text =
        std::fs::read_to_string(notes).map_err(|fault| format!("{}: {fault}", notes.display()))?;
    let notes: Vec<Note> = text
        .lines()
        .map(|line| Note::read(line).ok_or_else(|| format!("not a note: {line}")))
        .collect::<Result<_, _>>()?;
    let counted: Vec<&Note> = notes.iter().filter(|note| note.round > 0).collect();
    // The warm-up has them in the order in which they were named.
    let peers = firsts(notes.iter().map(|note| note.peer.as_str()));
    for phase in firsts(counted.iter().map(|note| note.phase.as_str())) {
        let rows: Vec<&Note> = counted.iter().copied().filter(|note| note.phase == phase).collect();
        table(phase, &peers, &rows);
    }
    Ok(())
}

fn table(phase: &str, peers: &[&str], rows: &[&Note]) {
    let of = |peer: &str, figure: fn(&Note) -> u64| {
        let whole = rows.iter().filter(|note| note.peer == peer && note.whole);
        let mut figures: Vec<u64> = whole.map(|note| figure(note)).collect();
        figures.sort_unstable();
        figures
    };
    let wall = |peer: &str| median(&of(peer, |note| note.wall_us));
    let (floor, own) = (wall("floor"), wall("mailferry"));
    println!(
        "\n| {phase} | wall, median | min-max | x floor | x mailferry | CPU | memory | runs |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for peer in peers.iter().copied() {
        let walls = of(peer, |note| note.wall_us);
        let runs = rows.iter().filter(|note| note.peer == peer).count();
        if runs == 0 {
            continue;
        }
        let broken = runs - walls.len();
        let runs = if broken == 0 { runs.to_string() } else { format!("{runs}, {broken} BROKEN") };
        let (Some(least), Some(most)) = (walls.first(), walls.last()) else {
            println!("| {peer} | - | - | - | - | - | - | {runs} |");
            continue;
        };
        println!(
            "| {peer} | {} s | {}-{} s | {} | {} | {} s | {} MiB | {runs} |",
            seconds(median(&walls)),
            seconds(*least),
            seconds(*most),
            ratio(median(&walls), floor),
            ratio(median(&walls), own),
            seconds(median(&of(peer, |note| note.cpu_us))),
            mebi(median(&of(peer, |note| note.memory_kib))),
        );
    }
}

/// Each word once, in the order of first appearance.
fn firsts<'a>(words: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    words.fold(Vec::new(), |mut seen, word| {
        if !seen.contains(&word) {
            seen.push(word);
        }
        seen
    })
}

/// The middle of sorted figures; 0 where there is none.
fn median(sorted: &[u64]) -> u64 {
    let middle = sorted.len() / 2;
    match (sorted.get(middle.wrapping_sub(1)), sorted.get(middle)) {
        (Some(before), Some(after)) if sorted.len().is_multiple_of(2) => {
            u64::midpoint(*before, *after)
        }
        (_, middle) => middle.copied().unwrap_or_default(),
    }
}

fn seconds(microseconds: u64) -> String {
    let hundredths = (microseconds + 5_000) / 10_000;
    // A run with nothing to do is a matter of milliseconds.
    if hundredths < 100 {
        let thousandths = (microseconds + 500) / 1_000;
        return format!("{}.{:03}", thousandths / 1000, thousandths % 1000);
    }
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

fn ratio(figure: u64, to: u64) -> String {
    match (figure * 100 + to / 2).checked_div(to) {
        Some(hundredths) => format!("{}.{:02}", hundredths / 100, hundredths % 100),
        None => "-".to_owned(),
    }
}

fn mebi(kibi: u64) -> String {
    let tenths = (kibi * 10 + 512) / 1024;
    format!("{}.{}", tenths / 10, tenths % 10)
}
