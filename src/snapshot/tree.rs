//! The folders of one account under their canonical names.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use unicode_normalization::UnicodeNormalization as _;

use crate::mail::FolderName;
use crate::mail::Role;
use crate::mail::Side;
use crate::mail::WireName;
use crate::rule::NameRules;
use crate::store::FolderStatus;
use crate::store::ListRow;
use crate::store::Listing;

/// One folder.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, asked by name")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// Its canonical name. Two folders of one account may share it; then neither can be told from the
    /// other by name, and the planner says so.
    pub name: FolderName,
    /// Its name in the server's octets.
    pub wire: WireName,
    /// The hierarchy delimiter of its name.
    pub delimiter: Option<u8>,
    /// Can be opened.
    pub selectable: bool,
    /// Can have folders below it.
    pub may_have_children: bool,
    /// Subscribed.
    pub subscribed: bool,
    /// Special uses.
    pub roles: Vec<Role>,
    /// Counts, where the server gave them along.
    pub status: Option<FolderStatus>,
    /// It is the folder that `root` names, at the source, whose own messages count as INBOX's.
    pub is_root: bool,
    /// Its octets below prefix and root.
    pub below: Box<[u8]>,
}

impl Folder {
    /// How many messages it holds, where the server told.
    #[must_use]
    pub fn messages(&self) -> Option<u64> {
        self.status.as_ref().and_then(|status| status.messages)
    }
}

/// Why a listed folder is none of the tree's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutsideWhy {
    /// It lies outside of `root`.
    Root,
    /// It belongs to other users or is shared.
    Namespace,
}

/// A listed folder that is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outside {
    /// Its name, relative to the whole mailbox.
    pub name: FolderName,
    /// Its name in the server's octets.
    pub wire: WireName,
    /// How many messages it holds, where the server told.
    pub messages: Option<u64>,
    /// Why.
    pub why: OutsideWhy,
}

/// Why a name cannot be written on this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoName {
    /// The server has no levels, and the name has several.
    Flat,
    /// The octets do not decode, and the two servers part levels differently.
    Undecodable,
}

/// All folders of one account: what a listing and the author's words about names come to.
#[derive(Clone, Debug, Default)]
pub struct FolderTree {
    /// Prefix of personal folders as the server writes it, with its delimiter; may be empty.
    pub prefix: Vec<u8>,
    /// The hierarchy delimiter of personal folders; nothing on a flat server.
    pub delimiter: Option<u8>,
    /// The folders, by canonical name and octets.
    pub folders: Vec<Folder>,
    /// What is left out, by octets.
    pub outside: Vec<Outside>,
    /// Levels of `root`; none where the whole mailbox is meant.
    root: Vec<String>,
    /// Every name that was listed, taken or not.
    listed: BTreeSet<WireName>,
    /// The places of `folders` by octets; INBOX by its usual spelling.
    by_wire: BTreeMap<WireName, usize>,
}

impl FolderTree {
    /// Gives every folder of a listing its canonical name. What `rules` state wins over what the
    /// server says. At the source the root folder counts as INBOX; at the destination it only holds
    /// the others, and INBOX lies below it.
    #[must_use]
    pub fn build(side: Side, listing: &Listing, rules: &NameRules) -> Self {
        let stated = rules.delimiter.and_then(|delimiter| u8::try_from(delimiter).ok());
        let personal = listing.personal.first();
        let inbox = listing.rows.iter().find(|row| row.name.is_inbox());
        let delimiter = stated
            .or_else(|| personal.and_then(|namespace| namespace.delimiter))
            .or_else(|| inbox.and_then(|row| row.delimiter))
            .or_else(|| listing.rows.iter().find_map(|row| row.delimiter));
        let prefix = match &rules.prefix {
            Some(prefix) => WireName::from_levels(prefix, [], None)
                .map(|name| name.as_octets().to_vec())
                .unwrap_or_default(),
            None => personal.map(|own| own.prefix.as_octets().to_vec()).unwrap_or_default(),
        };
        // A root that does not decode is a fence around nothing, never no fence.
        let root = rules.root.as_ref().map_or_else(Vec::new, |root| {
            root.levels().unwrap_or_else(|| vec![root.as_str().to_owned()])
        });
        let mut tree =
            Self { prefix: ended(prefix, delimiter), delimiter, root, ..Self::default() };
        for row in &listing.rows {
            if !tree.is_listed(&row.name) {
                tree.listed.insert(usual(&row.name));
                tree.take(side, row, stated.or(row.delimiter), listing);
            }
        }
        tree.folders.sort_by(|one, other| {
            (&one.name, !one.is_root, &one.wire).cmp(&(&other.name, !other.is_root, &other.wire))
        });
        let places = tree.folders.iter().enumerate();
        tree.by_wire = places.map(|(at, folder)| (usual(&folder.wire), at)).collect();
        tree.outside.sort_by(|one, other| one.wire.cmp(&other.wire));
        tree
    }

