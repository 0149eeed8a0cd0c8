//! One suite of behaviour, run against every implementation of state.

use std::path::PathBuf;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::identity::Basis;
use crate::identity::Digest;
use crate::mail::{
    Flag, FlagSet, FolderName, MailboxId, ModSeq, Side, Timestamp, Uid, UidSet, UidValidity,
    WireName,
};
use crate::plan::{Reason, Witness, WitnessFolder};
use crate::state::memory::MemoryState;
use crate::state::{
    FolderId, FolderKey, Intent, IntentId, Item, Link, OpenIntent, Outcome, Owned, RunId,
    SqliteState, State, StateError, StoredCopy,
};

/// Where state lives between two runs.
trait Home {
    fn new() -> Self;
    fn open(&self) -> Box<dyn State>;
    /// What the next run finds if this one is killed now, with `state` still open.
    fn killed(&mut self, state: Box<dyn State>) -> Box<dyn State>;
}

struct InMemory(MemoryState);

impl Home for InMemory {
    fn new() -> Self {
        Self(MemoryState::default())
    }

    fn open(&self) -> Box<dyn State> {
        Box::new(self.0.reopen())
    }

    fn killed(&mut self, state: Box<dyn State>) -> Box<dyn State> {
        let checkpoint = self.0.checkpoint();
        drop(state);
        self.0.restore(&checkpoint);
        self.open()
    }
}

struct InSqlite {
    folder: tempfile::TempDir,
    file: PathBuf,
}

impl Home for InSqlite {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state.db");
        Self { folder, file }
    }

    fn open(&self) -> Box<dyn State> {
        Box::new(SqliteState::open(&self.file).unwrap())
    }

    /// The files as they are on disk while it is open: the database not closed, the log full.
    fn killed(&mut self, state: Box<dyn State>) -> Box<dyn State> {
        let copy = self.folder.path().join("killed.db");
        std::fs::copy(&self.file, &copy).unwrap();
        std::fs::copy(self.file.with_extension("db-wal"), copy.with_extension("db-wal")).unwrap();
        drop(state);
        self.file = copy;
        self.open()
    }
}

