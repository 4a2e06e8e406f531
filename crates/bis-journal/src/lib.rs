//! The durable core of Bis's event router: one journal on disk for all topics and their channels.
//!
//! Messages are published to topics; each channel of a topic keeps its own progress, in the state machine of
//! [`bis_broker::channel`]. A publish is decided when its bytes are on the disk (see [`SyncMode`]). A server opens a journal
//! with a [`Keeper`], works on its [`State`] under a lock that nobody holds for long, and waits for [`Ticket`]s.
//!
//! This crate knows no protocol, socket or request, never parses a message's body, and knows nothing of applications,
//! handlers or retry policies.

mod clock;
mod committer;
mod files;
mod inquiry;
pub mod inspect;
mod intake;
mod journal;
mod keeper;
mod metrics;
mod mover;
mod name;
mod options;
mod repeated;
mod replay;
mod scrubber;
mod state;

pub use clock::{Clock, SystemClock};
pub use files::damage::Damage;
pub use files::disk::{Disk, DiskFile};
pub use files::fetch::{Fetched, Missing};
pub use files::folder::Folder;
pub use files::record::key_hash;
pub use inquiry::{InquiryError, Peeked};
pub use intake::{MAX_WHOLE_BYTES, stored_bytes};
pub use journal::{Commit, Journal};
pub use keeper::{Keeper, OpenError};
pub use metrics::{JournalCounts, SYNC_BUCKETS};
pub use name::Name;
pub use options::{Backlog, BacklogPolicy, BacklogPolicyError, Options, Retention, SyncMode, SyncModeError};
pub use repeated::Repeated;
pub use replay::ReplayFrom;
pub use state::delivery::{Handed, PeekedMessage, Refusal, Round, Subscription};
pub use state::missed::Missed;
pub use state::replay::Replayed;
pub use state::ticket::{Outcome, Place, Progress, Ticket};
pub use state::topic::{ChannelState, Consumer, DeliveryOrder, Joining, Process, Topic};
pub use state::totals::Totals;
pub use state::{Accepted, MessageFacts, State};