    fn take(&mut self, side: Side, row: &ListRow, delimiter: Option<u8>, listing: &Listing) {
        let octets = row.name.as_octets();
        let below = self.without_prefix(octets);
        let levels = levels_of(below, delimiter, row);
        let whole = match &levels {
            _ if row.name.is_inbox() => FolderName::inbox(),
            Some(levels) => FolderName::from_levels(levels.iter().map(String::as_str)),
            None => FolderName::from_undecodable(&row.name),
        };
        let foreign = !row.name.is_inbox() && self.is_foreign(octets, listing);
        let messages = row.status.as_ref().and_then(|status| status.messages);
        if foreign {
            let (wire, why) = (row.name.clone(), OutsideWhy::Namespace);
            self.outside.push(Outside { name: whole, wire, messages, why });
            return;
        }
        let Some((name, below, is_root)) = self.below_root(&whole, below, delimiter) else {
            let (wire, why) = (row.name.clone(), OutsideWhy::Root);
            self.outside.push(Outside { name: whole, wire, messages, why });
            return;
        };
        if is_root && side == Side::Destination {
            // It holds the folders of the tree and is none of them.
            return;
        }
        self.folders.push(Folder {
            name,
            wire: row.name.clone(),
            delimiter,
            selectable: row.selectable,
            may_have_children: row.may_have_children,
            subscribed: row.subscribed,
            roles: row.roles.clone(),
            status: row.status.clone(),
            is_root,
            below,
        });
    }

    /// Tells whether a name lies in a namespace that is not personal and is nearer to it than the
    /// personal one.
    fn is_foreign(&self, octets: &[u8], listing: &Listing) -> bool {
        let own = octets.len() - self.without_prefix(octets).len();
        listing
            .others
            .iter()
            .map(|other| other.prefix.as_octets())
            .any(|prefix| !prefix.is_empty() && prefix.len() > own && octets.starts_with(prefix))
    }