macro_rules! suite {
    ($($law:ident),+ $(,)?) => {
        mod memory {
            $(#[test] fn $law() { super::$law::<super::InMemory>(); })+
        }
        mod sqlite {
            $(#[test] fn $law() { super::$law::<super::InSqlite>(); })+
        }
    };
}

suite!(
    what_reading_back_showed_outlives_what_is_forgotten,
    new_state_is_empty_until_it_knows_of_a_message,
    of_many_intents_those_that_are_open_count_on_and_any_of_them_are_settled,
    runs_get_numbers_of_their_own,
    a_witness_comes_back_and_is_replaced,
    a_folder_is_its_name_and_uidvalidity,
    a_renamed_folder_with_mailbox_id_keeps_its_number,
    heights_are_never_lowered,
    a_forgotten_folder_keeps_its_open_intents_only,
    links_come_back_ascending_and_exactly,
    links_of_recent_copies_come_from_every_source_folder,
    a_found_link_replaces_but_keeps_who_copied,
    dropped_links_are_gone_and_others_stay,
    a_folder_is_alone_until_it_is_seen_in_company_or_forgotten,
    the_folder_that_came_last_to_a_name_is_found_by_it,
    what_was_gathered_is_there_after_its_end,
    what_was_gathered_is_there_with_an_intent_after_a_kill,
    agreed_flags_go_to_links_by_destination_uid,
    digests_come_back_ascending_and_are_replaced,
    intents_are_there_after_a_kill,
    a_message_sent_again_counts_on,
    a_stored_copy_is_linked_owned_and_closed,
    a_stored_copy_without_uid_is_linked,
    what_is_not_stored_is_closed_and_leaves_nothing,
    an_unknown_outcome_keeps_the_intent_open,
    an_intent_that_is_not_open_cannot_be_settled,
    the_highest_stored_uid_outlives_its_link,
    what_was_told_to_be_stored_above_the_truth_is_forgotten,
    items_are_replaced_for_each_command,
    much_is_written_in_one_call,
);

fn uid(number: u32) -> Uid {
    Uid::new(number).unwrap()
}

fn uids(text: &str) -> UidSet {
    text.parse().unwrap()
}

fn flags(text: &str) -> FlagSet {
    text.split_whitespace().map(|flag| Flag::from_wire(flag.as_bytes()).unwrap()).collect()
}

fn digest(number: u8) -> Digest {
    Digest([number; 16])
}

/// Reads `"source INBOX 7 m1"`: side, name, UIDVALIDITY and, perhaps, MAILBOXID.
fn key(text: &str) -> FolderKey {
    let parts: Vec<_> = text.split(' ').collect();
    FolderKey {
        side: if parts[0] == "source" { Side::Source } else { Side::Destination },
        wire: WireName::new(parts[1].as_bytes()),
        uid_validity: UidValidity::new(parts[2].parse().unwrap()).unwrap(),
        mailbox_id: parts.get(3).map(|id| MailboxId::from_wire(id.as_bytes()).unwrap()),
    }
}

fn pair(state: &mut dyn State) -> (FolderId, FolderId) {
    let source = state.folder(&key("source INBOX 7")).unwrap();
    (source, state.folder(&key("destination INBOX 9")).unwrap())
}

fn link(source: u32, destination: u32) -> Link {
    Link {
        source: uid(source),
        destination: Uid::new(destination),
        digest: digest(1),
        basis: Basis::Key,
        octets: 1000,
        flags: None,
        copied_by: None,
    }
}

fn intent((source_folder, destination_folder): (FolderId, FolderId), source: u32) -> Intent {
    Intent { source_folder, source: uid(source), destination_folder, uid_next: uid(40) }
}

fn stored(source: u32, destination: u32) -> StoredCopy {
    let owned = Owned {
        uid: uid(destination),
        octets: 1000,
        digest: digest(1),
        date: Some(Timestamp::from_seconds(-5)),
        flags: flags("\\Seen $MdnSent"),
    };
    let link = Link { flags: Some(flags("\\Seen")), ..link(source, destination) };
    StoredCopy { link, owned: Some(owned) }
}

fn one_intent(state: &mut dyn State, source: u32) -> IntentId {
    let pair = pair(state);
    state.intend(&[intent(pair, source)]).unwrap()[0]
}

fn open(state: &mut dyn State) -> Vec<OpenIntent> {
    let (_, destination) = pair(state);
    state.open_intents(destination).unwrap()
}

fn new_state_is_empty_until_it_knows_of_a_message<H: Home>() {
    let home = H::new();
    let mut state = home.open();
    assert!(state.was_empty());
    state.begin_run("plan", Timestamp::from_seconds(1)).unwrap();
    let (source, destination) = pair(&mut *state);
    state.put_digests(source, &[(uid(1), digest(1), Basis::Key)]).unwrap();
    drop(state);
    let mut state = home.open();
    assert!(state.was_empty(), "a plan that linked nothing knows nothing");
    state.put_links(source, destination, &[link(1, 1)]).unwrap();
    assert!(state.was_empty(), "it was when it was opened");
    drop(state);
    assert!(!home.open().was_empty());
}

fn runs_get_numbers_of_their_own<H: Home>() {
    let home = H::new();
    let now = Timestamp::from_seconds(1);
    let first = home.open().begin_run("plan", now).unwrap();
    let second = home.open().begin_run("apply", now).unwrap();
    assert!(first < second);
}

fn a_witness_comes_back_and_is_replaced<H: Home>() {
    let home = H::new();
    let mut state = home.open();
    assert_eq!(state.witness(Side::Source).unwrap(), None);
    let folder = WitnessFolder {
        wire: WireName::new(*b"Entw\xfcrfe"),
        uid_validity: UidValidity::new(u32::MAX).unwrap(),
        mailbox_id: MailboxId::from_wire(b"M-1_a"),
    };
    let old = Witness { user: "Ann".to_owned(), folders: vec![folder], ..Witness::default() };
    let new = Witness { id: Some("Dovecot \u{1b}".to_owned()), ..old.clone() };
    state.set_witness(Side::Source, &old).unwrap();
    state.set_witness(Side::Source, &new).unwrap();
    drop(state);
    let mut state = home.open();
    assert_eq!(state.witness(Side::Source).unwrap(), Some(new));
    assert_eq!(state.witness(Side::Destination).unwrap(), None);
}

fn a_folder_is_its_name_and_uidvalidity<H: Home>() {
    let home = H::new();
    let keys = [
        "source INBOX 7",
        "source INBOX 8",
        "source inboX2 7",
        "destination INBOX 7",
        "source Sent 7",
        "source SENT 7",
        "source Sent 7 m1",
        "source Sent 8 m1",
    ];
    let mut state = home.open();
    let ids: Vec<_> = keys.iter().map(|text| state.folder(&key(text)).unwrap()).collect();
    drop(state);
    let mut state = home.open();
    let again: Vec<_> = keys.iter().map(|text| state.folder(&key(text)).unwrap()).collect();
    assert_eq!(ids, again);
    assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), keys.len());
    assert_eq!(state.folder(&key("source Inbox 7")).unwrap(), ids[0], "INBOX has no case");
}

fn a_renamed_folder_with_mailbox_id_keeps_its_number<H: Home>() {
    let home = H::new();
    let mut state = home.open();
    let old = state.folder(&key("source Old 7 m1")).unwrap();
    assert_eq!(state.folder(&key("source New 7 m1")).unwrap(), old);
    let other = state.folder(&key("source Old 7 m2")).unwrap();
    assert_ne!(other, old, "the folder that took the old name is another one");
    assert_eq!(state.folder(&key("source Old 7 m1")).unwrap(), old, "swapped back");
}

