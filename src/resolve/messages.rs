//! The `[messages]` table: ages become instants, and what takes nothing is a fault.

use crate::mail::Timestamp;
use crate::manifest::model::Day;
use crate::manifest::model::MessagesTable;
use crate::manifest::model::Size;
use crate::resolve::fault::RuleFault;
use crate::rule::MessageRules;

/// Compiles the table.
pub(crate) fn resolve(
    table: Option<&MessagesTable>,
    now: Timestamp,
    faults: &mut Vec<RuleFault>,
) -> MessageRules {
    let table = table.cloned().unwrap_or_default();
    let rules = MessageRules {
        newer_than: table.newer_than.map(|age| age.before(now)),
        older_than: table.older_than.map(|age| age.before(now)),
        since: table.since.map(Day::begins),
        before: table.before.map(Day::begins),
        larger_than: table.larger_than.map(Size::octets),
        smaller_than: table.smaller_than.map(Size::octets),
        search: table.search,
        deleted: table.deleted.unwrap_or_default(),
        duplicates: table.duplicates.unwrap_or_default(),
        order: table.order.unwrap_or_default(),
    };
    let pair = |low: Option<Timestamp>, high: Option<Timestamp>| {
        low.zip(high).is_some_and(|(low, high)| low >= high)
    };
    if pair(rules.newer_than, rules.older_than) {
        faults.push(nothing("older-than", "newer-than", "no age is both"));
    }
    if pair(rules.since, rules.before) {
        faults.push(nothing("before", "since", "no day lies between"));
    }
    if pair(rules.newer_than, rules.before) {
        faults.push(nothing("before", "newer-than", "no day lies between"));
    }
    if pair(rules.since, rules.older_than) {
        faults.push(nothing("older-than", "since", "no day lies between"));
    }
    let sizes = rules.larger_than.zip(rules.smaller_than);
    if sizes.is_some_and(|(low, high)| high <= low.saturating_add(1)) {
        faults.push(nothing("smaller-than", "larger-than", "no size is both"));
    }
    if rules.search.as_ref().is_some_and(|search| search.trim().is_empty()) {
        let fault = RuleFault::new(&["messages", "search"], "`search` is empty");
        faults.push(fault.label("such as \"UNFLAGGED\""));
    }
    rules
}

fn nothing(key: &str, other: &str, why: &str) -> RuleFault {
    RuleFault::new(&["messages", key], format!("`{other}` and `{key}` together take no message"))
        .label(why)
}
