//! Folders: listing, counts, opening, creating, subscribing.

use mailferry::mail::{Role, WireName};
use mailferry::store::{ListRow, Listing, StoreError};

use super::support::{FACTS, Ground, Sample, all, scan};

fn listing(ground: &mut dyn Ground) -> Listing {
    ground.source().list().unwrap()
}

fn row(listing: &Listing, name: &WireName) -> ListRow {
    let rows: Vec<_> = listing.rows.iter().filter(|row| row.name == *name).collect();
    assert_eq!(rows.len(), 1, "{name:?} is listed once");
    rows[0].clone()
}

pub(crate) fn inbox_is_listed_once_and_opens(ground: &mut dyn Ground) {
    let listing = listing(ground);
    let inboxes: Vec<_> = listing.rows.iter().filter(|row| row.name.is_inbox()).collect();
    assert_eq!(inboxes.len(), 1, "{listing:?}");
    assert!(inboxes[0].selectable);
    ground.source().open(&inboxes[0].name).unwrap();
}

pub(crate) fn created_folder_is_listed_with_its_namespace(ground: &mut dyn Ground) {
    let name = ground.name(&["Made"]);
    ground.destination().create(&name, None).unwrap();
    let listing = listing(ground);
    let row = row(&listing, &name);
    assert!(row.selectable && !row.subscribed, "{row:?}");
    for namespace in &listing.personal {
        assert_eq!(row.delimiter, namespace.delimiter);
        assert!(name.as_octets().starts_with(namespace.prefix.as_octets()));
    }
    assert!(ground.read_back(&name).is_empty());
}

pub(crate) fn created_folder_below_another_is_listed(ground: &mut dyn Ground) {
    let (parent, child) = (ground.name(&["Up"]), ground.name(&["Up", "Down"]));
    let mut session = ground.destination();
    session.create(&parent, None).unwrap();
    session.create(&child, None).unwrap();
    let listing = session.list().unwrap();
    assert!(row(&listing, &parent).selectable);
    assert!(row(&listing, &child).selectable);
}

pub(crate) fn folder_name_beyond_ascii_comes_back_as_it_was_sent(ground: &mut dyn Ground) {
    let name = ground.name(&["Entwürfe & \"Ablage\" 日本"]);
    ground.destination().create(&name, None).unwrap();
    let row = row(&listing(ground), &name);
    assert!(row.name.decode().unwrap().ends_with("Entwürfe & \"Ablage\" 日本"));
    ground.fill(&name, &[Sample::new("there")]);
    assert_eq!(ground.source().open(&name).unwrap().messages, 1);
}

pub(crate) fn creating_twice_is_once(ground: &mut dyn Ground) {
    let name = ground.name(&["Twice"]);
    let mut session = ground.destination();
    session.create(&name, None).unwrap();
    ground.fill(&name, &[Sample::new("kept")]);
    session.create(&name, None).unwrap();
    row(&session.list().unwrap(), &name);
    assert_eq!(ground.read_back(&name).len(), 1);
}

pub(crate) fn role_is_listed_where_the_server_can_set_it(ground: &mut dyn Ground) {
    let name = ground.name(&["Old things"]);
    let mut session = ground.destination();
    session.create(&name, Some(Role::Archive)).unwrap();
    let can = session.abilities().create_special_use && session.abilities().special_use;
    let roles = row(&session.list().unwrap(), &name).roles;
    assert_eq!(roles, if can { vec![Role::Archive] } else { vec![] });
}

pub(crate) fn subscribing_twice_is_once(ground: &mut dyn Ground) {
    let name = ground.name(&["Read"]);
    let mut session = ground.destination();
    session.create(&name, None).unwrap();
    session.subscribe(&name).unwrap();
    session.subscribe(&name).unwrap();
    assert!(row(&session.list().unwrap(), &name).subscribed);
}

pub(crate) fn listed_counts_agree_with_status(ground: &mut dyn Ground) {
    let name = ground.name(&["Counted"]);
    ground.fill(&name, &[Sample::new("a"), Sample::new("b")]);
    let mut session = ground.source();
    let listed = row(&session.list().unwrap(), &name).status;
    assert_eq!(listed.is_some(), session.abilities().list_status);
    let Some(listed) = listed else { return };
    let status = session.status(&name).unwrap();
    assert_eq!(listed.messages, status.messages);
    assert_eq!(listed.uid_next, status.uid_next);
    assert_eq!(listed.uid_validity, status.uid_validity);
}

pub(crate) fn status_tells_counts(ground: &mut dyn Ground) {
    let name = ground.name(&["Asked"]);
    ground.fill(&name, &[Sample::new("a"), Sample::new("b"), Sample::new("c")]);
    let uids: Vec<u32> = ground.read_back(&name).iter().map(|kept| kept.uid).collect();
    ground.expunge(&name, &uids[1..2]);
    let mut session = ground.source();
    let status = session.status(&name).unwrap();
    assert_eq!(status.messages, Some(2));
    assert_eq!(status.uid_next.unwrap().get(), uids[2] + 1);
    assert_eq!(status.mailbox_id.is_some(), session.abilities().object_id);
    let opened = session.open(&name).unwrap();
    assert_eq!(status.uid_validity, Some(opened.uid_validity));
    assert_eq!(status.mailbox_id, opened.mailbox_id);
    assert_eq!((status.uid_next, opened.messages), (opened.uid_next, 2));
}

pub(crate) fn missing_folder_is_refused_and_the_connection_stays_good(ground: &mut dyn Ground) {
    let name = ground.name(&["Nowhere"]);
    let mut session = ground.source();
    for error in [
        session.status(&name).map(drop).unwrap_err(),
        session.open(&name).map(drop).unwrap_err(),
        session.search(&name, "ALL").map(drop).unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::Refused(_)), "{error:?}");
        assert!(error.connection_is_good());
    }
    assert!(session.list().unwrap().rows.iter().all(|row| row.name != name));
}

pub(crate) fn opening_again_tells_the_state_as_of_now(ground: &mut dyn Ground) {
    let name = ground.name(&["Growing"]);
    ground.fill(&name, &[Sample::new("a").flags("\\Seen")]);
    let mut session = ground.source();
    let before = session.open(&name).unwrap();
    ground.fill(&name, &[Sample::new("b").flags("\\Flagged")]);
    let after = session.open(&name).unwrap();
    assert_eq!((before.messages, after.messages), (1, 2));
    assert_eq!(before.uid_validity, after.uid_validity);
    assert!(before.uid_next.unwrap() < after.uid_next.unwrap());
    assert_eq!(scan(&mut *session, &name, &all(), FACTS).0.by_uid.len(), 2);
}

pub(crate) fn another_session_works_after_one_is_dropped(ground: &mut dyn Ground) {
    let name = ground.name(&["Left"]);
    ground.fill(&name, &[Sample::new("a")]);
    let mut dropped = ground.source();
    dropped.open(&name).unwrap();
    drop(dropped);
    let closed = ground.source();
    closed.close();
    assert_eq!(ground.source().open(&name).unwrap().messages, 1);
}