fn heights_are_never_lowered<H: Home>() {
    let home = H::new();
    let mut state = home.open();
    let (folder, _) = pair(&mut *state);
    assert_eq!(state.high_water(folder).unwrap(), (None, None));
    state.raise_high_water(folder, uid(10), Some(ModSeq(u64::MAX))).unwrap();
    state.raise_high_water(folder, uid(9), Some(ModSeq(5))).unwrap();
    assert_eq!(state.high_water(folder).unwrap(), (Some(uid(10)), Some(ModSeq(u64::MAX))));
    state.raise_high_water(folder, Uid::MAX, None).unwrap();
    drop(state);
    let heights = home.open().high_water(folder).unwrap();
    assert_eq!(heights, (Some(Uid::MAX), Some(ModSeq(u64::MAX))));
    assert_eq!(home.open().high_water(FolderId(77)).unwrap(), (None, None));
}

fn a_folder_is_alone_until_it_is_seen_in_company_or_forgotten<H: Home>() {
    let home = H::new();
    let mut state = home.open();
    let (a, b) =
        (state.folder(&key("source A 7")).unwrap(), state.folder(&key("source B 8")).unwrap());
    assert!(!state.is_alone(a).unwrap(), "it was never looked at");
    state.set_alone(a, true).unwrap();
    state.set_alone(b, true).unwrap();
    drop(state);
    let mut state = home.open();
    assert!(state.is_alone(a).unwrap() && state.is_alone(b).unwrap());
    state.set_alone(a, false).unwrap();
    state.forget_folder(b).unwrap();
    drop(state);
    assert!(!home.open().is_alone(a).unwrap());
    assert!(!home.open().is_alone(b).unwrap());
    assert!(!home.open().is_alone(FolderId(77)).unwrap());
}

fn the_folder_that_came_last_to_a_name_is_found_by_it<H: Home>() {
    let home = H::new();
    let mut state = home.open();
    let mut last = |name: &str| state.last_folder(Side::Source, &WireName::new(name.as_bytes()));
    assert_eq!(last("A").unwrap(), None);
    let mut state = home.open();
    state.folder(&key("destination A 7")).unwrap();
    state.folder(&key("source A 7")).unwrap();
    let made_again = state.folder(&key("source A 8")).unwrap();
    let inbox = state.folder(&key("source inbox 3")).unwrap();
    let mut last = |name: &str| state.last_folder(Side::Source, &WireName::new(name.as_bytes()));
    assert_eq!(last("A").unwrap(), Some(made_again));
    assert_eq!(last("Inbox").unwrap(), Some(inbox));
    assert_eq!(last("a").unwrap(), None);
}

fn what_was_gathered_is_there_after_its_end<H: Home>() {
    let mut home = H::new();
    let mut state = home.open();
    state.gather(true).unwrap();
    let (source, _) = pair(&mut *state);
    state.put_digests(source, &[(uid(1), digest(1), Basis::Key)]).unwrap();
    assert_eq!(digests(&mut *state, source), 1, "it is read at once");
    state.gather(false).unwrap();
    let mut state = home.killed(state);
    assert_eq!(digests(&mut *state, source), 1);
}

fn what_was_gathered_is_there_with_an_intent_after_a_kill<H: Home>() {
    let mut home = H::new();
    let mut state = home.open();
    state.gather(true).unwrap();
    let both = pair(&mut *state);
    state.put_digests(both.0, &[(uid(1), digest(1), Basis::Key)]).unwrap();
    state.intend(&[intent(both, 3)]).unwrap();
    state.put_digests(both.0, &[(uid(2), digest(2), Basis::Key)]).unwrap();
    let mut state = home.killed(state);
    assert_eq!(open(&mut *state).len(), 1);
    assert!(digests(&mut *state, both.0) >= 1);
}

fn digests(state: &mut dyn State, folder: FolderId) -> usize {
    let mut count = 0;
    state.digests(folder, &mut |_, _, _| count += 1).unwrap();
    count
}

fn a_forgotten_folder_keeps_its_open_intents_only<H: Home>() {
    for forget_source in [true, false] {
        let home = H::new();
        let mut state = home.open();
        let both = pair(&mut *state);
        let (source, destination) = both;
        let ids = state.intend(&[intent(both, 1), intent(both, 2)]).unwrap();
        state.settle(&[(ids[0], Outcome::Stored(stored(1, 41)))]).unwrap();
        state.put_digests(source, &[(uid(1), digest(1), Basis::Key)]).unwrap();
        state.put_digests(destination, &[(uid(41), digest(1), Basis::Key)]).unwrap();
        state.raise_high_water(source, uid(3), Some(ModSeq(4))).unwrap();
        state.raise_high_water(destination, uid(42), None).unwrap();
        let (gone, kept) =
            if forget_source { (source, destination) } else { (destination, source) };
        state.forget_folder(gone).unwrap();

        assert_eq!(state.links(source, destination).unwrap(), []);
        assert_eq!(state.owned(destination).unwrap().len(), usize::from(forget_source));
        assert_eq!(state.high_water(gone).unwrap(), (None, None));
        assert!(state.high_water(kept).unwrap().0.is_some());
        let mut cached = Vec::new();
        state.digests(gone, &mut |uid, _, _| cached.push(uid)).unwrap();
        assert_eq!(cached, []);
        state.digests(kept, &mut |uid, _, _| cached.push(uid)).unwrap();
        assert_eq!(cached.len(), 1);
        let highest = state.highest_stored(destination).unwrap();
        assert_eq!(highest, forget_source.then_some(uid(41)));
        assert_eq!(open(&mut *state)[0].id, ids[1]);
    }
}