    /// The octets without the prefix, whose first level INBOX has no case.
    fn without_prefix<'a>(&self, octets: &'a [u8]) -> &'a [u8] {
        let Some((head, below)) = octets.split_at_checked(self.prefix.len()) else { return octets };
        let inbox = self.prefix.len().min(5);
        let fits = head[inbox..] == self.prefix[inbox..]
            && (head[..inbox] == self.prefix[..inbox]
                || self.prefix[..inbox].eq_ignore_ascii_case(b"INBOX")
                    && head[..inbox].eq_ignore_ascii_case(b"INBOX"));
        if fits && !below.is_empty() { below } else { octets }
    }

    /// The name and octets relative to root, and whether this is the root folder itself; nothing
    /// outside of it.
    fn below_root(
        &self,
        whole: &FolderName,
        below: &[u8],
        delimiter: Option<u8>,
    ) -> Option<(FolderName, Box<[u8]>, bool)> {
        if self.root.is_empty() {
            return Some((whole.clone(), below.into(), false));
        }
        let root = FolderName::from_levels(self.root.iter().map(String::as_str));
        if *whole == root {
            return Some((FolderName::inbox(), Box::default(), true));
        }
        let start = WireName::from_levels("", self.root.iter().map(String::as_str), delimiter)?;
        let (start, delimiter) = (start.as_octets(), delimiter?);
        let rest = match whole.levels() {
            Some(levels) => {
                let (head, rest) = levels.split_at_checked(self.root.len())?;
                let head = FolderName::from_levels(head.iter().map(String::as_str));
                if head != root || rest.is_empty() {
                    return None;
                }
                FolderName::from_levels(rest.iter().map(String::as_str))
            }
            None => whole.clone(),
        };
        let (head, tail) = below.split_at_checked(start.len())?;
        let tail = tail.strip_prefix(&[delimiter])?;
        // The octets of a name that decodes may differ from root's in the case of INBOX only.
        (head == start || !whole.is_wire()).then(|| (rest, tail.into(), false))
    }

    /// Finds a folder by its octets.
    #[must_use]
    pub fn by_wire(&self, wire: &WireName) -> Option<&Folder> {
        self.by_wire.get(&usual(wire)).and_then(|&at| self.folders.get(at))
    }

    /// The folders with this canonical name; more than one only where names cannot be told apart.
    #[must_use]
    pub fn named(&self, name: &FolderName) -> &[Folder] {
        let start = self.folders.partition_point(|folder| folder.name < *name);
        let end = self.folders.partition_point(|folder| folder.name <= *name);
        self.folders.get(start..end).unwrap_or_default()
    }

    /// Tells whether a folder of these octets was listed, inside or outside of `root`.
    #[must_use]
    pub fn is_listed(&self, wire: &WireName) -> bool {
        self.listed.contains(&usual(wire))
    }

    /// Tells whether the mailbox is a subtree of the server's.
    #[must_use]
    pub const fn has_root(&self) -> bool {
        !self.root.is_empty()
    }

    /// Writes a canonical name for this server: below `root` and prefix, with its delimiter, which is
    /// replaced by `_` inside of a level.
    ///
    /// # Errors
    ///
    /// [`NoName`] where the server cannot have such a name.
    pub fn wire_of(&self, name: &FolderName) -> Result<WireName, NoName> {
        if name.is_inbox() && self.root.is_empty() {
            return Ok(WireName::new(*b"INBOX"));
        }
        let own = name.levels().ok_or(NoName::Undecodable)?;
        let levels: Vec<String> =
            self.root.iter().chain(&own).map(|level| self.replaced(level)).collect();
        let written = WireName::from_levels("", levels.iter().map(String::as_str), self.delimiter)
            .ok_or(NoName::Flat)?;
        Ok(WireName::new([self.prefix.as_slice(), written.as_octets()].concat()))
    }

    /// Writes octets that do not decode below `root` and prefix, unchanged.
    ///
    /// # Errors
    ///
    /// [`NoName::Undecodable`] where this server parts levels in another way than `delimiter`.
    pub fn wire_of_octets(&self, below: &[u8], delimiter: Option<u8>) -> Result<WireName, NoName> {
        if delimiter != self.delimiter {
            return Err(NoName::Undecodable);
        }
        let mut octets = self.prefix.clone();
        if !self.root.is_empty() {
            let root = self.root.iter().map(String::as_str);
            let root = WireName::from_levels("", root, self.delimiter).ok_or(NoName::Flat)?;
            octets.extend_from_slice(root.as_octets());
            octets.push(delimiter.ok_or(NoName::Flat)?);
        }
        octets.extend_from_slice(below);
        Ok(WireName::new(octets))
    }

    fn replaced(&self, level: &str) -> String {
        match self.delimiter.map(char::from) {
            Some('_') => level.replace('_', "-"),
            Some(delimiter) => level.replace(delimiter, "_"),
            None => level.to_owned(),
        }
    }

    /// The canonical name that the folder will have once it is there: what [`wire_of`](Self::wire_of)
    /// had to replace is replaced.
    #[must_use]
    pub fn spelled(&self, name: &FolderName) -> FolderName {
        match name.levels() {
            Some(levels) if !name.is_inbox() => {
                let levels: Vec<String> = levels.iter().map(|level| self.replaced(level)).collect();
                FolderName::from_levels(levels.iter().map(String::as_str))
            }
            _ => name.clone(),
        }
    }

    /// The octets of the folders above this one, the highest first, as far as prefix and delimiter
    /// tell; not the prefix itself.
    #[must_use]
    pub fn parents_of(&self, wire: &WireName) -> Vec<WireName> {
        let (Some(delimiter), octets) = (self.delimiter, wire.as_octets()) else {
            return Vec::new();
        };
        let start = octets.len() - self.without_prefix(octets).len();
        let inner = octets.iter().enumerate().skip(start);
        let cuts = inner.filter(|(at, octet)| **octet == delimiter && *at > start);
        cuts.map(|(at, _)| WireName::new(&octets[..at])).collect()
    }

    /// Tells whether octets name the inbox, behind the prefix too: it is there on every server, and
    /// cannot be made (RFC 9051 §6.3.4).
    #[must_use]
    pub fn is_inbox(&self, wire: &WireName) -> bool {
        self.whole_name(wire).is_inbox()
    }

    /// The canonical name of octets on this server: relative to `root` below it, to the whole mailbox
    /// elsewhere.
    #[must_use]
    pub fn name_of(&self, wire: &WireName) -> FolderName {
        self.name_below_root(wire).unwrap_or_else(|| self.whole_name(wire))
    }

    /// The same, but nothing for `root` itself and what is outside of it.
    #[must_use]
    pub fn name_below_root(&self, wire: &WireName) -> Option<FolderName> {
        let whole = self.whole_name(wire);
        let below = self.without_prefix(wire.as_octets());
        let found = self.below_root(&whole, below, self.delimiter);
        found.filter(|(_, _, is_root)| !is_root).map(|(name, _, _)| name)
    }

    /// The canonical name of octets on this server: as [`build`](Self::build) gives it, before `root`.
    fn whole_name(&self, wire: &WireName) -> FolderName {
        let decoded = WireName::new(self.without_prefix(wire.as_octets())).decode();
        match (decoded, self.delimiter.map(char::from)) {
            _ if wire.is_inbox() => FolderName::inbox(),
            (Some(text), Some(delimiter)) => FolderName::from_levels(text.split(delimiter)),
            (Some(text), None) => FolderName::from_levels([text.as_str()]),
            (None, _) => FolderName::from_undecodable(wire),
        }
    }
}

