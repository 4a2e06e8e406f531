//! Words that every part of Bis shares: names, ids, policies, the event envelope, broker capabilities.