fn links_come_back_ascending_and_exactly<H: Home>() {
    let home = H::new();
    let mut state = home.open();
    let (source, destination) = pair(&mut *state);
    let run = state.begin_run("apply", Timestamp::from_seconds(1)).unwrap();
    let full = Link {
        source: Uid::MAX,
        destination: Some(Uid::MAX),
        digest: digest(0xff),
        basis: Basis::Content,
        octets: u64::MAX,
        flags: Some(flags("$A \\Seen")),
        copied_by: Some(run),
    };
    let bare = Link { destination: None, basis: Basis::Nothing, ..link(2, 1) };
    let none = Link { flags: Some(FlagSet::new()), basis: Basis::Headers, ..link(5, 5) };
    state.put_links(source, destination, &[full.clone(), none.clone(), bare.clone()]).unwrap();
    drop(state);
    let mut state = home.open();
    assert_eq!(state.links(source, destination).unwrap(), [bare, none, full]);
    assert_eq!(state.links(destination, source).unwrap(), []);
}

fn links_of_recent_copies_come_from_every_source_folder<H: Home>() {
    let home = H::new();
    let mut state = home.open();
    let (source, destination) = pair(&mut *state);
    let other = state.folder(&key("source Other 9")).unwrap();
    let unplaced = Link { destination: None, ..link(4, 1) };
    state
        .put_links(source, destination, &[link(1, 9), link(2, 5), link(3, 6), unplaced.clone()])
        .unwrap();
    state.put_links(other, destination, &[link(2, 7)]).unwrap();
    state.put_links(other, source, &[link(2, 7)]).unwrap();
    let mut found = Vec::new();
    state.each_link_from(destination, uid(6), &mut |of, link| found.push((of, link))).unwrap();
    let expected =
        [(source, link(1, 9)), (source, link(3, 6)), (source, unplaced), (other, link(2, 7))];
    assert_eq!(found, expected);
}

fn a_found_link_replaces_but_keeps_who_copied<H: Home>() {
    let home = H::new();
    let mut state = home.open();
    let (source, destination) = pair(&mut *state);
    let by = |run| Link { copied_by: Some(RunId(run)), flags: Some(flags("\\Seen")), ..link(1, 4) };
    state.put_links(source, destination, &[by(1)]).unwrap();
    state.put_links(source, destination, &[link(1, 5)]).unwrap();
    state.put_links(source, destination, &[by(2)]).unwrap();
    let links = state.links(source, destination).unwrap();
    assert_eq!(links, [Link { copied_by: Some(RunId(1)), ..by(2) }]);
    let id = one_intent(&mut *state, 1);
    let copy = StoredCopy { link: by(3), owned: None };
    state.settle(&[(id, Outcome::Stored(copy))]).unwrap();
    assert_eq!(state.links(source, destination).unwrap(), [by(3)], "copied again by another run");
}

fn dropped_links_are_gone_and_others_stay<H: Home>() {
    let home = H::new();
    let mut state = home.open();
    let (source, destination) = pair(&mut *state);
    let other = state.folder(&key("destination Other 9")).unwrap();
    let links: Vec<_> = (1..=9).map(|number| link(number, number)).collect();
    state.put_links(source, destination, &links).unwrap();
    state.put_links(source, other, &links).unwrap();
    state.drop_links(source, destination, &uids("1:3,5,9:4294967295")).unwrap();
    let left: UidSet =
        state.links(source, destination).unwrap().iter().map(|link| link.source).collect();
    assert_eq!(left, uids("4,6:8"));
    assert_eq!(state.links(source, other).unwrap().len(), 9);
}

fn agreed_flags_go_to_links_by_destination_uid<H: Home>() {
    let home = H::new();
    let mut state = home.open();
    let (source, destination) = pair(&mut *state);
    let unplaced = Link { destination: None, ..link(3, 1) };
    state.put_links(source, destination, &[link(1, 12), link(2, 11), unplaced]).unwrap();
    let agreed = [(uid(11), flags("\\Seen")), (uid(99), flags("\\Draft")), (uid(12), flags(""))];
    state.agree_flags(destination, &agreed).unwrap();
    let links = state.links(source, destination).unwrap();
    let seen: Vec<_> = links.into_iter().map(|link| link.flags).collect();
    assert_eq!(seen, [Some(flags("")), Some(flags("\\Seen")), None]);
}