/// The octets, or the usual spelling of INBOX.
fn usual(wire: &WireName) -> WireName {
    if wire.is_inbox() { WireName::new(*b"INBOX") } else { wire.clone() }
}

/// The prefix with the delimiter at its end, which some authors and servers leave out.
fn ended(mut prefix: Vec<u8>, delimiter: Option<u8>) -> Vec<u8> {
    if let (Some(&last), Some(delimiter)) = (prefix.last(), delimiter)
        && last != delimiter
    {
        prefix.push(delimiter);
    }
    prefix
}

/// The levels of a name; nothing where it does not decode or a level is empty.
fn levels_of(below: &[u8], delimiter: Option<u8>, row: &ListRow) -> Option<Vec<String>> {
    let text = WireName::new(below).decode()?;
    let mut levels: Vec<String> = match delimiter.map(char::from) {
        Some(delimiter) => text.split(delimiter).map(str::to_owned).collect(),
        None => vec![text],
    };
    // Some servers write what only holds other folders with a delimiter at its end.
    if !row.selectable && levels.len() > 1 && levels.last().is_some_and(String::is_empty) {
        levels.pop();
    }
    (!levels.iter().any(String::is_empty)).then_some(levels)
}

/// The name with everything dropped that some servers do not tell apart: Unicode composition, case,
/// blanks at the end of a level.
#[must_use]
pub fn folded(name: &FolderName) -> String {
    let text: String = name.as_str().nfc().collect();
    let text: String = text.to_lowercase().nfc().collect();
    text.split('/').map(str::trim_end).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::Namespace;

    fn row(name: &str, delimiter: char) -> ListRow {
        ListRow {
            name: WireName::new(name.as_bytes()),
            delimiter: u8::try_from(delimiter).ok(),
            selectable: !name.ends_with(delimiter),
            may_have_children: true,
            subscribed: false,
            roles: Vec::new(),
            status: None,
        }
    }

    fn listing(names: &[&str], prefix: &str, delimiter: char) -> Listing {
        let prefix = WireName::new(prefix.as_bytes());
        Listing {
            personal: vec![Namespace { prefix, delimiter: u8::try_from(delimiter).ok() }],
            others: Vec::new(),
            rows: names.iter().map(|name| row(name, delimiter)).collect(),
        }
    }

    fn root(name: &str) -> NameRules {
        NameRules { root: FolderName::parse(name), ..NameRules::default() }
    }

    #[track_caller]
    fn check(tree: &FolderTree, expected: &[&str]) {
        let names: Vec<String> = tree
            .folders
            .iter()
            .map(|folder| format!("{} = {}", folder.name, folder.wire.escaped()))
            .collect();
        assert_eq!(names, expected);
    }

    fn build(side: Side, names: &[&str], prefix: &str, delimiter: char) -> FolderTree {
        FolderTree::build(side, &listing(names, prefix, delimiter), &NameRules::default())
    }

    #[test]
    fn prefix_is_removed_and_levels_are_parted_by_a_slash() {
        let names = ["INBOX", "INBOX.Sent", "inbox.a.b/c", "INBOX.&AOk-"];
        check(
            &build(Side::Source, &names, "INBOX.", '.'),
            &["INBOX = INBOX", "Sent = INBOX.Sent", "a/b\\/c = inbox.a.b/c", "é = INBOX.&AOk-"],
        );
        let stated = NameRules { prefix: Some("INBOX".into()), ..NameRules::default() };
        let tree = FolderTree::build(Side::Source, &listing(&names, "", '.'), &stated);
        assert_eq!(tree.prefix, b"INBOX.");
    }

    #[test]
    fn inbox_has_no_case_as_a_whole_name_and_as_a_first_level() {
        check(
            &build(Side::Source, &["Inbox", "inbox/Kid", "a/inbox"], "", '/'),
            &["INBOX = Inbox", "INBOX/Kid = inbox/Kid", "a/inbox = a/inbox"],
        );
    }

    #[test]
    fn names_that_do_not_decode_keep_their_octets() {
        check(
            &build(Side::Source, &["INBOX", "&bad!-", "a//b", "dir/"], "", '/'),
            &["INBOX = INBOX", "dir = dir/", "wire:&bad!- = &bad!-", "wire:a//b = a//b"],
        );
    }

    #[test]
    fn folders_of_other_namespaces_are_left_out() {
        let mut listing = listing(&["INBOX", "user.bob", "shared", "a"], "", '.');
        let prefix = WireName::new(*b"user.");
        listing.others.push(Namespace { prefix, delimiter: Some(b'.') });
        let tree = FolderTree::build(Side::Source, &listing, &NameRules::default());
        assert_eq!(tree.folders.len(), 3);
        assert_eq!(tree.outside[0].why, OutsideWhy::Namespace);
    }

    #[test]
    fn root_is_a_fence_whose_own_messages_count_as_those_of_the_inbox() {
        let names = ["INBOX", "Backup", "Backup/info", "Backup/info/INBOX", "Backup/info/a/b", "x"];
        let tree = FolderTree::build(Side::Source, &listing(&names, "", '/'), &root("Backup/info"));
        check(
            &tree,
            &["INBOX = Backup/info", "INBOX = Backup/info/INBOX", "a/b = Backup/info/a/b"],
        );
        let outside: Vec<&str> = tree.outside.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(outside, ["Backup", "INBOX", "x"]);
        assert!(tree.outside.iter().all(|one| one.why == OutsideWhy::Root));
    }

    #[test]
    fn inbox_lands_below_the_root_of_the_destination() {
        let names = ["INBOX", "Backup", "Backup.info", "Backup.info.INBOX"];
        let rules = root("Backup/info");
        let tree = FolderTree::build(Side::Destination, &listing(&names, "", '.'), &rules);
        check(&tree, &["INBOX = Backup.info.INBOX"]);
        let wire = tree.wire_of(&FolderName::inbox()).unwrap();
        assert_eq!(wire.as_octets(), b"Backup.info.INBOX");
        let parents = tree.parents_of(&wire);
        assert_eq!(parents, [WireName::new(*b"Backup"), WireName::new(*b"Backup.info")]);
    }

    #[test]
    fn root_that_does_not_decode_is_no_missing_fence() {
        let tree =
            FolderTree::build(Side::Source, &listing(&["INBOX", "a"], "", '/'), &root("wire:&x"));
        assert!(tree.folders.is_empty());
    }

    #[test]
    fn delimiter_inside_a_level_is_replaced() {
        let tree = build(Side::Destination, &["INBOX"], "INBOX.", '.');
        let name = FolderName::from_levels(["a.b", "é"]);
        assert_eq!(tree.wire_of(&name).unwrap().as_octets(), b"INBOX.a_b.&AOk-");
        assert_eq!(tree.spelled(&name).as_str(), "a_b/é");
    }

    #[test]
    fn a_flat_server_has_no_levels() {
        let mut listing = listing(&["INBOX"], "", '/');
        listing.personal[0].delimiter = None;
        listing.rows[0].delimiter = None;
        let tree = FolderTree::build(Side::Destination, &listing, &NameRules::default());
        assert_eq!(tree.wire_of(&FolderName::from_levels(["a", "b"])), Err(NoName::Flat));
        assert!(tree.wire_of(&FolderName::from_levels(["a/b"])).is_ok());
    }

    #[test]
    fn undecodable_octets_go_only_to_a_server_that_parts_levels_alike() {
        let tree = build(Side::Destination, &["INBOX"], "INBOX.", '.');
        let wire = tree.wire_of_octets(b"caf\xe9.x", Some(b'.')).unwrap();
        assert_eq!(wire.as_octets(), b"INBOX.caf\xe9.x");
        assert_eq!(tree.wire_of_octets(b"caf\xe9", Some(b'/')), Err(NoName::Undecodable));
    }

    #[test]
    fn folding_drops_composition_case_and_blanks_at_the_end() {
        for (one, other) in [("e\u{301}", "É"), ("Work", "wORK"), ("trail /a ", "Trail/a")] {
            let names = [one, other].map(|name| folded(&FolderName::parse(name).unwrap()));
            assert_eq!(names[0], names[1]);
        }
        let names = ["a", "b"].map(|name| folded(&FolderName::parse(name).unwrap()));
        assert_ne!(names[0], names[1]);
    }

    proptest! {
        #[test]
        fn a_name_written_for_a_server_reads_back_as_that_name(
            levels in proptest::collection::vec("[a-zA-Z./&é\u{65e5} ]{1,6}", 1..4),
            delimiter in proptest::sample::select(vec!['/', '.', '^']),
            prefix in proptest::sample::select(vec!["", "INBOX", "mail"]),
            root_name in proptest::option::of("[a-z]{1,3}(/[a-z]{1,3})?"),
        ) {
            let name = FolderName::from_levels(levels.iter().map(String::as_str));
            let rules = NameRules {
                root: root_name.as_deref().and_then(FolderName::parse),
                prefix: Some(prefix.to_owned()),
                ..NameRules::default()
            };
            let empty = listing(&["INBOX"], "", delimiter);
            let tree = FolderTree::build(Side::Destination, &empty, &rules);
            let wire = tree.wire_of(&name).unwrap();
            let mut listed = empty;
            listed.rows.push(ListRow { name: wire.clone(), ..row("x", delimiter) });
            let tree = FolderTree::build(Side::Destination, &listed, &rules);
            let folder = tree.by_wire(&wire).unwrap();
            prop_assert_eq!(&folder.name, &tree.spelled(&name));
        }

        #[test]
        fn any_listing_has_a_tree(names: Vec<Vec<u8>>, prefix: Vec<u8>, delimiter: Option<u8>) {
            let mut listing = listing(&[], "", '/');
            listing.personal[0].prefix = WireName::new(prefix);
            for name in names {
                listing.rows.push(ListRow { name: WireName::new(name), delimiter, ..row("x", '/') });
            }
            let tree = FolderTree::build(Side::Source, &listing, &NameRules::default());
            for folder in &tree.folders {
                let _ = (tree.parents_of(&folder.wire), tree.name_of(&folder.wire));
                let _ = tree.wire_of_octets(&folder.below, folder.delimiter);
            }
        }
    }
}
