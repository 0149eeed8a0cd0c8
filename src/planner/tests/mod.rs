//! The planner, through small notations.

mod folders;
mod laws;
mod messages;

use crate::rule::FolderRules;
use crate::rule::MessageRules;
use crate::rule::NameRules;
use crate::rule::Rules;
use crate::rule::policy::OnExisting;

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