fn digests_come_back_ascending_and_are_replaced<H: Home>() {
    let home = H::new();
    let mut state = home.open();
    let (source, destination) = pair(&mut *state);
    let rows = [
        (Uid::MAX, digest(3), Basis::Headers),
        (uid(1), digest(1), Basis::Key),
        (uid(2), digest(2), Basis::Content),
    ];
    state.put_digests(source, &rows).unwrap();
    state.put_digests(source, &[(uid(2), digest(9), Basis::Key)]).unwrap();
    state.put_digests(destination, &[(uid(8), digest(8), Basis::Key)]).unwrap();
    drop(state);
    let mut read = Vec::new();
    home.open().digests(source, &mut |uid, digest, basis| read.push((uid, digest, basis))).unwrap();
    assert_eq!(read, [rows[1], (uid(2), digest(9), Basis::Key), rows[0]]);
}

fn intents_are_there_after_a_kill<H: Home>() {
    let mut home = H::new();
    let mut state = home.open();
    let both = pair(&mut *state);
    let renewed = state.folder(&key("destination INBOX 10")).unwrap();
    let intents = [intent(both, 3), intent(both, 1), intent((both.0, renewed), 2), intent(both, 2)];
    let ids = state.intend(&intents).unwrap();
    state.settle(&[(ids[3], Outcome::Stored(stored(2, 41)))]).unwrap();
    let mut state = home.killed(state);
    let found = open(&mut *state);
    let left: Vec<_> = found.iter().map(|one| one.intent.clone()).collect();
    let expected = [1, 0].map(|position: usize| intents[position].clone());
    assert_eq!(left, expected, "ascending, and not those of another UIDVALIDITY");
    assert!(found.iter().all(|one| (one.times, one.may_arrive) == (1, true)));
    state.settle(&[(found[1].id, Outcome::NotStored)]).unwrap();
    drop(state);
    let mut state = home.open();
    assert_eq!(open(&mut *state).len(), 1, "and the others stay");
    assert_eq!(state.links(both.0, both.1).unwrap().len(), 1);
    assert!(!state.was_empty());
}

fn what_reading_back_showed_outlives_what_is_forgotten<H: Home>() {
    let mut home = H::new();
    let mut state = home.open();
    let (_, there) = pair(&mut *state);
    assert_eq!(state.identity_kept(there).unwrap(), None);
    state.set_identity_kept(there, true).unwrap();
    state.set_identity_kept(there, false).unwrap();
    state.forget_folder(there).unwrap();
    let mut state = home.killed(state);
    assert_eq!(state.identity_kept(there).unwrap(), Some(false));
}

fn a_message_sent_again_counts_on<H: Home>() {
    let home = H::new();
    let mut state = home.open();
    let both = pair(&mut *state);
    let first = one_intent(&mut *state, 1);
    state.settle(&[(first, Outcome::Unknown { may_arrive: false })]).unwrap();
    let again = Intent { uid_next: uid(50), ..intent(both, 1) };
    let ids = state.intend(&[again.clone(), again.clone(), intent(both, 2)]).unwrap();
    let open = open(&mut *state);
    // The first one can only have arrived above its own floor, which is the lower one.
    let expected = OpenIntent { id: ids[1], intent: intent(both, 1), times: 3, may_arrive: true };
    assert_eq!(open[0], expected);
    // The first was known not to arrive; the second was not.
    let floor = intent(both, 1).uid_next;
    assert_eq!(state.resent(both.1).unwrap(), [(both.0, uid(1), floor)]);
    state.forget_resent(both.0, both.1, &uids("2:9")).unwrap();
    state.forget_resent(both.1, both.0, &uids("1")).unwrap();
    assert_eq!(state.resent(both.1).unwrap().len(), 1, "another message, another folder");
    state.forget_resent(both.0, both.1, &uids("1:3")).unwrap();
    assert_eq!(state.resent(both.1).unwrap(), []);
    assert_eq!((open[1].times, open.len()), (1, 2));
    state.settle(&[(ids[1], Outcome::NotStored)]).unwrap();
    one_intent(&mut *state, 1);
    assert_eq!(state.open_intents(both.1).unwrap()[0].times, 1, "a closed one counts no more");
}

fn of_many_intents_those_that_are_open_count_on_and_any_of_them_are_settled<H: Home>() {
    let home = H::new();
    let mut state = home.open();
    let both = pair(&mut *state);
    let earlier = state.intend(&[5, 70, 71].map(|source| intent(both, source))).unwrap();
    let intents: Vec<_> = (1..=150).map(|source| intent(both, source)).collect();
    let ids = state.intend(&intents).unwrap();
    let found = open(&mut *state);
    assert!(found.iter().map(|one| one.id).eq(ids.iter().copied()));
    let again = |one: &&OpenIntent| one.times == 2;
    let again: Vec<u32> = found.iter().filter(again).map(|one| one.intent.source.get()).collect();
    assert_eq!(again, [5, 70, 71]);
    // All but every tenth, the last ones first.
    let settled: Vec<_> = (1..=150).filter(|source| source % 10 > 0).rev().collect();
    let id_of = |source: u32| ids[usize::try_from(source).unwrap() - 1];
    let outcomes: Vec<_> = settled
        .iter()
        .map(|&source| (id_of(source), Outcome::Stored(stored(source, source + 1_000))))
        .collect();
    // One of them is not open: then none is settled.
    let with_a_closed_one = [&outcomes[..], &[(earlier[0], Outcome::NotStored)]].concat();
    assert!(state.settle(&with_a_closed_one).is_err());
    for other in [outcomes[0].1.clone(), Outcome::Unknown { may_arrive: true }] {
        let twice = [&outcomes[..], &[(outcomes[0].0, other)]].concat();
        assert!(state.settle(&twice).is_err());
    }
    assert_eq!(open(&mut *state), found);
    state.settle(&outcomes).unwrap();
    assert_eq!(open(&mut *state).len(), 15);
    let links = state.links(both.0, both.1).unwrap();
    let linked = links.iter().map(|link| (link.source.get(), link.destination.unwrap().get()));
    assert!(linked.eq(settled.iter().rev().map(|&source| (source, source + 1_000))));
}

fn a_stored_copy_is_linked_owned_and_closed<H: Home>() {
    let home = H::new();
    let mut state = home.open();
    let id = one_intent(&mut *state, 1);
    let copy = stored(1, 41);
    state.settle(&[(id, Outcome::Stored(copy.clone()))]).unwrap();
    drop(state);
    let mut state = home.open();
    let (source, destination) = pair(&mut *state);
    assert_eq!(state.links(source, destination).unwrap(), [copy.link]);
    assert_eq!(state.owned(destination).unwrap(), [copy.owned.unwrap()]);
    assert_eq!(state.owned(source).unwrap(), []);
    assert_eq!(open(&mut *state), []);
}

fn a_stored_copy_without_uid_is_linked<H: Home>() {
    let home = H::new();
    let mut state = home.open();
    let id = one_intent(&mut *state, 1);
    let link = Link { destination: None, ..link(1, 1) };
    let copy = StoredCopy { link: link.clone(), owned: None };
    state.settle(&[(id, Outcome::Stored(copy))]).unwrap();
    let (source, destination) = pair(&mut *state);
    assert_eq!(state.links(source, destination).unwrap(), [link]);
    assert_eq!(state.owned(destination).unwrap(), []);
    assert_eq!(state.highest_stored(destination).unwrap(), None);
    assert_eq!(open(&mut *state), []);
}

fn what_is_not_stored_is_closed_and_leaves_nothing<H: Home>() {
    let home = H::new();
    let mut state = home.open();
    let id = one_intent(&mut *state, 1);
    state.settle(&[(id, Outcome::NotStored)]).unwrap();
    let (source, destination) = pair(&mut *state);
    assert_eq!(open(&mut *state), []);
    assert_eq!(state.links(source, destination).unwrap(), []);
}

fn an_unknown_outcome_keeps_the_intent_open<H: Home>() {
    let home = H::new();
    let mut state = home.open();
    let id = one_intent(&mut *state, 1);
    for may_arrive in [false, true, false] {
        state.settle(&[(id, Outcome::Unknown { may_arrive })]).unwrap();
        let intents = open(&mut *home.open());
        assert_eq!((intents[0].id, intents[0].may_arrive), (id, may_arrive));
    }
    state.settle(&[(id, Outcome::Stored(stored(1, 41)))]).unwrap();
    assert_eq!(open(&mut *state), []);
}

fn an_intent_that_is_not_open_cannot_be_settled<H: Home>() {
    let home = H::new();
    let mut state = home.open();
    let both = pair(&mut *state);
    let ids = state.intend(&[intent(both, 1), intent(both, 2)]).unwrap();
    let close = |position: usize| (ids[position], Outcome::Stored(stored(1, 41)));
    let refused = state.settle(&[close(0), close(1), close(0)]);
    assert!(matches!(refused, Err(StateError::Database(_))), "{refused:?}");
    assert_eq!(open(&mut *state).len(), 2, "nothing of a refused call is recorded");
    assert_eq!(state.links(both.0, both.1).unwrap(), []);
    state.settle(&[close(0)]).unwrap();
    state.settle(&[(ids[0], Outcome::Unknown { may_arrive: true })]).unwrap_err();
    let again = state.intend(&[intent(both, 2)]).unwrap();
    state.settle(&[close(1)]).unwrap_err();
    assert_eq!(open(&mut *state)[0].id, again[0], "the one in its place stays");
}

fn what_was_told_to_be_stored_above_the_truth_is_forgotten<H: Home>() {
    let home = H::new();
    let mut state = home.open();
    let (source, destination) = pair(&mut *state);
    let ids = [1, 2].map(|source| one_intent(&mut *state, source));
    let outcome =
        |at: usize, uid| (ids[at], Outcome::Stored(stored(u32::try_from(at).unwrap() + 1, uid)));
    state.settle(&[outcome(0, 40), outcome(1, 42)]).unwrap();
    let unplaced =
        Link { destination: None, ..state.links(source, destination).unwrap()[1].clone() };
    state.put_links(source, destination, &[unplaced]).unwrap();
    state.forget_stored_above(destination, Some(uid(40))).unwrap();
    assert_eq!(state.highest_stored(destination).unwrap(), Some(uid(40)));
    state.forget_stored_above(destination, Some(uid(41))).unwrap();
    assert_eq!(state.highest_stored(destination).unwrap(), Some(uid(40)), "never raised");
    state.drop_links(source, destination, &uids("1:9")).unwrap();
    state.forget_stored_above(destination, None).unwrap();
    assert_eq!(state.highest_stored(destination).unwrap(), None);
}

fn the_highest_stored_uid_outlives_its_link<H: Home>() {
    let home = H::new();
    let mut state = home.open();
    let (source, destination) = pair(&mut *state);
    assert_eq!(state.highest_stored(destination).unwrap(), None);
    state.put_links(source, destination, &[link(7, 30)]).unwrap();
    assert_eq!(state.highest_stored(destination).unwrap(), Some(uid(30)));
    for (source, destination) in [(1, 41), (2, 40)] {
        let id = one_intent(&mut *state, source);
        state.settle(&[(id, Outcome::Stored(stored(source, destination)))]).unwrap();
    }
    state.drop_links(source, destination, &uids("1:9")).unwrap();
    assert_eq!(state.highest_stored(destination).unwrap(), Some(uid(41)));
    assert_eq!(state.highest_stored(source).unwrap(), None);
}

fn items_are_replaced_for_each_command<H: Home>() {
    let home = H::new();
    let mut state = home.open();
    let item = |folder: &str, uid| Item {
        folder: FolderName::parse(folder).unwrap(),
        side: Side::Source,
        uid: Uid::new(uid),
        date: Some(Timestamp::from_seconds(1_000_000_000)),
        octets: Some(u64::MAX),
        reason: Reason::TooLarge,
        said: Some("NO [TOOBIG] \"§\"".to_owned()),
    };
    let of_folder = Item { side: Side::Destination, reason: Reason::Quota, ..item("INBOX", 0) };
    state.replace_items("plan", &[item("INBOX", 9), item("wire:a\\xfc", 1)]).unwrap();
    state.replace_items("apply", &[item("INBOX", 10)]).unwrap();
    state
        .replace_items("apply", &[item("INBOX", 2), item("Archive/2019", 0), of_folder.clone()])
        .unwrap();
    drop(state);
    let mut state = home.open();
    let expected = [
        item("Archive/2019", 0),
        item("INBOX", 2),
        item("INBOX", 9),
        of_folder,
        item("wire:a\\xfc", 1),
    ];
    assert_eq!(state.items().unwrap(), expected);
    state.replace_items("apply", &[]).unwrap();
    assert_eq!(state.items().unwrap(), [item("INBOX", 9), item("wire:a\\xfc", 1)]);
}

fn much_is_written_in_one_call<H: Home>() {
    const MUCH: u32 = 20_000;
    let home = H::new();
    let mut state = home.open();
    let both = pair(&mut *state);
    let links: Vec<_> = (1..=MUCH).map(|number| link(number, MUCH + 1 - number)).collect();
    state.put_links(both.0, both.1, &links).unwrap();
    assert_eq!(state.links(both.0, both.1).unwrap(), links);
    let seen: Vec<_> = (1..=MUCH).map(|number| (uid(number), flags("\\Seen"))).collect();
    state.agree_flags(both.1, &seen).unwrap();
    let agreed = state.links(both.0, both.1).unwrap();
    assert!(agreed.iter().all(|link| link.flags == Some(flags("\\Seen"))));
    state.drop_links(both.0, both.1, &uids("2:4294967295")).unwrap();
    assert_eq!(state.links(both.0, both.1).unwrap().len(), 1);
}

/// What becomes of an open intent.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Stored(u32),
    NotStored,
    Unknown(bool),
}

/// One call that writes, with small numbers, so that calls of one history meet each other.
#[derive(Clone, Debug)]
enum Call {
    Put(u32, u32),
    Drop(u32),
    Journal(Vec<(usize, Fate)>, Vec<u32>),
    Agree(u32),
    Forget(bool),
    Raise(u32),
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        (1..60_u32).prop_map(Fate::Stored),
        Just(Fate::NotStored),
        any::<bool>().prop_map(Fate::Unknown),
    ]
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        (1..6_u32, 0..6_u32).prop_map(|(source, destination)| Call::Put(source, destination)),
        (1..6_u32).prop_map(Call::Drop),
        (vec((0..6_usize, fate()), 0..5), vec(1..9_u32, 0..6))
            .prop_map(|(outcomes, intents)| Call::Journal(outcomes, intents)),
        (1..60_u32).prop_map(Call::Agree),
        any::<bool>().prop_map(Call::Forget),
        (1..60_u32).prop_map(Call::Raise),
    ]
}

/// A call that is one write, also in memory, and that nothing but a write which fails can refuse.
fn one_write(call: Call) -> Call {
    match call {
        Call::Journal(mut outcomes, _) if !outcomes.is_empty() => {
            outcomes.sort_by_key(|(position, _)| *position);
            outcomes.dedup_by_key(|(position, _)| *position);
            Call::Journal(outcomes, Vec::new())
        }
        other => other,
    }
}

fn carry_out(state: &mut dyn State, call: &Call) -> Result<(), StateError> {
    let both = pair(state);
    let (source, destination) = both;
    let open = state.open_intents(destination)?;
    // Messages of two folders, so that rows of both are there at the same time.
    let other = state.folder(&key("source Other 7"))?;
    let folder_of = |from: u32| if from.is_multiple_of(3) { other } else { source };
    let outcome = |&(position, fate): &(usize, Fate)| {
        let open: &OpenIntent = open.get(position)?;
        let outcome = match fate {
            Fate::Stored(to) => Outcome::Stored(stored(open.intent.source.get(), to)),
            Fate::NotStored => Outcome::NotStored,
            Fate::Unknown(may_arrive) => Outcome::Unknown { may_arrive },
        };
        Some((open.id, outcome))
    };
    match *call {
        Call::Put(from, to) => state.put_links(source, destination, &[link(from, to)]),
        Call::Drop(from) => {
            state.drop_links(source, destination, &UidSet::range(uid(from), uid(from)))
        }
        Call::Journal(ref outcomes, ref intents) => {
            let outcomes: Vec<_> = outcomes.iter().filter_map(outcome).collect();
            let intents: Vec<_> =
                intents.iter().map(|&from| intent((folder_of(from), destination), from)).collect();
            let ids = state.journal(&outcomes, &intents)?;
            // Each number means its message, but of one that was closed by a later one of the same call.
            let open = state.open_intents(destination)?;
            let mut later = Vec::new();
            for (id, intent) in ids.iter().zip(&intents).rev() {
                let is_last = !later.contains(&intent.source);
                later.push(intent.source);
                let found = open.iter().find(|open| open.id == *id);
                let found = found.map(|open| (open.intent.source_folder, open.intent.source));
                let expected = is_last.then_some((intent.source_folder, intent.source));
                assert_eq!(found, expected, "{id:?}");
            }
            Ok(())
        }
        Call::Agree(to) => state.agree_flags(destination, &[(uid(to), flags("\\Flagged"))]),
        Call::Forget(first) => state.forget_folder(if first { source } else { destination }),
        Call::Raise(number) => state.raise_high_water(destination, uid(number), None),
    }
}

/// All that can be read, without the numbers of intents, which are an implementation's own.
fn all(state: &mut dyn State) -> impl PartialEq + std::fmt::Debug + use<> {
    let (source, destination) = pair(state);
    let other = state.folder(&key("source Other 7")).unwrap();
    let open = state.open_intents(destination).unwrap();
    let open: Vec<_> =
        open.into_iter().map(|open| (open.intent, open.times, open.may_arrive)).collect();
    (
        state.links(source, destination).unwrap(),
        state.links(other, destination).unwrap(),
        state.owned(destination).unwrap(),
        open,
        state.resent(destination).unwrap(),
        state.high_water(destination).unwrap(),
        state.highest_stored(destination).unwrap(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn memory_and_sqlite_tell_the_same_after_any_history(
        calls in vec(call(), 1..40),
        kill_at in 0..40_usize,
    ) {
        let mut memory = InMemory::new().open();
        let mut home = InSqlite::new();
        let mut sqlite = home.open();
        for (position, call) in calls.iter().enumerate() {
            // One outcome may contradict another.
            let done = carry_out(&mut *memory, call).is_ok();
            prop_assert_eq!(carry_out(&mut *sqlite, call).is_ok(), done);
            if position == kill_at {
                sqlite = home.killed(sqlite);
            }
            prop_assert_eq!(all(&mut *memory), all(&mut *sqlite), "after {:?}", call);
        }
    }

    #[test]
    fn a_write_that_fails_leaves_no_trace_and_none_follows_it(
        calls in vec(call().prop_map(one_write), 1..20),
        nth in 1..40_u64,
    ) {
        let home = InMemory::new();
        let mut state = home.open();
        carry_out(&mut *state, &Call::Journal(Vec::new(), Vec::new())).unwrap();
        let effects = home.0.effects().clone();
        effects.fail_at(effects.count() + nth);
        let mut last = u64::MAX;
        for call in &calls {
            let before = format!("{:?}", home.0);
            if carry_out(&mut *state, call).is_err() {
                last = last.min(effects.count());
                let after = format!("{:?}", home.0);
                prop_assert_eq!(before, after, "a call that failed left a part");
            }
            prop_assert!(effects.count() <= last, "a write went through after one that failed");
        }
        effects.heal();
        one_intent(&mut *state, 1);
    }
}
